//! Starting, stopping, failing and the operator's verbs, as an operator sees them.
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use waxwing_net::{CloseCode, Ended, RequestError, process::SOCKET};
use waxwing_wire::{
    frame::{Admission, ErrorCode, InviteToken},
    keyserver::{FetchAccount, KeyserverReply, KeyserverRequest},
};

use super::{
    people::{client, connect, fetch, now, register, upload},
    server::{Process, Told, command},
};
use crate::{asking::create, people::Person};

fn fails(data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let mut command = command(data);
    let Output { status, stdout, stderr } = command.args(arguments).envs(variables.iter().copied()).output().unwrap();
    assert!(stdout.is_empty(), "nothing is printed but an address");
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

/// A verb's exit code and what it printed where.
fn admin(data: &Path, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waxwing-keyserver"));
    let Output { status, stdout, stderr } = command.args(["admin", "--data"]).arg(data).args(words).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn does(data: &Path, words: &[&str]) -> String {
    let (code, stdout, stderr) = admin(data, words);
    assert_eq!((code, stderr.as_str()), (0, ""), "{words:?}");
    stdout
}

#[tokio::test]
async fn accounts_and_the_address_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("new/data");
    let first = Process::start(&data);
    let alice = Person::new(1);
    let manifest = {
        let connection = connect(&client(), &first.address).await;
        let manifest = register(&alice, &connection).await;
        upload(&alice, &manifest, &connection, (1, 3)).await.unwrap();
        assert!(!fetch(alice.id(), &connection).await.unwrap().last_resort);
        manifest
    };
    let key = *first.address.key();
    for name in ["server.key", "keys.db", "keys.db-wal", "keys.db-shm", "lock", SOCKET] {
        let mode = fs::metadata(data.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    first.stop();
    assert!(!data.join(SOCKET).exists());
    let second = Process::start(&data);
    assert_eq!(*second.address.key(), key);
    let connection = connect(&client(), &second.address).await;
    let asked = KeyserverRequest::FetchAccount(FetchAccount { account: alice.id() });
    let Ok(KeyserverReply::Account(objects)) = connection.request(asked).await else { panic!() };
    assert_eq!(objects.verify(&alice.id(), now()).unwrap().manifest, manifest);
}

#[tokio::test]
async fn a_stopping_server_answers_what_it_has_and_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path());
    let connection = connect(&client(), &server.address).await;
    register(&Person::new(1), &connection).await;
    server.signal("TERM");
    assert_eq!(connection.closed().await, Ended::ClosedByPeer(CloseCode::Error(ErrorCode::Draining)));
    let (status, rest, log) = server.wait();
    assert!(status.success() && rest.is_empty(), "{log}");
    assert!(log.contains("every client was told"), "{log}");
}

#[test]
fn an_operator_can_stop_it_by_a_verb() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path());
    assert_eq!(does(folder.path(), &["drain"]), "draining\n");
    let (status, _, log) = server.wait();
    assert!(status.success(), "{log}");
    let (code, _, stderr) = admin(folder.path(), &["health"]);
    assert!(code == 1 && stderr.contains("no server answers"), "{stderr}");
}

#[tokio::test]
async fn an_invitation_that_an_operator_mints_admits_one_account() {
    let folder = tempfile::tempdir().unwrap();
    let variables = &[("WAXWING_KEYSERVER_ADMISSION_OPEN", "false")];
    let server = Process::start_told(folder.path(), Told { log: None, variables });
    let minted = does(folder.path(), &["invite", "mint", "2"]);
    let tokens: Vec<_> = minted.lines().map(|line| line.split_once(' ').unwrap().1).map(token).collect();
    assert_eq!(tokens.len(), 2);
    let connection = connect(&client(), &server.address).await;
    let join = async |seed, token: [u8; 16]| {
        let person = Person::new(seed);
        connection
            .request(create(&person, &person.first_at(0, now()), Admission::Invite(InviteToken::from_bytes(token))))
            .await
    };
    let refused = Err(RequestError::Server(ErrorCode::NotAdmitted.into()));
    assert_eq!(join(1, [7; 16]).await, refused);
    assert_eq!(join(1, tokens[0]).await, Ok(KeyserverReply::Done));
    assert_eq!(join(2, tokens[0]).await, refused, "single use");
    assert_eq!(does(folder.path(), &["invite", "revoke", "2"]), "1 invitations ended\n");
    assert_eq!(join(2, tokens[1]).await, refused, "revoked");
    assert_eq!(does(folder.path(), &["invite", "list"]), "1 spent\n2 revoked\n");
    assert!(does(folder.path(), &["stats"]).starts_with("accounts 1\n"));
    assert_eq!(does(folder.path(), &["verify"]), "everything verifies\n");
}

pub(super) fn token(hex: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
    }
    bytes
}

#[test]
fn a_verb_that_is_none_says_which_there_are_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let _server = Process::start(folder.path());
    for (words, expected) in [
        (&["dance"][..], "verbs: health"),
        (&[][..], "verbs: health"),
        (&["invite", "mint", "0"], "1 to 1000"),
        (&["invite", "mint", "1", "below", "9"], "no"),
        (&["invite", "revoke", "x"], "by its number"),
        (&["name", "give", "Alice", "x"], "a name is of"),
        (&["name", "give", "alice", "x"], "by its id"),
    ] {
        let (code, stdout, stderr) = admin(folder.path(), words);
        assert!(code == 1 && stdout.is_empty() && stderr.contains(expected), "{words:?}: {stderr}");
    }
    assert_eq!(does(folder.path(), &["invite", "list"]), "");
}

#[test]
fn prometheus_and_a_supervisor_are_answered_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = command(folder.path());
    let mut child = command.env("WAXWING_KEYSERVER_METRICS", port.to_string()).spawn().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut String::new())
        .unwrap();
    let ask = |request: &str| {
        let mut stream = TcpStream::connect(port).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let metrics = ask("GET /metrics HTTP/1.1\r\n\r\n");
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n") && metrics.ends_with("# EOF\n"), "{metrics}");
    for line in [
        "waxwing_keyserver_requests_total{kind=\"create_account\"} 0",
        "waxwing_keyserver_open_connections 0",
        // What a scraper takes a histogram's last bucket by.
        "le=\"+Inf\"",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert!(ask("GET /health HTTP/1.1\r\n\r\n").contains("200 OK"));
    assert!(ask("GET /../keys.db HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
    assert!(ask("POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_is_wrong_is_said_and_has_a_code() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let config = folder.path().join("keys.toml");
    let file = config.to_str().unwrap();
    for (content, expected) in [
        ("colour = 1", "unknown field `colour`"),
        ("[names]\nmots = 1", "unknown field `mots`"),
        ("[keys]\none_time = 201", "keys.one_time is out of its range"),
        ("[admission]\nwork = 41", "work is 0 to 40 bits"),
        ("hosts = [\"no port\"]", "is no host with a port"),
        ("metrics = \"no port\"", "metrics"),
        ("log = \"loud\"", "unknown variant `loud`"),
        ("= nonsense", "keys.toml"),
    ] {
        fs::write(&config, content).unwrap();
        let (code, log) = fails(&data, &["--config", file], &[]);
        assert!(code == 2 && log.contains(expected), "{content}: {log}");
    }
    let (code, log) = fails(&data, &["--config", "/nowhere/keys.toml"], &[]);
    assert!(code == 2 && log.contains("/nowhere/keys.toml"), "{log}");
    let (code, log) = fails(&data, &[], &[("WAXWING_KEYSERVER_NAMES_MOTS", "1")]);
    assert!(code == 2 && log.contains("mots"), "{log}");
    let (code, log) = fails(&data, &["--log", "loud"], &[]);
    assert!(code == 2 && log.contains("loud"), "{log}");
    fs::write(&config, "").unwrap();
    let (code, log) = fails(&config, &[], &[]);
    assert!(code == 3 && log.contains("cannot use"), "{log}");
    assert!(!data.exists(), "nothing was made on the way");
}

#[test]
fn e8_a_database_that_is_none_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.db");
    let foreign = b"these are not the tables you are looking for".repeat(200);
    fs::write(&file, &foreign).unwrap();
    let (code, log) = fails(folder.path(), &[], &[]);
    assert!(code == 5 && log.contains("the database"), "{log}");
    assert_eq!(fs::read(&file).unwrap(), foreign);
}

#[test]
fn a_folder_is_one_processs_unless_all_say_that_they_share_it() {
    let folder = tempfile::tempdir().unwrap();
    let alone = Process::start(folder.path());
    for arguments in [&[][..], &["--shared"][..]] {
        let (code, log) = fails(folder.path(), arguments, &[]);
        assert!(code == 3 && log.contains("in use by another process"), "{log}");
    }
    let other = tempfile::tempdir().unwrap();
    let port = alone.address.hosts()[0].as_str().to_owned();
    let (code, log) = {
        let mut command = Command::new(env!("CARGO_BIN_EXE_waxwing-keyserver"));
        let output = command.arg("--data").arg(other.path()).args(["--listen", &port]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert!(code == Some(4) && log.contains("listen"), "{log}");
    alone.stop();
    let shared = Told { log: None, variables: &[("WAXWING_KEYSERVER_SHARED", "true")] };
    let (one, two) = (Process::start_told(folder.path(), shared), Process::start_told(folder.path(), shared));
    assert_eq!(one.address.key(), two.address.key());
    let (code, log) = fails(folder.path(), &[], &[]);
    assert!(code == 3 && log.contains("in use by another process"), "{log}");
}
