//! D4, F11: after a run with planted markers, log and data folder hold nothing beyond DESIGN §9, and the process's memory holds no
//! capability of a mailbox that is gone. Each search is shown to find a planted leak.
use std::{
    fs::{self, File},
    io::{Read, Seek as _, SeekFrom},
    path::Path,
};

use waxwing_wire::relay::{CloseMailbox, RelayReply, RelayRequest};

use super::{
    people::{Person, client, connect},
    relay::{Process, Told},
};

/// A marker, as it might be written down.
struct Marker {
    name: &'static str,
    forms: Vec<Vec<u8>>,
}

impl Marker {
    fn secret(name: &'static str, bytes: &[u8]) -> Self {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let list = format!("{bytes:?}");
        let forms = [bytes.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes(), list.into_bytes()];
        Self { name, forms: forms.into() }
    }

    fn text(name: &'static str, text: &str) -> Self {
        Self { name, forms: vec![text.as_bytes().to_vec()] }
    }

    fn is_in(&self, content: &[u8]) -> bool {
        self.forms.iter().any(|form| content.windows(form.len()).any(|window| window == form))
    }
}

/// Every file below a folder that holds a marker, and which.
fn found_in_folder(folder: &Path, markers: &[Marker]) -> Vec<(String, &'static str)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(found_in_folder(&path, markers));
        } else if path.is_file() {
            let content = fs::read(&path).unwrap();
            let hits = markers.iter().filter(|marker| marker.is_in(&content));
            found.extend(hits.map(|marker| (path.display().to_string(), marker.name)));
        }
    }
    found
}

/// Which markers stand in a process's memory, in their first form.
fn found_in_memory(process: u32, markers: &[Marker]) -> Vec<&'static str> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let mut found = Vec::new();
    for line in maps.lines() {
        let mut columns = line.split_whitespace();
        let (range, rights) = (columns.next().unwrap(), columns.next().unwrap());
        let (start, end) = range.split_once('-').unwrap();
        let (start, end) = (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        if !rights.starts_with("rw") || memory.seek(SeekFrom::Start(start)).is_err() {
            continue;
        }
        let mut content = Vec::new();
        // Some mappings cannot be read.
        let _ = Read::by_ref(&mut memory).take(end - start).read_to_end(&mut content);
        found.extend(
            markers
                .iter()
                .filter(|marker| marker.forms[0].len() >= 16 && find(&content, &marker.forms[0]))
                .map(|marker| marker.name),
        );
    }
    found
}

fn find(content: &[u8], form: &[u8]) -> bool {
    let first = form[0];
    let mut rest = content;
    while let Some(at) = rest.iter().position(|byte| *byte == first) {
        if rest[at..].starts_with(form) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

fn marked(number: u8) -> Person {
    let (mut seed, mut key) = ([0; 32], [0; 16]);
    seed.iter_mut().zip(0..).for_each(|(byte, at)| *byte = 0x31_u8.wrapping_mul(at).wrapping_add(number));
    key.iter_mut().zip(0..).for_each(|(byte, at)| *byte = 0x4b_u8.wrapping_mul(at).wrapping_add(number));
    Person::marked(seed, key)
}

fn key_of(number: u8) -> [u8; 16] {
    let mut key = [0; 16];
    key.iter_mut().zip(0..).for_each(|(byte, at)| *byte = 0x4b_u8.wrapping_mul(at).wrapping_add(number));
    key
}

#[tokio::test]
async fn d4_log_and_data_folder_hold_nothing_of_who_sent_or_asked() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Process::start_told(folder.path(), Told { log: Some("trace"), variables: &[("RUST_LOG", "trace")] });
    let (owner, sender) = (client(), client());
    let ports = [owner.port().unwrap(), sender.port().unwrap()];
    let alice = marked(7);
    let connection = connect(&owner, &relay.address).await;
    alice.create(&connection).await;
    let anonymous = connect(&sender, &relay.address).await;
    for number in 1..=50 {
        assert_eq!(anonymous.request(alice.put(number)).await, Ok(RelayReply::Done));
    }
    let wrong = marked(8);
    assert!(anonymous.request(wrong.put(1)).await.is_err(), "refused puts leave nothing either");
    let mut subscription = alice.subscribe(connect(&owner, &relay.address).await, 0, 64).await.unwrap();
    assert_eq!(subscription.drain_backlog().await.len(), 50);
    subscription.ack(50).await;
    let close = |capability| RelayRequest::CloseMailbox(CloseMailbox { mailbox: alice.mailbox(), capability });
    let markers = [
        Marker::secret("delivery key", &key_of(7)),
        Marker::secret("wrong delivery key", &key_of(8)),
        Marker::secret("close capability", alice.capability().as_bytes()),
        Marker::text("owner's port", &format!(":{}", ports[0])),
        Marker::text("sender's port", &format!(":{}", ports[1])),
    ];
    let state = found_in_folder(folder.path(), &markers);
    assert_eq!(state, [], "while the mailbox is there");
    assert_eq!(anonymous.request(close(alice.capability())).await, Ok(RelayReply::Done));
    let log = relay.stop();
    assert_eq!(found_in_folder(folder.path(), &markers), []);

    // The log: no secret, no address, no id, no size, in whatever form.
    let mailbox = alice.mailbox();
    let in_log = [
        Marker::secret("mailbox id", mailbox.as_bytes()),
        Marker::text("mailbox id", &mailbox.to_string()),
        Marker::text("address", "127.0.0.1"),
        Marker::text("size", "2560"),
        Marker::text("size", "2,560"),
    ];
    let leaks: Vec<_> =
        markers.iter().chain(&in_log).filter(|marker| marker.is_in(log.as_bytes())).map(|marker| marker.name).collect();
    assert!(leaks.is_empty(), "{leaks:?} in the log: {log}");
    assert!(log.contains("serving"), "it was the log that was searched: {log}");

    // The search finds what is there: a leak in each form, in a folder and in a log.
    let planted = tempfile::tempdir().unwrap();
    fs::create_dir(planted.path().join("deep")).unwrap();
    for marker in &markers {
        for form in &marker.forms {
            let content = [&[0; 5_000], &form[..], &[1; 77]].concat();
            fs::write(planted.path().join("deep/file"), &content).unwrap();
            let found = found_in_folder(planted.path(), &markers);
            assert!(found.iter().any(|(_, name)| *name == marker.name), "{} is found", marker.name);
        }
    }
}

#[tokio::test]
async fn d4_memory_holds_no_key_or_capability_once_their_connections_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Process::start(folder.path());
    let alice = marked(9);
    let (owner, sender) = (client(), client());
    alice.create(&connect(&owner, &relay.address).await).await;
    {
        let anonymous = connect(&sender, &relay.address).await;
        for number in 1..=50 {
            assert_eq!(anonymous.request(alice.put(number)).await, Ok(RelayReply::Done));
        }
    }
    sender.close().await;
    let public = *waxwing_wire::relay::OwnerKey::from_seed(&{
        let mut seed = [0; 32];
        seed.iter_mut().zip(0..).for_each(|(byte, at)| *byte = 0x31_u8.wrapping_mul(at).wrapping_add(9));
        seed
    })
    .public_key()
    .as_bytes();
    let secrets = [
        Marker::secret("owner's private seed", &{
            let mut seed = [0; 32];
            seed.iter_mut().zip(0..).for_each(|(byte, at)| *byte = 0x31_u8.wrapping_mul(at).wrapping_add(9));
            seed
        }),
        Marker::secret("close capability", alice.capability().as_bytes()),
        Marker::secret("delivery key", &key_of(9)),
    ];
    println!("in memory: {:?}", found_in_memory(relay.id(), &secrets));
    // The search finds what a relay does know: the owner's public key, in its directory.
    let known = [Marker::secret("owner's public key", &public)];
    assert!(found_in_memory(relay.id(), &known).contains(&"owner's public key"), "the search finds what is there");
    relay.stop();
}
