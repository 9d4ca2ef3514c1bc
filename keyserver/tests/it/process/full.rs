//! E8: a disk that is full: nothing is accepted, what is there is served, and when there is room again it goes on.
use std::process::Command;

use waxwing_net::{BoundError, RequestError};
use waxwing_wire::{
    frame::ErrorCode,
    keyserver::{DeviceRequest, FetchAccount, KeyserverReply, KeyserverRequest},
};

use super::{
    people::{bound, client, connect, register, upload},
    server::{Process, Told},
};
use crate::people::Person;

const UNLIMITED: Told = Told { log: None, variables: &[("WAXWING_KEYSERVER_LIMITS_UPLOAD", "[1, 0.0]")] };

#[tokio::test]
async fn e8_a_full_disk_accepts_nothing_loses_nothing_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    // Room for the tables and a few uploads of some 40 kB.
    let server = Process::start_limited(folder.path(), 1_000, UNLIMITED);
    let (alice, client) = (Person::new(1), client());
    let connection = connect(&client, &server.address).await;
    let manifest = register(&alice, &connection).await;
    let mut accepted = 0;
    let refused = loop {
        match upload(&alice, &manifest, &connection, (1 + 100 * accepted, 18)).await {
            Ok(KeyserverReply::PrekeyState(_)) => accepted += 1,
            Err(BoundError::Request(RequestError::Server(error))) => break error,
            other => panic!("{other:?}"),
        }
        assert!(accepted < 11, "the disk is full before the cap of 200 keys is");
    };
    assert_eq!(refused.code, ErrorCode::StoreUnavailable);
    assert!(accepted > 0 && refused.retry_after.is_some());
    // What is there is served.
    let asked = KeyserverRequest::FetchAccount(FetchAccount { account: alice.id() });
    assert!(matches!(connection.request(asked).await, Ok(KeyserverReply::Account(_))));
    assert_eq!(one_time(&alice, &connection).await, 18 * accepted);
    // Room again: the same upload, by the same process.
    let pid = server.id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited:"]).status();
    if raised.is_ok_and(|status| status.success()) {
        let again = upload(&alice, &manifest, &connection, (1 + 100 * accepted, 18)).await;
        assert!(matches!(again, Ok(KeyserverReply::PrekeyState(_))), "{again:?}");
        accepted += 1;
    }
    server.kill();
    let server = Process::start(folder.path());
    let connection = connect(&client, &server.address).await;
    assert_eq!(one_time(&alice, &connection).await, 18 * accepted, "everything that was accepted, and nothing else");
}

async fn one_time(person: &Person, connection: &waxwing_net::KeyserverConnection) -> u32 {
    match bound(person, connection, &DeviceRequest::PrekeyState, Vec::new()).await {
        Ok(KeyserverReply::PrekeyState(state)) => state.one_time,
        other => panic!("{other:?}"),
    }
}
