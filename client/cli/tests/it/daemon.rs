//! A profile's daemon: programs and verbs ask it.
use std::{
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    place::{PATIENCE, Person, Socket},
    servers::Servers,
};

fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or_default()
}

#[test]
fn the_socket_is_its_owners_alone_and_goes_with_the_daemon() {
    let servers = Servers::start(&[]);
    let alice = Person::at(&servers.line());
    let daemon = alice.daemon();
    let socket = alice.profile().join("daemon.sock");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&socket), mode(&alice.profile())), (0o600, 0o700));
    assert_eq!(alice.asks(&["status"]).json()["daemon"], true);
    let second = alice.asks(&["daemon"]);
    assert_eq!(second.error(1).0, "profile_locked");
    alice.asks(&["daemon", "stop"]).json();
    assert_eq!(daemon.ends(), 0);
    assert!(!socket.exists());
    assert_eq!(alice.asks(&["status"]).json()["daemon"], false, "and the verb opens the profile itself");
    assert_eq!(alice.asks(&["daemon", "stop"]).error(1).0, "refused");
}

#[test]
fn f6_a_folder_or_socket_that_others_can_write_to_is_not_used() {
    let servers = Servers::start(&[]);
    let alice = Person::at(&servers.line());
    let daemon = alice.daemon();
    let (folder, socket) = (alice.profile(), alice.profile().join("daemon.sock"));
    let set = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for (path, bad, good) in [(&folder, 0o770, 0o700), (&folder, 0o707, 0o700), (&socket, 0o666, 0o600)] {
        set(path, bad);
        let (name, says) = alice.asks(&["status"]).error(1);
        assert_eq!(name, "unsafe_folder");
        assert!(says.contains("chmod"), "{says}");
        set(path, good);
        alice.asks(&["status"]).json();
    }
    drop(daemon);
    set(&folder, 0o777);
    assert_eq!(alice.asks(&["daemon"]).error(1).0, "unsafe_folder", "nor does a daemon begin in such a folder");
}

#[test]
fn a_socket_that_a_killed_daemon_left_is_in_nobodys_way() {
    let servers = Servers::start(&[]);
    let alice = Person::at(&servers.line());
    let mut daemon = alice.daemon();
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    assert!(alice.profile().join("daemon.sock").exists());
    assert_eq!(alice.asks(&["status"]).json()["daemon"], false);
    let again = alice.daemon();
    assert_eq!(again.stop(), 0);
}

#[test]
fn several_programs_at_once_each_get_their_own_answers() {
    let servers = Servers::start(&[]);
    let alice = Person::at(&servers.line());
    let _daemon = alice.daemon();
    let mut sockets: Vec<Socket> = (0..8).map(|_| Socket::of(&alice)).collect();
    for round in 0..5 {
        for (number, socket) in sockets.iter_mut().enumerate() {
            socket
                .say(format!("{{\"jsonrpc\":\"2.0\",\"id\":\"{round}-{number}\",\"method\":\"whoami\"}}\n").as_bytes());
        }
        for (number, socket) in sockets.iter_mut().enumerate() {
            assert_eq!(socket.hear().unwrap()["id"], format!("{round}-{number}"));
        }
    }
}

#[test]
fn what_is_no_request_gets_its_code_and_the_conversation_goes_on() {
    let servers = Servers::start(&[]);
    let alice = Person::at(&servers.line());
    let _daemon = alice.daemon();
    let mut socket = Socket::of(&alice);
    for (line, expected) in [
        ("{", -32700),
        ("[]", -32600),
        ("7", -32600),
        (r#"{"id":1,"method":"whoami"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":{},"method":"whoami"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"no.such"}"#, -32601),
        (r#"{"jsonrpc":"2.0","id":1,"method":"whoami","params":{"x":1}}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"send","params":{"to":"bob"}}"#, 1001),
        (r#"{"jsonrpc":"2.0","id":1,"method":"contact.show","params":{}}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"contact.show","params":["bob"]}"#, 1001),
    ] {
        socket.say(format!("{line}\n").as_bytes());
        assert_eq!(code(&socket.hear().unwrap()), expected, "{line}");
    }
    // A notification is done and not answered; a batch is answered at once.
    socket.say(b"{\"jsonrpc\":\"2.0\",\"method\":\"whoami\"}\n\n");
    socket.say(br#"[{"jsonrpc":"2.0","id":1,"method":"whoami"},{"jsonrpc":"2.0","method":"status"},{"jsonrpc":"2.0","id":2,"method":"x"}]"#);
    socket.say(b"\n");
    let batch = socket.hear().unwrap();
    assert_eq!((batch.as_array().unwrap().len(), &batch[0]["id"], code(&batch[1])), (2, &json!(1), -32601));
    // A line without an end is cut off, and takes nobody else with it.
    socket.say(&vec![b'x'; (1 << 20) + 1]);
    assert_eq!(code(&socket.hear().unwrap()), -32700);
    assert_eq!(socket.hear(), None);
    Socket::of(&alice).call("whoami", Value::Null);
}

#[test]
fn events_come_again_until_they_are_acknowledged_also_after_a_restart() {
    let servers = Servers::start(&["--open"]);
    let (alice, bob) = (Person::at(&servers.line()), Person::at(&servers.line()));
    let (_a, daemon) = (alice.daemon(), bob.daemon());
    alice.befriends(&bob, "alice", "bob");
    let mut bot = Socket::of(&bob);
    assert_eq!(bot.call("events.subscribe", json!({ "consumer": "bot" }))["result"]["version"], 1);
    alice.asks(&["send", "bob", "first", "--wait", "60"]).json();
    let heard = |bot: &mut Socket, body: &str| loop {
        let note = bot.hear().expect("the daemon is at work");
        assert_eq!((&note["method"], &note["params"]["consumer"]), (&json!("event"), &json!("bot")));
        if note["params"]["message"]["body"] == body {
            return note["params"]["cursor"].as_u64().unwrap();
        }
        assert_ne!(note["params"]["message"]["body"], "acknowledged", "what was acknowledged came again");
    };
    heard(&mut bot, "first");
    // Not acknowledged: the daemon is gone, and the bot too.
    drop(bot);
    assert_eq!(daemon.stop(), 0);
    let _daemon = bob.daemon();
    let mut bot = Socket::of(&bob);
    bot.call("events.subscribe", json!({ "consumer": "bot" }));
    let cursor = heard(&mut bot, "first");
    let mut other = Socket::of(&bob);
    other.call("events.ack", json!({ "consumer": "bot", "cursor": cursor }));
    alice.asks(&["send", "bob", "second", "--wait", "60"]).json();
    heard(&mut bot, "second");
    let next = other.call("events.next", json!({ "consumer": "bot", "wait": 60 }));
    let events = next["result"]["events"].as_array().unwrap();
    assert!(events.iter().all(|note| note["cursor"].as_u64().unwrap() > cursor), "{next}");
    assert!(events.iter().any(|note| note["message"]["body"] == "second"), "{next}");
    // A subscription takes nobody else's connection, and is one of few.
    let mut greedy = Socket::of(&bob);
    for _ in 0..8 {
        greedy
            .say(b"{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"events.subscribe\",\"params\":{\"after\":999999}}\n");
        while greedy.hear().unwrap()["id"] != "x" {}
    }
    greedy.say(b"{\"jsonrpc\":\"2.0\",\"id\":\"y\",\"method\":\"events.subscribe\",\"params\":{\"after\":999999}}\n");
    let refused = loop {
        let answer = greedy.hear().unwrap();
        if answer["id"] == "y" {
            break answer;
        }
    };
    assert_eq!(code(&refused), 1302);
}

#[test]
fn a_program_speaks_over_standard_input_with_and_without_a_daemon() {
    let servers = Servers::start(&[]);
    let alice = Person::at(&servers.line());
    let account = alice.account();
    let input = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"whoami\"}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"rpc.discover\"}\n";
    let speaks = || {
        let said = alice.types(&["rpc"], input);
        assert_eq!(said.code, 0, "{said:?}");
        let lines: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((lines.len(), &lines[0]["result"]["account"]), (2, &json!(account)));
        assert_eq!(lines[1]["result"]["openrpc"], "1.3.2");
    };
    speaks();
    let _daemon = alice.daemon();
    speaks();
    assert_eq!(alice.does(&["rpc", "whoami"]).json()["account"], account);
    let (name, _) = alice.does(&["rpc", "contact.show", "{\"who\":\"nobody\"}"]).error_in_json();
    assert_eq!(name, "unknown_contact");
}

#[test]
fn verbs_that_come_together_wait_for_each_other() {
    let servers = Servers::start(&[]);
    let alice = Person::at(&servers.line());
    let children: Vec<_> = (0..4).map(|_| alice.command(&["whoami", "--json"]).spawn().unwrap()).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_client_that_does_not_read_stops_nobody_else() {
    let servers = Servers::start(&[]);
    let alice = Person::at(&servers.line());
    let _daemon = alice.daemon();
    let mut deaf = std::os::unix::net::UnixStream::connect(alice.profile().join("daemon.sock")).unwrap();
    deaf.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    // It asks for a long page again and again until nobody takes it any more.
    while deaf.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"rpc.discover\"}\n").is_ok() {}
    let begun = Instant::now();
    alice.asks(&["whoami"]).json();
    assert!(begun.elapsed() < PATIENCE);
}
