//! Two processes on one folder, asked for the same thing at the same moment: one gives it.
use std::{path::Path, process::Command};

use waxwing_net::{BoundError, RequestError};
use waxwing_wire::{
    frame::{Admission, ErrorCode, InviteToken},
    keyserver::{ClaimName, DeviceRequest, KeyserverReply},
};

use super::{
    people::{bound, client, connect, now, register},
    server::{Process, Told},
};
use crate::{
    asking::create,
    people::{Person, name},
    races::distinct,
};

const SHARED: Told = Told {
    log: None,
    variables: &[
        ("WAXWING_KEYSERVER_SHARED", "true"),
        ("WAXWING_KEYSERVER_LIMITS_CREATE", "[1, 0.0]"),
        ("WAXWING_KEYSERVER_LIMITS_CHANGE", "[1, 0.0]"),
    ],
};
const ROUNDS: u64 = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_that_are_asked_for_a_name_exactly_one_gives_it() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (Process::start_told(folder.path(), SHARED), Process::start_told(folder.path(), SHARED));
    let client = client();
    for round in 0..ROUNDS {
        let (alice, bob) = (Person::new(100 + round), Person::new(500 + round));
        let (at_one, at_other) = (connect(&client, &one.address).await, connect(&client, &other.address).await);
        register(&alice, &at_one).await;
        register(&bob, &at_other).await;
        let claim = |text: &str| {
            let name = name(&distinct(text, usize::try_from(round).unwrap()));
            DeviceRequest::ClaimName(ClaimName { name, admission: Admission::Owner })
        };
        // One looks like the other.
        let (first, second) = (claim("modern"), claim("rnodern"));
        let (first, second) =
            tokio::join!(bound(&alice, &at_one, &first, vec![]), bound(&bob, &at_other, &second, vec![]));
        let codes = [first, second].map(|result| match result {
            Ok(KeyserverReply::Done) => None,
            Err(BoundError::Request(RequestError::Server(error))) => Some(error.code),
            other => panic!("{other:?}"),
        });
        let taken = Some(ErrorCode::NameTaken);
        assert!([[None, taken], [taken, None]].contains(&codes), "{codes:?}");
    }
    one.stop();
    other.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_that_are_shown_an_invitation_exactly_one_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (Process::start_told(folder.path(), SHARED), Process::start_told(folder.path(), SHARED));
    let socket = format!("admin-{}.sock", one.id());
    assert!(folder.path().join(&socket).exists(), "each has its own");
    let client = client();
    let (at_one, at_other) = (connect(&client, &one.address).await, connect(&client, &other.address).await);
    for (round, token) in mint(&folder.path().join(socket)).into_iter().enumerate() {
        let asked = |seed: u64| {
            let person = Person::new(seed);
            let invitation = Admission::Invite(InviteToken::from_bytes(token));
            create(&person, &person.first_at(0, now()), invitation)
        };
        let seed = 1_000 * u64::try_from(round + 1).unwrap();
        // Both are on their way before either is answered.
        let first = at_one.submit(asked(seed)).await.unwrap();
        let second = at_other.submit(asked(seed + 1)).await.unwrap();
        let codes = [first.await, second.await].map(|result| match result {
            Ok(KeyserverReply::Done) => None,
            Err(RequestError::Server(error)) => Some(error.code),
            other => panic!("{other:?}"),
        });
        let refused = Some(ErrorCode::NotAdmitted);
        assert!([[None, refused], [refused, None]].contains(&codes), "{codes:?}");
    }
    one.stop();
    other.stop();
}

/// As many invitations as rounds, minted by the process behind this socket.
fn mint(socket: &Path) -> Vec<[u8; 16]> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waxwing-keyserver"));
    let command = command.args(["admin", "--data"]).arg(socket.parent().unwrap()).arg("--socket").arg(socket).args([
        "invite",
        "mint",
        &ROUNDS.to_string(),
    ]);
    let minted = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let tokens: Vec<_> = minted.lines().map(|line| super::life::token(line.split_once(' ').unwrap().1)).collect();
    assert_eq!(tokens.len() as u64, ROUNDS);
    tokens
}
