//! An account goes on by its 24 words, on another device.
use std::fs;

use crate::{
    place::{Person, Said},
    servers::Servers,
};

/// Valid, and nobody's: 256 bits of zero.
const NOBODYS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                       abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art";

/// Somebody with an account, and its words.
fn with_words(line: &str) -> (Person, String) {
    let person = Person::new();
    let file = person.home().join("words");
    let made = person.does(&["init", "--server", line, "--no-passphrase", "--words-file", file.to_str().unwrap()]);
    assert_eq!(made.code, 0, "{made:?}");
    let words = fs::read_to_string(file).unwrap();
    (person, words)
}

fn restore(person: &Person, line: &str, words: &str) -> Said {
    person.types(&["init", "--restore", "--server", line, "--no-passphrase", "--json"], words.as_bytes())
}

#[test]
fn whoever_lost_a_device_goes_on_by_the_words_once_the_other_has_agreed() {
    let servers = Servers::start(&["--open"]);
    let (alice, words) = with_words(&servers.line());
    let bob = Person::at(&servers.line());
    let account = alice.account();
    let _bob = bob.daemon();
    {
        let _alice = alice.daemon();
        alice.befriends(&bob, "alice", "bob");
    }
    drop(alice);
    let again = Person::new();
    // As it stands on paper: in several lines, and in capitals.
    let typed = words.replacen(' ', "\n", 3).to_uppercase();
    let made = restore(&again, &servers.line(), &typed).json();
    assert_eq!((made["account"].as_str(), &made["ready"]), (Some(account.as_str()), &true.into()));
    let _again = again.daemon();
    assert!(again.asks(&["contact", "list"]).json()["contacts"].as_array().unwrap().is_empty(), "words know nobody");
    let link = bob.asks(&["invite"]).json()["link"].as_str().unwrap().to_owned();
    again.asks(&["add", &link, "--name", "bob"]).json();
    again.asks(&["send", "bob", "it is me again", "--wait", "60"]).json();
    // Bob sees that it is another device of hers, and is asked before anything goes there (F9).
    bob.waits_for(&["contact", "show", "alice"], |answer| answer["contact"]["identity_changed"] == true);
    assert_eq!(bob.asks(&["send", "alice", "is it you?"]).error(4).0, "untrusted_identity");
    bob.asks(&["trust", "alice"]).json();
    bob.asks(&["send", "alice", "welcome back", "--wait", "60"]).json();
    again.waits_for(&["history", "bob"], |answer| {
        answer["messages"].as_array().unwrap().iter().any(|message| message["body"] == "welcome back")
    });
}

/// B5: a profile's folder that was put back is not gone on with; its messages can be had.
#[test]
fn b5_a_folder_that_was_put_back_says_so_and_is_still_exported() {
    let (_servers, alice, bob) = Servers::with_friends();
    let backup = alice.home().join("backup");
    copy(&alice.profile(), &backup);
    alice.asks(&["send", "bob", "after the backup", "--wait", "60"]).json();
    fs::remove_dir_all(alice.profile()).unwrap();
    copy(&backup, &alice.profile());
    for verb in [["send", "bob", "again"].as_slice(), &["history", "bob"], &["daemon"]] {
        let (name, says) = alice.asks(verb).error(1);
        assert_eq!(name, "profile_put_back");
        assert!(says.contains("waxwing export") && says.contains("init --restore"), "{says}");
    }
    let file = alice.home().join("out.jsonl");
    let done = alice.asks(&["export", file.to_str().unwrap()]).json();
    let lines = fs::read_to_string(&file).unwrap();
    assert_eq!(done["lines"], lines.lines().count());
    assert!(lines.contains("\"text\":\"hello\"") && !lines.contains("after the backup"), "{lines}");
    let text = alice.home().join("out.txt");
    let (name, says) = alice.asks(&["export", text.to_str().unwrap(), "--format", "text"]).error(2);
    assert!(name == "invalid_params" && says.contains("JSON"), "{says}");
    drop(bob);
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        // Not the daemon's socket.
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn words_that_are_wrong_say_which_and_make_nothing() {
    let servers = Servers::start(&["--open"]);
    let (_alice, words) = with_words(&servers.line());
    let words: Vec<&str> = words.split_whitespace().collect();
    let with = |place: usize, word: &str| {
        let mut changed = words.clone();
        changed[place] = word;
        changed.join(" ")
    };
    let swapped = if words[0] == "zoo" { with(0, "zone") } else { with(0, "zoo") };
    let nobody = Person::new();
    for (text, says) in [
        (words[..23].join(" "), "23 words"),
        (with(6, "waxwing"), "word 7"),
        (swapped, "do not belong together"),
        (String::new(), "0 words"),
    ] {
        let (name, message) = restore(&nobody, &servers.line(), &text).error(2);
        assert!(name == "bad_words" && message.contains(says), "{message}");
        assert!(!words.iter().any(|word| word.len() > 6 && message.contains(word)), "words are nobody's business");
    }
    assert!(!nobody.profile().exists());
    let both = ["init", "--restore", "--words-noted", "--server", &servers.line(), "--no-passphrase"];
    assert_eq!(nobody.does(&both).code, 2);
}

#[test]
fn words_of_an_account_that_nobody_knows_make_nothing() {
    let servers = Servers::start(&["--open"]);
    let nobody = Person::new();
    let (name, says) = restore(&nobody, &servers.line(), NOBODYS).error(1);
    assert!(name == "unknown_account" && says.contains("compare the words"), "{says}");
    assert!(!nobody.profile().exists());
    let alice = Person::at(&servers.line());
    assert_eq!(restore(&alice, &servers.line(), NOBODYS).error(1).0, "profile_exists");
}

#[test]
fn a_key_server_that_is_away_makes_nothing() {
    let servers = Servers::start(&["--open"]);
    let (line, nobody) = (servers.line(), Person::new());
    assert_eq!(servers.running.stop(), 0);
    let (name, says) = restore(&nobody, &line, NOBODYS).error(1);
    assert!(name == "unreachable" && says.contains("nothing was made"), "{says}");
    assert!(!nobody.profile().exists());
}
