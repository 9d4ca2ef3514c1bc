//! Spec §17.19.4 and §18.12: what an operator can ask a running relay.
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use waxwing_net::{CloseCode, Ended, RequestError, process::SOCKET};
use waxwing_wire::{
    frame::{Admission, ErrorCode, InviteToken},
    relay::RelayReply,
};

use super::{
    people::{Person, client, connect},
    relay::{Process, Told, command},
};

/// A verb's exit code and what it printed where.
pub(super) fn admin(data: &Path, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waxwing-relay"));
    let Output { status, stdout, stderr } = command.args(["admin", "--data"]).arg(data).args(words).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

pub(super) fn does(data: &Path, words: &[&str]) -> String {
    let (code, stdout, stderr) = admin(data, words);
    assert_eq!((code, stderr.as_str()), (0, ""), "{words:?}");
    stdout
}

fn token(hex: &str) -> InviteToken {
    let mut bytes = [0; 16];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
    }
    InviteToken::from_bytes(bytes)
}

#[tokio::test]
async fn an_invitation_that_an_operator_mints_admits_one_mailbox_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let closed = Told { log: None, variables: &[("WAXWING_RELAY_ADMISSION_OPEN", "false")] };
    let relay = Process::start_told(folder.path(), closed);
    let minted = does(folder.path(), &["invite", "mint", "2"]);
    let tokens: Vec<_> = minted.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(tokens.len(), 2);
    let refused = Err(RequestError::Server(ErrorCode::NotAdmitted.into()));
    let connection = connect(&client(), &relay.address).await;
    assert_eq!(connection.request(Person::new(1).create_by(&connection, Admission::Open)).await, refused);
    let join = async |number, text: &str, connection: &waxwing_net::RelayConnection| {
        connection.request(Person::new(number).create_by(connection, Admission::Invite(token(text)))).await
    };
    assert_eq!(join(1, tokens[0], &connection).await, Ok(RelayReply::Done));
    let another = connect(&client(), &relay.address).await;
    assert_eq!(join(2, tokens[0], &another).await, refused, "single use");
    assert!(does(folder.path(), &["stats"]).contains("open_invitations 1\n"));
    relay.kill();
    let relay = Process::start_told(folder.path(), closed);
    let connection = connect(&client(), &relay.address).await;
    assert_eq!(join(3, tokens[0], &connection).await, refused, "spent for good");
    assert_eq!(join(2, tokens[1], &connection).await, Ok(RelayReply::Done));
    let stats = does(folder.path(), &["stats"]);
    assert_eq!(does(folder.path(), &["invite", "list"]), "1 spent\n2 spent\n");
    assert!(stats.starts_with("mailboxes 2\nenvelopes 0\n") && stats.contains("open_invitations 0\n"), "{stats}");
}

#[test]
fn a_verb_that_is_none_says_which_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Process::start(folder.path());
    let mode = std::fs::metadata(folder.path().join(SOCKET)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for (words, expected) in
        [(&["dance"][..], "verbs: health"), (&[], "verbs: health"), (&["invite", "mint", "0"], "1 to 1000")]
    {
        let (code, stdout, stderr) = admin(folder.path(), words);
        assert!(code == 1 && stdout.is_empty() && stderr.contains(expected), "{words:?}: {stderr}");
    }
    assert_eq!(does(folder.path(), &["health"]), "serving\n");
    assert_eq!(does(folder.path(), &["drain"]), "draining\n");
    let (status, _, log) = relay.wait();
    assert!(status.success(), "{log}");
    assert!(!folder.path().join(SOCKET).exists());
    let (code, _, stderr) = admin(folder.path(), &["health"]);
    assert!(code == 1 && stderr.contains("no server answers"), "{stderr}");
}

#[test]
fn prometheus_and_a_supervisor_are_answered_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    // A port that was free a moment ago.
    let place = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut child = command(folder.path()).env("WAXWING_RELAY_METRICS", place.to_string()).spawn().unwrap();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    let ask = |request: &str| {
        let mut stream = TcpStream::connect(place).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let metrics = ask("GET /metrics HTTP/1.1\r\n\r\n");
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n") && metrics.ends_with("# EOF\n"), "{metrics}");
    for line in [
        "waxwing_relay_requests_total{kind=\"put\"} 0",
        "waxwing_relay_open_connections 0",
        "waxwing_relay_mailboxes 0",
        "waxwing_relay_envelopes_total{what=\"turned_away\"} 0",
        "waxwing_relay_first_end_seconds 0",
        "waxwing_relay_commit_rows_bucket{le=\"+Inf\"} 0",
        "waxwing_relay_commit_seconds_count 0",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert!(ask("GET /health HTTP/1.1\r\n\r\n").contains("200 OK"));
    assert!(ask("GET /../server.key HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn e3_a_source_makes_as_many_mailboxes_as_it_may_over_whatever_connections() {
    let folder = tempfile::tempdir().unwrap();
    let two = Told { log: None, variables: &[("WAXWING_RELAY_LIMITS_CREATE_MAILBOX", "[2, 600]")] };
    let relay = Process::start_told(folder.path(), two);
    for number in 1..=2 {
        Person::new(number).create(&connect(&client(), &relay.address).await).await;
    }
    for number in 3..=5 {
        let connection = connect(&client(), &relay.address).await;
        let asked = connection.request(Person::new(number).create_by(&connection, Admission::Open)).await;
        let Err(RequestError::Server(error)) = asked else { panic!("{asked:?}") };
        let wait = error.retry_after.unwrap().as_secs();
        assert!(error.code == ErrorCode::RateLimited && (540..=600).contains(&wait), "{error:?}");
    }
    // Whoever has one is served.
    let connection = connect(&client(), &relay.address).await;
    Person::new(1).create(&connection).await;
    assert_eq!(connection.request(Person::new(1).put(1)).await, Ok(RelayReply::Done));
    assert!(does(folder.path(), &["metrics"]).contains("waxwing_relay_errors_total{code=\"5\"} 3\n"));
}

/// Spec §17.3.9: 1 MiB for all mailboxes is 409 envelopes of 2,560 bytes, whosever they are.
#[tokio::test]
async fn e3_all_mailboxes_together_hold_what_the_operator_allows() {
    let folder = tempfile::tempdir().unwrap();
    let told = Told { log: None, variables: &[("WAXWING_RELAY_LIMITS_MAILBOXES_TOTAL", "1048576")] };
    let relay = Process::start_told(folder.path(), told);
    let people = [1, 2].map(Person::new);
    for person in &people {
        person.create(&connect(&client(), &relay.address).await).await;
    }
    let sender = connect(&client(), &relay.address).await;
    for number in 0..409_u64 {
        let to = &people[usize::from(number % 2 == 1)];
        assert_eq!(sender.request(to.put(number)).await, Ok(RelayReply::Done));
    }
    for person in &people {
        let full = sender.request(person.put(1_000)).await;
        assert!(
            matches!(&full, Err(RequestError::Server(error)) if error.code == ErrorCode::StoreUnavailable),
            "{full:?}"
        );
    }
}

#[tokio::test]
async fn what_becomes_of_envelopes_and_transactions_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Process::start(folder.path());
    let alice = Person::new(1);
    alice.create(&connect(&client(), &relay.address).await).await;
    let sender = connect(&client(), &relay.address).await;
    for number in 1..=20 {
        assert_eq!(sender.request(alice.put(number)).await, Ok(RelayReply::Done));
    }
    for _ in 0..2 {
        // Shown, not acked.
        let mut subscription = alice.subscribe(connect(&client(), &relay.address).await, 0, 1_024).await.unwrap();
        for _ in 0..20 {
            assert!(subscription.backlog.next().await.unwrap().is_some());
        }
    }
    let metrics = does(folder.path(), &["metrics"]);
    let value = |name: &str| -> f64 {
        let name = format!("waxwing_relay_{name} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_else(|| panic!("{metrics}"));
        line.parse().unwrap()
    };
    assert_eq!(value("envelopes_total{what=\"shown_again\"}"), 20.0, "{metrics}");
    assert_eq!((value("waiting_envelopes"), value("forgetting_envelopes")), (20.0, 0.0));
    let fortnight = 14.0 * 86_400.0;
    assert!((fortnight - 600.0..fortnight).contains(&value("first_end_seconds")), "{metrics}");
    // A mailbox, a lane, twenty puts one after the other.
    let commits = value("commit_rows_count");
    assert!(commits >= 22.0 && value("commit_rows_sum") >= 22.0 && value("commit_seconds_sum") > 0.0, "{metrics}");
    assert_eq!(commits, value("commit_seconds_count"));
}

#[tokio::test]
async fn a_mailbox_that_an_operator_blocks_ends_for_its_owner_and_for_senders() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Process::start(folder.path());
    let alice = Person::new(1);
    let owner = connect(&client(), &relay.address).await;
    alice.create(&owner).await;
    let subscribed = alice.subscribe(connect(&client(), &relay.address).await, 0, 8).await.unwrap();
    let mailbox = alice.mailbox().to_string();
    assert_eq!(does(folder.path(), &["block", &mailbox]), "blocked\n");
    let ended = subscribed.connection.closed().await;
    assert_eq!(ended, Ended::ClosedByPeer(CloseCode::Error(ErrorCode::Refused)));
    let refused = Err(RequestError::Server(ErrorCode::Refused.into()));
    let sender = connect(&client(), &relay.address).await;
    assert_eq!(sender.request(alice.put(1)).await, refused);
    let again = sender.request(alice.create_by(&sender, Admission::Open)).await;
    assert_eq!(again, Err(RequestError::Server(ErrorCode::Taken.into())));
    for (words, expected) in [
        (["block", "alice"], "wxm-"),
        (["unblock", "wxm-"], "wxm-"),
        (["unblock", &Person::new(2).mailbox().to_string()], "not blocked"),
    ] {
        let (code, _, stderr) = admin(folder.path(), &words);
        assert!(code == 1 && stderr.contains(expected), "{stderr}");
    }
    assert_eq!(does(folder.path(), &["unblock", &mailbox]), "not blocked any more\n");
    alice.create(&connect(&client(), &relay.address).await).await;
}

#[tokio::test]
async fn a_mailbox_moves_to_another_relay_with_what_waits_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (old, new) = (Process::start(&at("old")), Process::start(&at("new")));
    let alice = Person::new(1);
    alice.create(&connect(&client(), &old.address).await).await;
    let sender = connect(&client(), &old.address).await;
    for number in 1..=3 {
        assert_eq!(sender.request(alice.put(number)).await, Ok(RelayReply::Done));
    }
    let (mailbox, file) = (alice.mailbox().to_string(), at("a file"));
    let file = file.to_str().unwrap();
    assert_eq!(does(&at("old"), &["export", &mailbox, file]), "exported, 3 envelopes\n");
    let mut before = alice.subscribe(connect(&client(), &old.address).await, 0, 8).await.unwrap();
    let waiting = before.drain_backlog().await;
    assert_eq!(does(&at("new"), &["import", file]), "imported, 3 envelopes\n");
    let mut after = alice.subscribe(connect(&client(), &new.address).await, 0, 8).await.unwrap();
    assert_eq!(after.drain_backlog().await, waiting, "at the numbers that they had");
    let sender = connect(&client(), &new.address).await;
    assert_eq!(sender.request(alice.put(4)).await, Ok(RelayReply::Done), "by the same key");
    let absent = Person::new(2).mailbox().to_string();
    for (words, expected) in [
        (&["import", file][..], "already"),
        (&["export", &mailbox, file], "already"),
        (&["export", "alice", "file"], "wxm-"),
        (&["export", &absent, "file"], "no such mailbox"),
        (&["export", &mailbox], "verbs: health"),
        (&["import", "/nowhere/file"], "cannot be read"),
    ] {
        let (code, stdout, stderr) = admin(&at("new"), words);
        assert!(code == 1 && stdout.is_empty() && stderr.contains(expected), "{words:?}: {stderr}");
    }
    assert_eq!(does(&at("new"), &["verify"]), "everything verifies\n");
    assert!(does(&at("new"), &["stats"]).starts_with("mailboxes 1\nenvelopes 4\n"));
}
