//! `waxwing serve`.
use std::process::Stdio;

use tempfile::TempDir;

use crate::{
    picture,
    place::{Person, Running},
};

/// Both servers in a process.
pub(crate) struct Servers {
    pub(crate) folder: TempDir,
    pub(crate) running: Running,
}

impl Servers {
    pub(crate) fn start(more: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), more)
    }

    pub(crate) fn start_in(folder: TempDir, more: &[&str]) -> Self {
        let operator = Person::new();
        let data = folder.path().join("data");
        let arguments = ["serve", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1"];
        let ports = ["--relay-port", "0", "--keyserver-port", "0"];
        // Flags count before these, and the last of a flag counts.
        let ports = if more.contains(&"--relay-port") { &[][..] } else { &ports[..] };
        let mut command = operator.command(&[&arguments, ports, more].concat());
        command.stderr(Stdio::inherit());
        Self { running: Running::start(command, 3), folder }
    }

    /// Servers, and two who know each other there; nobody runs a daemon.
    pub(crate) fn with_friends() -> (Self, Person, Person) {
        let servers = Self::start(&["--open"]);
        let (alice, bob) = (Person::at(&servers.line()), Person::at(&servers.line()));
        {
            let (_a, _b) = (alice.daemon(), bob.daemon());
            alice.befriends(&bob, "alice", "bob");
        }
        (servers, alice, bob)
    }

    /// Stops them; they can go on where they were.
    pub(crate) fn pause(self) -> Paused {
        let (relay, keyserver) = self.ports();
        let Self { folder, running } = self;
        assert_eq!(running.stop(), 0);
        Paused { folder, ports: ["--relay-port".into(), relay, "--keyserver-port".into(), keyserver] }
    }

    pub(crate) fn line(&self) -> String {
        self.running.said[2].strip_prefix("join        ").unwrap().to_owned()
    }

    /// Ports of relay and key server.
    pub(crate) fn ports(&self) -> (String, String) {
        let port = |line: &str| line.rsplit(':').next().unwrap().to_owned();
        (port(&self.running.said[0]), port(&self.running.said[1]))
    }

    /// Another line.
    pub(crate) fn invite(&self) -> String {
        let data = self.folder.path().join("data");
        let said = Person::new().does(&["serve", "--invite", "--data", data.to_str().unwrap()]);
        assert_eq!(said.code, 0, "{said:?}");
        said.out.trim().to_owned()
    }
}

/// Servers that were stopped.
pub(crate) struct Paused {
    pub(crate) folder: TempDir,
    ports: [String; 4],
}

impl Paused {
    /// At the same ports, from the same folder.
    pub(crate) fn go_on(self, more: &[&str]) -> Servers {
        let ports: Vec<&str> = self.ports.iter().map(String::as_str).collect();
        Servers::start_in(self.folder, &[&ports[..], more].concat())
    }
}

#[test]
fn the_printed_line_admits_one_account_and_the_next_one_needs_another() {
    let servers = Servers::start(&[]);
    let line = servers.line();
    Person::at(&line);
    let late = Person::new();
    let refused = late.does(&["init", "--server", &line, "--no-passphrase", "--words-noted"]);
    assert_eq!(refused.code, 3, "a spent invitation: {refused:?}");
    Person::at(&servers.invite());
    assert_eq!(servers.running.stop(), 0, "SIGTERM ends both");
}

#[test]
fn a_restart_prints_the_same_invitation_until_it_was_used() {
    let first = Servers::start(&[]);
    let (line, (relay, keyserver)) = (first.line(), first.ports());
    let Servers { folder, running } = first;
    assert_eq!(running.stop(), 0);
    let ports = ["--relay-port", relay.as_str(), "--keyserver-port", keyserver.as_str()];
    let second = Servers::start_in(folder, &ports);
    assert_eq!(second.line(), line);
    Person::at(&line);
    let Servers { folder, running } = second;
    assert_eq!(running.stop(), 0);
    let third = Servers::start_in(folder, &ports);
    assert_ne!(third.line(), line);
    Person::at(&third.line());
}

#[test]
fn an_open_server_admits_everybody() {
    let servers = Servers::start(&["--open"]);
    let line = servers.line();
    assert_eq!(line.split(',').count(), 2, "{line}");
    Person::at(&line);
    Person::at(&line);
}

#[test]
fn two_servers_do_not_share_a_folder_and_say_so() {
    let servers = Servers::start(&[]);
    let data = servers.folder.path().join("data");
    let operator = Person::new();
    let more = ["--listen", "127.0.0.1", "--relay-port", "0", "--keyserver-port", "0"];
    let second = operator.does(&[&["serve", "--data", data.to_str().unwrap()], &more[..]].concat());
    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.err.contains("in use by another process"), "{second:?}");
}

#[test]
fn the_demo_loses_nothing() {
    let said = Person::new().does(&["demo"]);
    assert_eq!(said.code, 0, "{said:?}");
    for shown in ["WHAT THE RELAY SAW", "Alice: Lunch at twelve?", "Carol: Bring the map", "Nothing was lost"] {
        assert!(said.out.contains(shown), "{shown}: {said:?}");
    }
    picture::is_of(&said.out);
}
