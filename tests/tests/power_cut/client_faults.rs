//! E8: a client's disk that is full or broken at any write or sync: what it said it took is sent once, what it refused never is, and
//! what comes is shown once and in order.
use std::{env, path::Path, time::Duration};

use waxwing_client::{
    Client, CommandFailed, Cursor, Event, Options,
    engine::{Command, LinkUses, MessageText, NewAccount, Settings},
    store::Protection,
};
use waxwing_tests::{
    faults::{Error, Faults, Kind},
    servers::Server,
};
use waxwing_wire::id::AccountId;

use super::run::{is_child, on_a_failing_disk};

async fn person(path: &Path, relay: &Server, keyserver: &Server) -> Client {
    let account = NewAccount {
        relay: relay.address(),
        key_servers: vec![keyserver.address()],
        relay_admission: None,
        keyserver_admission: None,
    };
    let engine = Settings { one_time_prekeys: 5, allow_private_servers: true };
    let options = Options { engine, ..Options::default() };
    let (client, _) = Client::create(path, Protection::None, account, options).await.unwrap();
    client.until(|condition| condition.ready).await.unwrap();
    client
}

/// Everything that is shown, as soon as there is that much.
async fn shown(client: &Client, with: &AccountId, all: usize) -> Vec<String> {
    let (mut events, mut last) = (client.events(Cursor::START), Vec::new());
    let complete = async {
        loop {
            let page = client.reader().page(with, None, 10_000).await.unwrap();
            last = page.into_iter().rev().map(|message| message.text).collect::<Vec<_>>();
            assert!(last.len() <= all, "something is there that nobody said, or twice: {last:#?}");
            if last.len() == all {
                return;
            }
            events.next().await.unwrap().expect("the client is open");
        }
    };
    let complete = tokio::time::timeout(Duration::from_secs(60), complete).await;
    complete.unwrap_or_else(|_| panic!("{} of {all}: {last:#?}", last.len()));
    last
}

fn text(text: &str) -> MessageText {
    MessageText::new(text.into()).unwrap()
}

async fn work(root: &Path) {
    let mut disk = Faults::new(Path::new(&env::var_os("WAXWING_FAULT").unwrap())).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let (relay, keyserver) = (Server::relay().await, Server::keyserver().await);
    let alice = person(&elsewhere.path().join("alice"), &relay, &keyserver).await;
    let bob = person(&root.join("bob"), &relay, &keyserver).await;
    let (a, b) = (alice.account_id(), bob.account_id());
    let link = bob.make_link(Duration::from_secs(3_600), LinkUses::Many).await.unwrap();
    alice.command(Command::Add { link }).await.unwrap();
    alice.send(&b, text("hello")).await.unwrap();
    let mut events = bob.events(Cursor::START);
    while !matches!(events.next().await.unwrap(), Some((_, Event::Request { .. }))) {}
    bob.command(Command::Accept { account: a }).await.unwrap();

    let (mut from_alice, mut from_bob) = (vec![String::from("hello")], Vec::new());
    let mut refused = 0;
    for (kind, error) in [
        (Kind::Writes, Error::Full),
        (Kind::Writes, Error::Broken),
        (Kind::Syncs, Error::Broken),
        (Kind::Both, Error::Broken),
    ] {
        for after in [0, 2, 5, 15, 40] {
            disk.begin(kind, error, after).unwrap();
            let said = format!("{kind:?} {error:?} after {after}");
            alice.send(&b, text(&format!("alice: {said}"))).await.unwrap();
            from_alice.push(format!("alice: {said}"));
            // Until the disk refuses something, and once more: then whatever Bob's client has is newer than what is stored.
            for number in 0..6 {
                let said = format!("bob: {said}, {number}");
                match bob.send(&a, text(&said)).await {
                    Ok(_) => from_bob.push(said),
                    Err(CommandFailed::NotStored(_)) => {
                        refused += 1;
                        break;
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            disk.end().unwrap();
            bob.until(|condition| condition.failing.is_none()).await.unwrap();
        }
    }
    assert!(refused >= 10, "{refused} refusals");
    let only = |who: &str, texts: &[String]| -> Vec<String> {
        texts.iter().filter(|text| text.starts_with(who)).cloned().collect()
    };
    // Both sides have everything: each by itself in order, together as they crossed.
    for (client, with) in [(&alice, &b), (&bob, &a)] {
        let texts = shown(client, with, from_alice.len() + from_bob.len()).await;
        assert_eq!(only("alice", &texts), from_alice.iter().skip(1).cloned().collect::<Vec<_>>());
        assert_eq!(only("bob", &texts), from_bob);
    }
    bob.close().await.unwrap();
    alice.close().await.unwrap();
}

#[test]
fn e8_a_clients_disk_that_fails_at_any_write_or_sync_loses_and_doubles_nothing() {
    let name = "client_faults::e8_a_clients_disk_that_fails_at_any_write_or_sync_loses_and_doubles_nothing";
    let play = |root: &Path| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(work(root));
    };
    if is_child("client faults", play) {
        return;
    }
    on_a_failing_disk(name, "client faults");
}
