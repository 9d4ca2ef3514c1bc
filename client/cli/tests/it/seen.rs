//! D4, F11: what servers have of two people who talk: nothing beyond DESIGN §9 is in their files, their logs or their memory.
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
    process::Stdio,
};

use memchr::memmem;
use waxwing_wire::id::AccountId;

use crate::{
    place::{Person, Running},
    servers::Servers,
};

/// Words that the two say to each other; each name is one that nobody else uses.
const TEXT: &str = "the heron stands in the reeds at dawn";
const NAMES: [&str; 2] = ["Quillfeather", "Brackenridge"];
/// Something that the process has, so that the search is known to find.
const PLANTED: &str = "a-planted-marker-in-the-environment";

/// Whether bytes are in what a process may write to in its memory.
fn is_in_memory(process: u32, wanted: &[u8]) -> bool {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with("rw"))).any(|line| {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let place = |text| u64::from_str_radix(text, 16).unwrap();
        let (mut from, to) = (place(from), place(to));
        // Pieces that overlap by what is looked for; what cannot be read is not there.
        while from < to {
            let mut piece = vec![0; usize::try_from((to - from).min(4 << 20)).unwrap()];
            let read = memory.read_at(&mut piece, from).unwrap_or_default();
            if read == 0 {
                return false;
            }
            if memmem::find(&piece[..read], wanted).is_some() {
                return true;
            }
            from += u64::try_from(read.saturating_sub(wanted.len()).max(1)).unwrap();
        }
        false
    })
}

/// The files below a folder that have these bytes.
fn files_with(folder: &Path, wanted: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files_with(&entry.path(), wanted));
        } else if kind.is_file() && memmem::find(&fs::read(entry.path()).unwrap(), wanted).is_some() {
            found.push(entry.path().display().to_string());
        }
    }
    found
}

#[test]
fn d4_f11_servers_have_no_word_no_name_and_the_relay_no_account() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let data = folder.path().join("data");
    let operator = Person::new();
    let arguments = ["serve", "--open", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1", "--log", "trace"];
    let mut command = operator.command(&[&arguments[..], &["--relay-port", "0", "--keyserver-port", "0"]].concat());
    command.stderr(Stdio::from(File::create(&log).unwrap())).env("WAXWING_TEST_PLANTED", PLANTED);
    let servers = Servers { running: Running::start(command, 3), folder };
    let (alice, bob) = (Person::at(&servers.line()), Person::at(&servers.line()));
    let (_a, _b) = (alice.daemon(), bob.daemon());
    alice.befriends(&bob, NAMES[0], NAMES[1]);
    alice.asks(&["send", NAMES[1], TEXT, "--wait", "60"]).json();
    bob.waits_for(&["list"], |answer| answer["conversations"][0]["last"]["body"] == TEXT);
    // One that waits at the relay is on its disk.
    drop(_b);
    alice.asks(&["send", NAMES[1], TEXT, "--wait", "60"]).json();

    let process = servers.running.child.id();
    assert!(is_in_memory(process, PLANTED.as_bytes()), "the search finds what is there");
    for secret in [TEXT, NAMES[0], NAMES[1]] {
        assert_eq!(files_with(&data, secret.as_bytes()), Vec::<String>::new(), "{secret}");
        assert!(!is_in_memory(process, secret.as_bytes()), "{secret}");
    }
    let logged = fs::read_to_string(&log).unwrap();
    assert!(!logged.is_empty(), "trace is on");
    for account in [alice.account(), bob.account()] {
        let id: AccountId = account.parse().unwrap();
        assert_eq!(files_with(&data.join("relay"), id.as_bytes()), Vec::<String>::new(), "the relay knows no account");
        assert!(!files_with(&data.join("keyserver"), id.as_bytes()).is_empty(), "the search finds what is there");
        assert!(!logged.contains(&account), "{logged}");
    }
    for private in ["wxa-", "wxm-", TEXT, NAMES[0], NAMES[1]] {
        assert!(!logged.contains(private), "{private} is in the log");
    }
    // Where the servers listen they say; who came from where they do not.
    let (relay, keyserver) = servers.ports();
    for rest in logged.split("127.0.0.1:").skip(1) {
        let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
        assert!(port == relay || port == keyserver, "an address of somebody's is in the log");
    }
}
