//! Starting, stopping and failing as an operator sees it.
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Output};

use waxwing_net::{CloseCode, Ended};
use waxwing_wire::{
    frame::ErrorCode,
    relay::{RelayPush, RelayReply, RelayRequest},
};

use super::{
    people::{Person, client, connect},
    relay::{Process, command},
};

fn fails(data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let mut command = command(data);
    let Output { status, stdout, stderr } = command.args(arguments).envs(variables.iter().copied()).output().unwrap();
    assert!(stdout.is_empty(), "nothing is printed but an address");
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

#[tokio::test]
async fn a_relay_keeps_its_address_and_its_mailboxes_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("new/data");
    let first = Process::start(&data);
    let alice = Person::new(1);
    {
        let connection = connect(&client(), &first.address).await;
        alice.create(&connection).await;
        assert_eq!(connection.request(alice.put(1)).await, Ok(RelayReply::Done));
    }
    let key = *first.address.key();
    first.stop();
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(data.join("server.key")).unwrap().permissions().mode() & 0o777, 0o600);
    let second = Process::start(&data);
    assert_eq!(*second.address.key(), key);
    let mut subscription = alice.subscribe(connect(&client(), &second.address).await, 0, 8).await.unwrap();
    let came = subscription.drain_backlog().await;
    assert_eq!(came.iter().map(|(_, number)| *number).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn a_stopping_relay_tells_its_clients_and_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Process::start(folder.path());
    let alice = Person::new(1);
    let client = client();
    alice.create(&connect(&client, &relay.address).await).await;
    let mut subscription = alice.subscribe(connect(&client, &relay.address).await, 0, 8).await.unwrap();
    let put = subscription.connection.submit(alice.put(1)).await.unwrap();
    assert_eq!(put.await, Ok(RelayReply::Done));
    relay.signal("TERM");
    let mut told = false;
    while let Some(push) = subscription.pushes.next().await {
        told |= matches!(push, RelayPush::GoingAway(_));
    }
    assert!(told, "going_away comes before the end");
    assert_eq!(subscription.connection.closed().await, Ended::ClosedByPeer(CloseCode::Error(ErrorCode::Draining)));
    let (status, rest, log) = relay.wait();
    assert!(status.success() && rest.is_empty(), "{log}");
    assert!(log.contains("every client was told"), "{log}");
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_anybody() {
    let folder = tempfile::tempdir().unwrap();
    let variables = &[("WAXWING_RELAY_DRAIN_SECONDS", "3600")];
    let relay = Process::start_told(folder.path(), super::relay::Told { log: None, variables });
    // A bare connection that never lets go: it opens no control stream to be told on.
    let client = client();
    let trust = waxwing_net::Trust::Configured;
    let stubborn = client.connect(&relay.address, waxwing_net::Service::Relay, trust).await.unwrap();
    let _control = stubborn.control().await.unwrap();
    relay.signal("INT");
    relay.signal("INT");
    let (status, _, log) = relay.wait();
    assert!(status.success(), "{log}");
}

#[test]
fn what_is_wrong_is_said_and_has_a_code() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let config = folder.path().join("relay.toml");
    let file = config.to_str().unwrap();
    for (content, expected) in [
        ("colour = 1", "unknown field `colour`"),
        ("[limits]\npush_widow = 1", "unknown field `push_widow`"),
        ("[limits]\npush_window = 1025", "limits.push_window is out of its range"),
        ("[admission]\nstrangers = 41", "work is 0 to 40 bits"),
        ("listen = \"nowhere\"", "--listen"),
        ("hosts = [\"no port\"]", "is no host with a port"),
        ("log = \"loud\"", "unknown variant `loud`"),
        ("= nonsense", "relay.toml"),
    ] {
        fs::write(&config, content).unwrap();
        // The flag would hide what the file says about listening.
        let arguments: &[&str] = if content.starts_with("listen") { &["--check"] } else { &[] };
        if arguments.is_empty() {
            let (code, log) = fails(&data, &["--config", file], &[]);
            assert_eq!(code, 2, "{content}: {log}");
            assert!(log.contains(expected), "{content}: {log}");
        }
    }
    let (code, log) = fails(&data, &["--config", "/nowhere/relay.toml"], &[]);
    assert!(code == 2 && log.contains("/nowhere/relay.toml"), "{log}");
    let (code, log) = fails(&data, &[], &[("WAXWING_RELAY_LIMITS_PUSH_WIDOW", "1")]);
    assert!(code == 2 && log.contains("push_widow"), "{log}");
    let (code, log) = fails(&data, &["--log", "loud"], &[]);
    assert!(code == 2 && log.contains("loud"), "{log}");
    fs::write(&config, "").unwrap();
    let (code, log) = fails(&config, &[], &[]);
    assert!(code == 3 && log.contains("cannot use"), "{log}");
    assert!(!data.exists(), "nothing was made on the way");
}

#[test]
fn one_process_has_a_folder_and_one_a_port() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Process::start(folder.path());
    let (code, log) = fails(folder.path(), &[], &[]);
    assert!(code == 3 && log.contains("in use by another process"), "{log}");
    let other = tempfile::tempdir().unwrap();
    let port = relay.address.hosts()[0].as_str().to_owned();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_waxwing-relay"));
    let output = command.arg("--data").arg(other.path()).args(["--listen", &port]).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(4) && log.contains("listen"), "{log}");
}

#[test]
fn variables_and_flags_count_before_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("relay.toml");
    fs::write(&config, "listen = \"192.0.2.1:1\"\nhosts = [\"file.example:1\"]\n[limits]\npush_window = 7\n").unwrap();
    let relay = {
        let mut command = command(&folder.path().join("data"));
        command.arg("--config").arg(&config).args(["--host", "flag.example:2"]);
        command.env("WAXWING_RELAY_HOSTS", "variable.example:3").spawn().unwrap()
    };
    let mut relay = relay;
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(relay.stdout.take().unwrap()), &mut line).unwrap();
    relay.kill().unwrap();
    relay.wait().unwrap();
    assert!(line.trim_end().ends_with("/flag.example:2"), "{line}");
}

#[tokio::test]
async fn info_announces_what_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    let variables = &[("WAXWING_RELAY_LIMITS_PUSH_WINDOW", "7"), ("WAXWING_RELAY_ADMISSION_STRANGERS", "9")];
    let relay = Process::start_told(folder.path(), super::relay::Told { log: None, variables });
    let connection = connect(&client(), &relay.address).await;
    let Ok(RelayReply::Info(info)) = connection.request(RelayRequest::Info).await else { panic!() };
    assert_eq!((info.limits.push_window, info.price.strangers.bits(), info.price.open), (7, 9, true));
}
