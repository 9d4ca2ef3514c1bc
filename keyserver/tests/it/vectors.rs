//! `spec/vectors/19-keyserver.json`, replayed from the file alone: each request in its order, each answer byte for byte.
use std::collections::BTreeSet;

use serde_json::Value;
use waxwing_keyserver::{
    service::{Keyserver, Session, Source, Stream, invite_hash},
    store::{NewInvitation, Store, memory::MemoryStore},
};
use waxwing_wire::{
    frame::{Admission, ErrorCode, InviteToken},
    keyserver::{KeyserverRequest, Request},
    time::Timestamp,
};

use crate::{
    conformance::{Kind as _, Sqlite},
    people::{NOW, server_key},
    scenario,
};

const FILE: &str = include_str!("../../../spec/vectors/19-keyserver.json");

fn file() -> Value {
    serde_json::from_str(FILE).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn steps(file: &Value) -> &[Value] {
    file["steps"].as_array().unwrap()
}

/// A server with the file's invitations.
async fn service<S: Store>(store: S, file: &Value) -> Keyserver<S> {
    for token in file["invitations"].as_array().unwrap() {
        let token = InviteToken::from_bytes(bytes(token).try_into().unwrap());
        store.mint(&[NewInvitation { hash: invite_hash(&token) }], None, NOW).await.unwrap();
    }
    Keyserver::new(store, server_key().public_key(), scenario::settings()).await.unwrap()
}

/// Replays all steps, or those that `replayed` picks; each must come out as the file says.
async fn replay<S: Store>(keyserver: &Keyserver<S>, file: &Value, replayed: impl Fn(&KeyserverRequest) -> bool) {
    let mut sessions: Vec<(u64, Session<S>)> = Vec::new();
    for step in steps(file) {
        let what = step["name"].as_str().unwrap();
        let request = Request::decode(&bytes(&step["request"])).unwrap();
        if !replayed(&request.body) {
            continue;
        }
        let connection = step["connection"].as_u64().unwrap();
        if sessions.iter().all(|(number, _)| *number != connection) {
            let session = keyserver.session(scenario::exporter(connection), Source(connection));
            sessions.push((connection, session));
        }
        let (_, session) = sessions.iter().find(|(number, _)| *number == connection).unwrap();
        let answer = session.handle(request, Timestamp(step["at"].as_u64().unwrap())).await;
        let error = answer.reply.result.as_ref().err().map(|error| format!("{:?}", error.code));
        assert_eq!(error.as_deref(), step["error"].as_str(), "{what}");
        assert_eq!(answer.stream != Stream::Open, step["ends_stream"].as_bool().unwrap_or(false), "{what}");
        assert_eq!(hex::encode(answer.reply.encode().unwrap()), step["reply"].as_str().unwrap(), "{what}");
    }
}

#[tokio::test]
async fn every_answer_of_the_vectors_is_ours_byte_for_byte() {
    let file = file();
    let secret = bytes(&file["challenge_secret"]).try_into().unwrap();
    replay(&service(MemoryStore::new(secret), &file).await, &file, |_| true).await;
}

#[tokio::test]
async fn every_answer_of_the_vectors_is_that_of_a_server_on_disk() {
    let file = file();
    let (store, _folder) = Sqlite::open().await;
    // Its secret is its own, and so are its challenges.
    let without_challenges = |request: &KeyserverRequest| match request {
        KeyserverRequest::Info => false,
        KeyserverRequest::CreateAccount(request) => !matches!(request.admission, Admission::Work(_)),
        _ => true,
    };
    replay(&service(store, &file).await, &file, without_challenges).await;
}

#[tokio::test]
async fn the_vectors_are_what_the_generator_makes() {
    let (made, file) = (scenario::file().await, file());
    for (made, step) in steps(&made).iter().zip(steps(&file)) {
        assert_eq!(made, step, "cargo run -p waxwing-keyserver --example keyserver_vectors");
    }
    assert!(made == file, "what stands beside the steps");
}

#[test]
fn the_vectors_hold_every_error_that_a_session_answers_with() {
    let file = file();
    let held: BTreeSet<_> = steps(&file).iter().filter_map(|step| step["error"].as_str().map(str::to_owned)).collect();
    // Of the codes of spec/19: `Draining` and `TooManyInFlight` are a connection's, `StoreUnavailable` a disk's.
    let expected = [
        ErrorCode::Malformed,
        ErrorCode::RateLimited,
        ErrorCode::InvalidManifest,
        ErrorCode::ManifestConflict,
        ErrorCode::Taken,
        ErrorCode::NotAdmitted,
        ErrorCode::WorkRequired,
        ErrorCode::NoSuchAccount,
        ErrorCode::AccountDeleted,
        ErrorCode::InvalidSignature,
        ErrorCode::RequestReplayed,
        ErrorCode::InvalidPrekey,
        ErrorCode::PrekeyIdUsed,
        ErrorCode::TooManyPrekeys,
        ErrorCode::NoPrekeys,
        ErrorCode::InvalidName,
        ErrorCode::NameTaken,
        ErrorCode::QuotaExceeded,
        ErrorCode::NotYourName,
        ErrorCode::StaleNumber,
    ];
    assert_eq!(held, expected.iter().map(|code| format!("{code:?}")).collect());
}
