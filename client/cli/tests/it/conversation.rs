//! Two people who talk.
use crate::servers::Servers;

#[test]
fn without_a_daemon_what_was_sent_waits_at_the_relay_and_is_received_once() {
    let (_servers, alice, bob) = Servers::with_friends();
    // Nobody runs now: each verb opens the profile, does its work and leaves.
    let sent = alice.types(&["send", "bob", "--json"], "line one\nline two\n".as_bytes()).json();
    assert_eq!((sent["state"].as_str(), &sent["version"]), (Some("sent"), &1.into()));
    let mut bodies = Vec::new();
    bob.waits_for(&["receive", "--wait", "30"], |answer| {
        bodies.extend(answer["messages"].as_array().unwrap().iter().map(|message| message["body"].clone()));
        bodies.iter().any(|body| body == "line one\nline two")
    });
    assert_eq!(bodies, ["hello", "line one\nline two"], "each once");
    let again = bob.asks(&["receive", "--wait", "1"]).json();
    assert_eq!(again["messages"].as_array().unwrap().len(), 0, "acknowledged once it was shown");
    let other = bob.asks(&["receive", "--consumer", "bot", "--wait", "1"]).json();
    assert!(!other["messages"].as_array().unwrap().is_empty(), "each consumer has a place of its own");
}

#[test]
fn alone_a_verb_receives_everything_that_waited_at_once_and_does_not_wait_for_more() {
    let (_servers, alice, bob) = Servers::with_friends();
    {
        let _daemon = alice.daemon();
        for number in 0..40 {
            alice.asks(&["send", "bob", &format!("number {number}"), "--wait", "60"]).json();
        }
    }
    let received = bob.asks(&["receive", "--limit", "1000"]).json();
    let messages = received["messages"].as_array().unwrap();
    let bodies: Vec<_> = messages.iter().filter(|message| message["mine"] != true).collect();
    assert_eq!(bodies.len(), 41, "hello, and 40: {received}");
    // Nothing waits, and nobody asked to wait for anything: the usual patience is 5 s, of which a start takes a part.
    let begun = std::time::Instant::now();
    let nothing = bob.asks(&["receive"]).json();
    assert_eq!(nothing["messages"].as_array().unwrap().len(), 0);
    let alone = begun.elapsed();
    let begun = std::time::Instant::now();
    bob.asks(&["receive", "--wait", "5"]).json();
    assert!(alone < begun.elapsed(), "it waits if it is asked to");
}

#[test]
fn messages_are_listed_read_searched_and_counted() {
    let (_servers, alice, bob) = Servers::with_friends();
    let (_a, _b) = (alice.daemon(), bob.daemon());
    for text in ["The eagle lands at noon", "bring the map", "你好世界"] {
        alice.asks(&["send", "bob", text, "--wait", "60"]).json();
    }
    bob.waits_for(&["list"], |answer| answer["unread"] == 4);
    let page = bob.asks(&["history", "alice", "--limit", "2"]).json();
    assert_eq!(page["more"], true);
    let (map, hello) = (&page["messages"][0], &page["messages"][1]);
    assert_eq!((&map["body"], &hello["body"]), (&"bring the map".into(), &"你好世界".into()));
    let before = bob.asks(&["history", "alice", "--before", map["short"].as_str().unwrap()]).json();
    assert_eq!(before["messages"].as_array().unwrap().len(), 2);
    let around = bob.asks(&["history", "alice", "--around", map["id"].as_str().unwrap(), "--limit", "2"]).json();
    assert_eq!(around["messages"][0]["body"], "The eagle lands at noon");
    for (query, found) in [("eag", 1), ("世界", 1), ("map", 1), ("nothing", 0)] {
        let hits = bob.asks(&["search", query, "--in", "alice", "--from", "alice", "--since", "2020-01-01"]).json();
        assert_eq!(hits["hits"].as_array().unwrap().len(), found, "{query}: {hits}");
    }
    assert_eq!(bob.asks(&["search", "map", "--from", "me"]).json()["hits"].as_array().unwrap().len(), 0);
    // Up to a message, then all.
    bob.asks(&["mark-read", "alice", "--up-to", map["short"].as_str().unwrap()]).json();
    assert_eq!(bob.asks(&["list"]).json()["unread"], 1);
    let unread = bob.asks(&["read", "alice"]).json();
    assert_eq!(unread["messages"].as_array().unwrap().len(), 1);
    assert_eq!(bob.asks(&["status"]).json()["unread"], 0);
    // Alice hears that it was read.
    alice.waits_for(&["history", "bob"], |answer| {
        answer["messages"].as_array().unwrap().iter().all(|message| message["state"] == "read")
    });
}

#[test]
fn both_see_the_same_safety_number_and_a_wrong_one_is_no_trust() {
    let (_servers, alice, bob) = Servers::with_friends();
    let (_a, _b) = (alice.daemon(), bob.daemon());
    let number = alice.asks(&["verify", "bob"]).json();
    let digits = number["number"].as_str().unwrap();
    assert_eq!(digits.split(' ').count(), 12);
    let same = bob.asks(&["verify", "alice", "--number", digits]).json();
    assert_eq!((&same["same"], &same["contact"]["verified"]), (&true.into(), &true.into()));
    let scanned = bob.asks(&["verify", "alice"]).json()["scannable"].as_str().unwrap().to_owned();
    assert_eq!(alice.asks(&["verify", "bob", "--scanned", &scanned]).json()["same"], true);
    let wrong = format!("{}{}", if digits.starts_with('1') { '2' } else { '1' }, &digits[1..]);
    let differs = bob.asks(&["verify", "alice", "--number", &wrong]);
    assert_eq!(differs.code, 4, "{differs:?}");
    assert_eq!(bob.asks(&["contact", "show", "alice"]).json()["contact"]["verified"], false);
    let log = bob.asks(&["identity", "log", "alice"]).json();
    let events: Vec<_> =
        log["entries"].as_array().unwrap().iter().map(|entry| entry["event"].as_str().unwrap()).collect();
    for event in ["first_seen", "accepted", "verified", "unverified"] {
        assert!(events.contains(&event), "{event}: {events:?}");
    }
    let code = alice.does(&["verify", "bob", "--qr"]);
    assert!(code.out.contains('█'), "{code:?}");
}

#[test]
fn people_are_renamed_muted_blocked_and_forgotten() {
    let (_servers, alice, bob) = Servers::with_friends();
    let (_a, _b) = (alice.daemon(), bob.daemon());
    let who = alice.account();
    assert_eq!(bob.asks(&["contact", "rename", "alice", "Ally"]).json()["contact"]["name"], "Ally");
    // By the beginning of the id, in whatever case of the name.
    assert_eq!(bob.asks(&["contact", "show", &who[..12]]).json()["contact"]["account"], *who);
    assert_eq!(bob.asks(&["mute", "ally"]).json()["contact"]["muted_until"], u64::MAX);
    assert!(bob.asks(&["mute", "ally", "--off"]).json()["contact"]["muted_until"].is_null());
    assert_eq!(bob.asks(&["contact", "block", "ally"]).json()["contact"]["standing"], "blocked");
    let (name, says) = bob.asks(&["send", "ally", "hi"]).error(1);
    assert_eq!(name, "blocked");
    assert!(says.contains("contact unblock"), "{says}");
    assert_eq!(bob.asks(&["contact", "unblock", "ally"]).json()["contact"]["standing"], "accepted");
    bob.asks(&["contact", "remove", "ally"]).json();
    assert_eq!(bob.asks(&["contact", "show", "ally"]).error(1).0, "unknown_contact");
}

#[test]
fn an_export_is_private_whole_and_never_written_over() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_servers, alice, _bob) = Servers::with_friends();
    let path = alice.home().join("out.jsonl");
    let file = path.to_str().unwrap();
    let done = alice.asks(&["export", file]).json();
    let lines = std::fs::read_to_string(&path).unwrap();
    assert_eq!(done["lines"], lines.lines().count());
    assert!(lines.contains("\"text\":\"hello\""), "{lines}");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(alice.asks(&["export", file]).error(1).0, "system");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), lines);
    let text = alice.home().join("out.txt");
    alice.asks(&["export", text.to_str().unwrap(), "--format", "text"]).json();
    assert!(std::fs::read_to_string(text).unwrap().contains(": hello"));
}

#[test]
fn what_a_peer_writes_reaches_the_screen_and_moves_nothing_on_it() {
    let (_servers, alice, bob) = Servers::with_friends();
    let attack = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}evil\n12:00 bob: yes, pay\u{9b}31m";
    alice.asks(&["send", "bob", attack, "--wait", "60"]).json();
    // Programs get what was written.
    bob.waits_for(&["receive", "--consumer", "json", "--wait", "30"], |answer| {
        answer["messages"].as_array().unwrap().iter().any(|message| message["body"] == attack)
    });
    let shown = bob.does(&["history", "alice"]);
    assert_eq!(shown.code, 0);
    assert!(shown.out.chars().all(|character| character == '\n' || !character.is_control()), "{shown:?}");
    assert!(shown.out.contains("\\u{1b}]0;owned") && shown.out.contains("\\u{202e}"), "{shown:?}");
    assert!(shown.out.contains("\n       | 12:00 bob: yes"), "a line of theirs is behind a margin: {shown:?}");
    let found = bob.does(&["search", "evil"]);
    assert!(found.out.chars().all(|character| character == '\n' || !character.is_control()), "{found:?}");
}

#[test]
fn f11_no_word_of_a_message_is_in_the_log_at_any_level() {
    let (_servers, alice, bob) = Servers::with_friends();
    let sent = alice.does(&["send", "bob", "xyzzy-marker", "--wait", "60", "--log", "trace"]);
    assert_eq!(sent.code, 0, "{sent:?}");
    let mut said = vec![sent];
    while !said.last().unwrap().out.contains("xyzzy-marker") {
        assert!(said.len() < 20, "it does not come: {said:?}");
        said.push(bob.does(&["receive", "--wait", "10", "--log", "trace"]));
    }
    for said in said {
        assert!(!said.err.contains("xyzzy-marker") && !said.err.contains("wxa-"), "{}", said.err);
    }
}

#[test]
fn a_chat_sends_what_is_typed_and_shows_what_comes() {
    let (_servers, alice, bob) = Servers::with_friends();
    let _b = bob.daemon();
    let said = alice.types(&["chat", "bob"], b"typed in a chat\n\nand more\n");
    assert_eq!(said.code, 0, "{said:?}");
    let seen = bob.waits_for(&["list"], |answer| answer["unread"] == 3);
    assert_eq!(seen["conversations"][0]["last"]["body"], "and more");
}
