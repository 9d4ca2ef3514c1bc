//! What goes wrong says what happened and what to do, ends with its exit code, and loses nothing.
use std::{fs, io::Write as _};

use crate::{
    place::{PATIENCE, Person, Said},
    servers::Servers,
};

/// Milliseconds.
const DAY: u64 = 86_400_000;

impl Said {
    /// When it may be asked again, in milliseconds.
    fn retry_after(&self) -> Option<u64> {
        let value: serde_json::Value = serde_json::from_str(&self.out).ok()?;
        value.pointer("/error/data/retry_after_ms")?.as_u64()
    }

    /// As [`Said::error`], whatever the exit code is.
    #[track_caller]
    pub(crate) fn error_in_json(&self) -> (String, String) {
        self.error(self.code)
    }
}

#[test]
fn without_a_profile_a_verb_says_how_to_make_one() {
    let nobody = Person::new();
    for verb in
        [&["status"][..], &["list"], &["daemon"], &["send", "bob", "hi"], &["chat", "bob"], &["rpc"], &["repair"]]
    {
        let (name, says) = nobody.asks(verb).error(1);
        assert_eq!(name, "no_profile", "{verb:?}");
        assert!(says.contains("waxwing init --server"), "{says}");
    }
    let said = nobody.does(&["list"]);
    assert!(said.out.is_empty() && said.err.contains("waxwing init"), "for people, on standard error: {said:?}");
    assert!(!nobody.profile().exists(), "and makes nothing");
}

#[test]
fn what_is_typed_wrong_is_a_usage_error() {
    let nobody = Person::new();
    for verb in [
        &["frobnicate"][..],
        &["send"],
        &["init"],
        &["contact"],
        &["history", "bob", "--limit", "0"],
        &["mute", "x", "--for"],
    ] {
        assert_eq!(nobody.does(verb).code, 2, "{verb:?}");
    }
    for (server, says) in [("relay.example.org", "as `waxwing serve` prints it"), ("waxwing:server/1/x", "not whole")] {
        let said = nobody.asks(&["init", "--server", server, "--no-passphrase", "--words-noted"]);
        let (name, message) = said.error(2);
        assert!(name == "invalid_params" && message.contains(says), "{message}");
    }
    assert!(!nobody.profile().exists());
}

#[test]
fn a_server_that_is_not_there_leaves_an_account_that_goes_on_when_it_is() {
    let servers = Servers::start(&[]);
    let line = servers.line();
    let paused = servers.pause();
    let alice = Person::new();
    let said = alice.does(&["init", "--server", &line, "--no-passphrase", "--words-noted"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("made and stored") && said.err.contains("goes on"), "{said:?}");
    let doctor = alice.does(&["doctor"]);
    assert!(doctor.code == 1 && doctor.out.contains("FAILURE reachable"), "{doctor:?}");
    let _servers = paused.go_on(&[]);
    alice.waits_for(&["doctor"], |answer| {
        answer["checks"]
            .as_array()
            .unwrap()
            .iter()
            .any(|check| check["name"] == "reachable" && check["outcome"] == "ok")
    });
}

#[test]
fn a_server_with_another_key_is_not_spoken_to_and_named() {
    let (servers, others) = (Servers::start(&["--open"]), Servers::start(&["--open"]));
    let key = |line: &str| line.split('/').nth(2).unwrap().to_owned();
    // The other's key at this one's place.
    let line = servers.line().replacen(&key(&servers.line()), &key(&others.line()), 1);
    let said = Person::new().does(&["init", "--server", &line, "--no-passphrase", "--words-noted"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("does not prove the key of its address"), "{said:?}");
}

#[test]
fn a_passphrase_is_asked_for_and_a_wrong_one_changes_nothing() {
    let servers = Servers::start(&["--open"]);
    let alice = Person::new();
    let file = |name: &str, text: &str| {
        let path = alice.home().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (right, wrong) = (file("right", "correct horse\n"), file("wrong", "battery staple\n"));
    let none = alice.asks(&["init", "--server", &servers.line(), "--words-noted"]);
    let (name, says) = none.error(1);
    assert!(name == "passphrase" && says.contains("--passphrase-file"), "{says}");
    let made = alice.does(&["init", "--server", &servers.line(), "--words-noted", "--passphrase-file", &right]);
    assert_eq!(made.code, 0, "{made:?}");
    assert_eq!(alice.asks(&["whoami"]).error(1).0, "passphrase");
    assert_eq!(alice.asks(&["whoami", "--passphrase-file", &wrong]).error(1).0, "passphrase");
    let by_variable = alice.command(&["whoami", "--json"]).env("WAXWING_PASSPHRASE", "correct horse").output().unwrap();
    assert!(by_variable.status.success());
}

#[test]
fn the_words_go_to_a_private_file_or_nothing_is_made() {
    use std::os::unix::fs::PermissionsExt as _;
    let servers = Servers::start(&["--open"]);
    let alice = Person::new();
    let words = alice.home().join("words");
    let path = words.to_str().unwrap();
    let (name, says) = alice.asks(&["init", "--server", &servers.line(), "--no-passphrase"]).error(2);
    assert!(name == "invalid_params" && says.contains("--words-file"), "nobody could type them: {says}");
    fs::write(&words, "something").unwrap();
    let init = ["init", "--server", &servers.line(), "--no-passphrase", "--words-file", path];
    assert_eq!(alice.asks(&init).error(1).0, "system", "a file that is there is not written over");
    assert!(!alice.profile().exists());
    fs::remove_file(&words).unwrap();
    let made = alice.asks(&init).json();
    assert_eq!((&made["version"], &made["ready"]), (&1.into(), &true.into()));
    let written = fs::read_to_string(&words).unwrap();
    assert_eq!(written.split_whitespace().count(), 24);
    assert_eq!(fs::metadata(&words).unwrap().permissions().mode() & 0o777, 0o600);
    let (name, _) = alice.asks(&["init", "--server", &servers.line(), "--no-passphrase", "--words-noted"]).error(1);
    assert_eq!(name, "profile_exists");
}

#[test]
fn links_that_are_none_and_people_who_are_unknown_change_nothing() {
    let servers = Servers::start(&["--open"]);
    let (alice, bob) = (Person::at(&servers.line()), Person::at(&servers.line()));
    let (_a, _b) = (alice.daemon(), bob.daemon());
    let link = bob.asks(&["invite"]).json()["link"].as_str().unwrap().to_owned();
    for broken in ["waxwing:hello", &link[..link.len() - 1], &link.replace('a', "b")] {
        assert_eq!(alice.asks(&["add", broken]).error(2).0, "bad_link", "{broken}");
    }
    for broken in ["Hello World", "me", "bob@example.org", "bob@"] {
        assert_eq!(alice.asks(&["add", broken]).error(2).0, "bad_name", "{broken}");
    }
    assert_eq!(bob.asks(&["add", &link]).error(1).0, "own_account");
    assert_eq!(alice.asks(&["add", &link, "--name", "e\u{1b}vil"]).error(2).0, "invalid_params");
    assert_eq!(alice.asks(&["contact", "list"]).json()["contacts"].as_array().unwrap().len(), 0);
    assert_eq!(alice.asks(&["send", "bob", "hi"]).error(1).0, "unknown_contact");
    alice.asks(&["add", &link, "--name", "bob"]).json();
    assert_eq!(alice.asks(&["send", "bob", ""]).error(2).0, "bad_text");
    let long = "x".repeat(32_769);
    assert_eq!(alice.asks(&["send", "bob", &long]).error(2).0, "bad_text");
    assert_eq!(alice.asks(&["history", "bob", "--before", "abcdef"]).error(1).0, "unknown_message");
    assert_eq!(alice.asks(&["trust", "bob"]).error(1).0, "refused");
    assert_eq!(alice.asks(&["mute", "bob", "--for", "soon"]).error(2).0, "invalid_params");
    assert_eq!(alice.asks(&["search", "x", "--since", "yesterday"]).error(2).0, "invalid_params");
}

#[test]
fn links_are_few_and_a_revoked_one_is_gone() {
    let servers = Servers::start(&["--open"]);
    let alice = Person::at(&servers.line());
    let _daemon = alice.daemon();
    let mut ids = Vec::new();
    let refused = loop {
        let made = alice.asks(&["invite", "--once"]);
        if made.code != 0 {
            break made;
        }
        ids.push(made.json()["id"].as_str().unwrap().to_owned());
        assert!(ids.len() <= 16, "they never end");
    };
    let (name, says) = refused.error(5);
    assert!(name == "too_many_links" && says.contains("revoke-link"), "{says}");
    // The first of them ends in a week.
    let after = refused.retry_after().expect("it is known when");
    assert!(after > 6 * DAY && after <= 7 * DAY, "{after}");
    alice.asks(&["revoke-link", &ids[0]]).json();
    let left = alice.asks(&["links"]).json();
    assert!(left["links"].as_array().unwrap().iter().all(|link| link["id"] != *ids[0]), "{left}");
    alice.asks(&["invite"]).json();
    assert_eq!(alice.asks(&["revoke-link", &ids[0]]).error(1).0, "unknown_link");
    assert_eq!(alice.asks(&["revoke-link", "?"]).error(1).0, "unknown_link");
}

#[test]
fn a_link_that_was_revoked_lets_nobody_in_but_those_who_pay() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("relay.toml");
    // More work than anybody does.
    fs::write(&config, "[admission]\nstrangers = 40\n").unwrap();
    let servers = Servers::start_in(folder, &["--open", "--relay-config", config.to_str().unwrap()]);
    let (alice, bob) = (Person::at(&servers.line()), Person::at(&servers.line()));
    let made = alice.asks(&["invite"]).json();
    let (link, id) = (made["link"].as_str().unwrap(), made["id"].as_str().unwrap());
    // Nobody runs a daemon: the verb goes when the relay knows it.
    alice.asks(&["revoke-link", id]).json();
    bob.asks(&["add", link, "--name", "alice"]).json();
    let sent = bob.does(&["send", "alice", "may I come in?", "--wait", "2"]);
    assert_eq!(sent.code, 3, "{sent:?}");
    assert!(sent.out.contains("queued"), "{sent:?}");
    let _bob = bob.daemon();
    let status = bob.waits_for(&["status"], |answer| answer["waiting"][0]["reason"] == "proving_work");
    let text = status["waiting"][0]["text"].as_str().unwrap();
    assert!(text.contains("strangers' messages cost"), "{text}");
    let nothing = alice.asks(&["receive"]).json();
    assert!(nothing["requests"].as_array().unwrap().is_empty(), "{nothing}");
}

#[test]
fn what_may_be_asked_again_says_when() {
    let servers = Servers::start(&["--open"]);
    let (alice, bob) = (Person::at(&servers.line()), Person::at(&servers.line()));
    let link = bob.asks(&["invite"]).json()["link"].as_str().unwrap().to_owned();
    let paused = servers.pause();
    let _alice = alice.daemon();
    alice.asks(&["add", &link, "--name", "bob"]).json();
    // Their key server is away: the next look is in a minute at most.
    let unknown = alice.waits_until(&["verify", "bob"], |said| said.retry_after().is_some());
    let (name, says) = unknown.error(3);
    assert!(name == "nothing_known" && says.contains("key server"), "{says}");
    assert!(unknown.retry_after().unwrap() <= 60_000, "{unknown:?}");
    // A person hears it as well, whenever a server is not being asked at this very moment.
    let begun = std::time::Instant::now();
    while !alice.does(&["verify", "bob"]).err.contains("(ask again in ") {
        assert!(begun.elapsed() < PATIENCE);
    }
    let _servers = paused.go_on(&["--open"]);
    alice.waits_until(&["verify", "bob"], |said| said.code == 0);
}

#[test]
fn a_relay_that_is_gone_leaves_the_message_queued_with_a_reason() {
    let (servers, alice, bob) = Servers::with_friends();
    let paused = servers.pause();
    let queued = alice.does(&["send", "bob", "into the night", "--wait", "2", "--json"]);
    assert_eq!(queued.code, 3, "{queued:?}");
    let answer: serde_json::Value = serde_json::from_str(&queued.out).unwrap();
    assert_eq!(answer["state"], "queued");
    assert!(!answer["text"].as_str().unwrap().is_empty(), "{answer}");
    let status = alice.asks(&["status"]).json();
    assert_eq!(status["waiting"].as_array().unwrap().len(), 1, "{status}");
    let _servers = paused.go_on(&["--open"]);
    let (_a, _b) = (alice.daemon(), bob.daemon());
    let page = bob.waits_for(&["history", "alice"], |answer| answer["messages"].as_array().unwrap().len() == 2);
    assert_eq!(page["messages"][1]["body"], "into the night");
}

#[test]
fn a_full_mailbox_leaves_the_message_queued_with_a_reason() {
    let (servers, alice, bob) = Servers::with_friends();
    let paused = servers.pause();
    // An operator makes mailboxes smaller.
    let config = paused.folder.path().join("relay.toml");
    fs::write(&config, "[limits]\nmailbox_envelopes = 40\n").unwrap();
    let config = config.to_str().unwrap().to_owned();
    let _servers = paused.go_on(&["--open", "--relay-config", &config]);
    let _daemon = alice.daemon();
    // Nobody fetches.
    let full = (0..80).map(|number| alice.does(&["send", "bob", &format!("number {number}"), "--wait", "5", "--json"]));
    let full = full.into_iter().find(|said| said.code != 0).expect("the mailbox has an end");
    assert_eq!(full.code, 3, "{full:?}");
    let answer: serde_json::Value = serde_json::from_str(&full.out).unwrap();
    assert_eq!((&answer["state"], &answer["reason"]), (&"queued".into(), &"relay_busy".into()), "{answer}");
    let _b = bob.daemon();
    alice.waits_for(&["status"], |answer| answer["waiting"].as_array().unwrap().is_empty());
}

#[test]
fn a_damaged_profile_is_told_from_a_wrong_one_and_repaired() {
    let servers = Servers::start(&["--open"]);
    let alice = Person::at(&servers.line());
    let database = alice.profile().join("store.db");
    let whole = fs::read(&database).unwrap();
    // The beginning: the key does not fit any more.
    let mut cut = whole.clone();
    cut[32..64].fill(0);
    fs::write(&database, &cut).unwrap();
    let (name, says) = alice.asks(&["status"]).error(1);
    assert!(name == "profile_damaged" && says.contains("waxwing repair"), "{says}");
    // A page in the middle.
    let mut hit = whole.clone();
    let middle = hit.len() / 2;
    hit[middle..middle + 64].fill(0);
    fs::write(&database, &hit).unwrap();
    let damaged = alice.asks(&["doctor", "--database"]);
    assert_ne!(damaged.code, 0, "{damaged:?}");
    let repaired = alice.does(&["repair", "--json"]);
    assert!(repaired.out.contains("\"messages\""), "{repaired:?}");
    assert!(alice.profile().join("store.db.damaged").exists());
    // The key.
    let mut key = fs::read(alice.profile().join("key")).unwrap();
    key[20] ^= 1;
    fs::write(alice.profile().join("key"), &key).unwrap();
    assert_eq!(alice.asks(&["status"]).error(1).0, "profile_damaged");
    fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(alice.profile().join("settings.json"))
        .unwrap()
        .write_all(b"{")
        .unwrap();
    assert_eq!(alice.asks(&["status"]).error(1).0, "profile_damaged");
}
