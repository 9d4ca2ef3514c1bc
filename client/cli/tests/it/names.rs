//! People who are found by a name, and names of one's own.
use crate::{place::Person, servers::Servers};

#[test]
fn somebody_is_found_by_a_name_added_and_written_to() {
    let servers = Servers::start(&["--open"]);
    let (alice, bob) = (Person::at(&servers.line()), Person::at(&servers.line()));
    let (_a, daemon) = (alice.daemon(), bob.daemon());
    assert_eq!(alice.asks(&["add", "bob"]).error(1).0, "name_not_found");
    let claimed = bob.asks(&["name", "claim", "Bob", "--wait", "60"]).json();
    assert_eq!((claimed["name"]["name"].as_str(), claimed["name"]["state"].as_str()), (Some("bob"), Some("listed")));
    let address = claimed["name"]["address"].as_str().unwrap().to_owned();
    assert!(address.starts_with("bob@wxs-"), "{address}");
    // The name alone, at one's own key server; and the whole of it.
    let added = alice.asks(&["add", "bob", "--wait", "60"]).json();
    assert_eq!((&added["contact"]["account"], &added["contact"]["name"]), (&bob.account().into(), &"bob".into()));
    assert_eq!(added["contact"]["standing"], "added");
    let theirs = bob.account();
    let number = added["by_name"]["safety_number"].as_str().unwrap().to_owned();
    let shown = alice.does(&["add", &address, "--name", "Bobby"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.out.contains("Bobby") && shown.out.contains("To be sure, compare:"), "{shown:?}");
    assert!(number.split(' ').all(|group| shown.out.contains(group)), "{shown:?}");
    alice.asks(&["send", "bobby", "hello", "--wait", "60"]).json();
    bob.waits_for(&["requests"], |answer| answer["contacts"][0]["account"] == *alice.account());
    bob.asks(&["contact", "accept", &alice.account(), "--name", "alice"]).json();
    alice.waits_for(&["contact", "show", "bobby"], |answer| answer["contact"]["accepted_us"] == true);
    assert_eq!(bob.asks(&["verify", "alice"]).json()["number"], *number, "both see the same");
    // What became of it, for programs.
    let events = alice.asks(&["events", "next", "--consumer", "bot", "--limit", "1000"]).json();
    let events = events["events"].as_array().unwrap().iter().map(|note| &note["event"]);
    let events: Vec<_> = events.filter(|event| event["name"] == "bob").collect();
    let kinds: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["name_not_found", "name_found", "name_found"]);
    assert_eq!((&events[0]["reason"], &events[1]["account"]), (&"not_listed".into(), &theirs.into()));

    // No longer listed; given up; without a daemon, too.
    let unlisted = bob.asks(&["name", "claim", "bob", "--unlisted", "--wait", "60"]).json();
    assert_eq!(unlisted["name"]["state"], "held");
    let carol = Person::at(&servers.line());
    assert_eq!(carol.asks(&["add", "bob", "--wait", "60"]).error(1).0, "name_not_found");
    let taken = carol.asks(&["name", "claim", "b0b", "--wait", "60"]).error(1);
    assert!(taken.0 == "name_refused" && taken.1.contains("looks like it"), "{taken:?}");
    assert_eq!(carol.asks(&["name", "claim", "admin", "--unlisted", "--wait", "60"]).error(1).0, "name_refused");
    drop(daemon);
    assert_eq!(bob.asks(&["name", "list"]).json()["names"][0]["state"], "held");
    bob.asks(&["name", "release", "bob", "--wait", "60"]).json();
    assert_eq!(bob.asks(&["name", "list"]).json()["names"].as_array().unwrap().len(), 0);
    assert_eq!(bob.asks(&["name", "release", "bob"]).error(1).0, "unknown_name");
    assert_eq!(carol.asks(&["name", "claim", "bob", "--wait", "60"]).error(1).0, "name_refused", "it rests");
}

#[test]
fn a_name_at_a_server_that_does_not_answer_is_looked_for_later() {
    let servers = Servers::start(&["--open"]);
    let (alice, bob) = (Person::at(&servers.line()), Person::at(&servers.line()));
    let address =
        bob.asks(&["name", "claim", "bob", "--wait", "60"]).json()["name"]["address"].as_str().unwrap().to_owned();
    let servers = servers.pause();
    let (name, text) = alice.asks(&["add", &address, "--wait", "0"]).error(3);
    assert!(name == "not_connected" && text.contains("is looked for"), "{name}: {text}");
    let status = alice.asks(&["status"]).json();
    assert_eq!(
        (&status["looking_for"][0]["name"], status["looking_for"].as_array().map(Vec::len)),
        (&"bob".into(), Some(1))
    );
    assert!(alice.does(&["status"]).out.contains("looking for bob since "));
    let _servers = servers.go_on(&["--open"]);
    let _daemon = alice.daemon();
    alice.waits_for(&["contact", "list"], |answer| answer["contacts"][0]["name"] == "bob");
}
