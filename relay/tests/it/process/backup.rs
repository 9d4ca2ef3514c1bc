//! Spec §17.24: a backup of a relay that is at work, and a relay that is started from it.
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{sync::mpsc, task::JoinSet};
use waxwing_wire::frame::Admission;

use super::{
    kill::send,
    operator::{admin, does},
    people::{Person, client, connect},
    relay::Process,
    variable,
};

/// Of everything in it: 0700 for folders, 0600 for files.
fn assert_private(folder: &Path) {
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder), 0o700, "{}", folder.display());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { assert_private(&path) } else { assert_eq!(mode(&path), 0o600, "{}", path.display()) }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_starts_from_a_backup_has_everything_that_was_accepted_before_it() {
    let enough = variable("WAXWING_ENVELOPES", 500);
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data"), folder.path().join("a copy"));
    let relay = Process::start(&data);
    let (alice, late) = (Person::new(1), Person::new(2));
    alice.create(&connect(&client(), &relay.address).await).await;

    let (heard, mut hearing) = mpsc::unbounded_channel();
    let mut senders = JoinSet::new();
    let next = Arc::new(AtomicU64::new(1));
    for _ in 0..2 {
        senders.spawn(send(relay.address.clone(), alice, Arc::clone(&next), heard.clone()));
    }
    drop(heard);
    let mut accepted = BTreeSet::new();
    while u64::try_from(accepted.len()).unwrap() < enough {
        accepted.insert(hearing.recv().await.unwrap());
    }
    // The senders go on.
    let asked = (data.clone(), copy.clone());
    let answer = tokio::task::spawn_blocking(move || does(&asked.0, &["backup", asked.1.to_str().unwrap()]));
    assert_eq!(answer.await.unwrap(), "backed up\n");
    for _ in 0..10 {
        hearing.recv().await.unwrap();
    }
    senders.abort_all();
    let put = next.load(Ordering::Relaxed);
    late.create(&connect(&client(), &relay.address).await).await;
    let connection = connect(&client(), &relay.address).await;
    let mut before = alice.subscribe(connection, 0, 256).await.unwrap();
    let places = before.drain_backlog().await;
    let cursor = places.iter().map(|(place, _)| *place).max().unwrap();
    before.ack(cursor).await;
    let address = relay.address.clone();
    relay.kill();

    assert_private(&copy);
    assert!(!folder.path().join("a copy.part").exists());
    let relay = Process::start(&copy);
    assert_eq!(relay.address.key(), address.key(), "clients that pin it find the same relay");
    let connection = connect(&client(), &relay.address).await;
    // From the beginning: what was acked after the backup is there again, at the places that it had.
    let mut after = alice.subscribe(connection, 0, 256).await.unwrap();
    let again: BTreeSet<_> = after.drain_backlog().await.into_iter().collect();
    let came: BTreeSet<u64> = again.iter().map(|(_, number)| *number).collect();
    let lost: Vec<_> = accepted.difference(&came).collect();
    assert!(lost.is_empty(), "accepted before the backup and lost: {lost:?}");
    assert_eq!(came.len(), again.len(), "none twice");
    assert!(again.is_subset(&places.into_iter().collect()), "none elsewhere");
    // From where the owner was: nothing of that, and what comes now has a new number.
    drop(after);
    let connection = connect(&client(), &relay.address).await;
    let mut now = alice.subscribe(connection, cursor, 256).await.unwrap();
    assert_eq!(now.drain_backlog().await, []);
    let sender = connect(&client(), &relay.address).await;
    sender.request(alice.put(put + 1)).await.unwrap();
    drop(now);
    let mut now = alice.subscribe(connect(&client(), &relay.address).await, cursor, 256).await.unwrap();
    let new = now.drain_backlog().await;
    assert!(matches!(new[..], [(place, number)] if place > cursor && number == put + 1), "{new:?}");
    // What was made after the backup is made anew.
    let owner = connect(&client(), &relay.address).await;
    assert!(late.subscribe(connect(&client(), &relay.address).await, 0, 8).await.is_err());
    owner.request(late.create_by(&owner, Admission::Open)).await.unwrap();
    println!("{} accepted before the backup, {} in it, of {} put", accepted.len(), came.len(), put - 1);
}

#[test]
fn a_backup_writes_over_nothing_and_leaves_nothing_half_done() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let relay = Process::start(&data);
    let refused = |target: &Path, expected: &str| {
        let (code, stdout, stderr) = admin(&data, &["backup", target.to_str().unwrap()]);
        assert!(code == 1 && stdout.is_empty() && stderr.contains(expected), "{stderr}");
    };
    let taken = folder.path().join("taken");
    fs::create_dir(&taken).unwrap();
    refused(&taken, "already");
    assert_eq!(fs::read_dir(&taken).unwrap().count(), 0);
    refused(&folder.path().join("absent/backup"), "cannot be written");
    fs::create_dir(folder.path().join("one.part")).unwrap();
    refused(&folder.path().join("one"), ".part");
    // A key that is not there: found when everything else is written.
    fs::rename(data.join("server.key"), folder.path().join("key")).unwrap();
    refused(&folder.path().join("two"), "cannot be written");
    let mut left: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["data", "key", "one.part", "taken"]);
    relay.stop();
}

#[tokio::test]
async fn a_relay_that_runs_is_verified_and_so_is_its_backup() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let relay = Process::start(&data);
    let alice = Person::new(1);
    let connection = connect(&client(), &relay.address).await;
    alice.create(&connection).await;
    for number in 1..=20 {
        connection.request(alice.put(number)).await.unwrap();
    }
    assert_eq!(does(&data, &["verify"]), "everything verifies\n");
    does(&data, &["backup", copy.to_str().unwrap()]);
    relay.stop();
    // A bit of each envelope, where SQLite itself notices nothing. (Pages hold more copies than one.)
    let file = copy.join("store/mailboxes.sqlite");
    let mut bytes = fs::read(&file).unwrap();
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| rest.windows(64).position(|window| window == [0xe5; 64])) {
        bytes[at + found] ^= 1;
        at += found + 1_000;
    }
    let relay = Process::start(&copy);
    assert_eq!(does(&copy, &["verify"]), "everything verifies\n");
    relay.stop();
    fs::write(&file, bytes).unwrap();
    let relay = Process::start(&copy);
    let (code, stdout, stderr) = admin(&copy, &["verify"]);
    assert!(code == 1 && stdout.is_empty(), "{stdout}");
    let found: Vec<_> = stderr.lines().collect();
    assert!(found.len() == 21 && found[0].contains("does not verify"), "{stderr}");
    assert!(found[1..].iter().all(|line| line.ends_with("its hash is another")), "{stderr}");
    relay.stop();
}
