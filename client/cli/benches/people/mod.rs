//! Two people with clients, and the servers between them, on one machine.
#![allow(dead_code, reason = "each benchmark uses a part")]
use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command as Process, Stdio},
    time::Duration,
};

use waxwing_client::{
    Client, Cursor, Event, Events, Options, Settled,
    engine::{Command, LinkUses, MessageText, NewAccount, Settings},
    store::{Profile, Protection},
};
use waxwing_net::{ClientConfig, RelayConnection, Trust};
use waxwing_wire::{address::ServerAddress, content::MessageId, id::AccountId};

/// `waxwing serve`, a process of its own; ended with its holder.
pub(crate) struct Servers {
    child: Child,
    relay: ServerAddress,
    keyserver: ServerAddress,
}

impl Servers {
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_with(data, "", "")
    }

    /// With settings of the relay and of the key server.
    pub(crate) fn start_with(data: &Path, relay: &str, keyserver: &str) -> Self {
        let (relays, keyservers) = (data.with_extension("relay.toml"), data.with_extension("keyserver.toml"));
        std::fs::write(&relays, relay).unwrap();
        std::fs::write(&keyservers, keyserver).unwrap();
        let arguments = ["serve", "--open", "--listen", "127.0.0.1", "--relay-port", "0", "--keyserver-port", "0"];
        let mut child = Process::new(env!("CARGO_BIN_EXE_waxwing"))
            .args(arguments)
            .arg("--data")
            .arg(data)
            .arg("--relay-config")
            .arg(relays)
            .arg("--keyserver-config")
            .arg(keyservers)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = |name| lines.next().unwrap().unwrap().strip_prefix(name).unwrap().trim().parse().unwrap();
        let (relay, keyserver) = (address("relay"), address("key server"));
        Self { child, relay, keyserver }
    }

    pub(crate) async fn person(&self, profile: impl Into<Profile>) -> Client {
        let account = NewAccount {
            relay: self.relay.clone(),
            key_servers: vec![self.keyserver.clone()],
            relay_admission: None,
            keyserver_admission: None,
        };
        let (client, _words) = Client::create(profile, Protection::None, account, options()).await.unwrap();
        assert_eq!(client.settled(PATIENCE).await, Settled::Yes);
        client
    }

    pub(crate) async fn relay(&self) -> (waxwing_net::Client, RelayConnection) {
        let socket = waxwing_net::Client::new(ClientConfig::default()).unwrap();
        let connection = socket.relay(&self.relay, Trust::Configured).await.unwrap();
        (socket, connection)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) async fn befriend(alice: &Client, bob: &Client) {
    let link = bob.make_link(Duration::from_secs(3_600), LinkUses::Once).await.unwrap();
    assert_eq!(bob.settled(PATIENCE).await, Settled::Yes);
    alice.command(Command::Add { link }).await.unwrap();
    let mut screen = Screen::of(bob).await;
    let id = alice.send(&bob.account_id(), MessageText::new("hello".into()).unwrap()).await.unwrap();
    screen.shows(&alice.account_id(), &id).await;
    bob.command(Command::Accept { account: alice.account_id() }).await.unwrap();
    let mut events = alice.events(Cursor::START);
    loop {
        if let Some((_, Event::ContactAccepted { by_peer: true, .. })) = events.next().await.unwrap() {
            return;
        }
    }
}

/// Reads what it is told of, as a screen does.
pub(crate) struct Screen {
    client: Client,
    events: Events,
}

impl Screen {
    pub(crate) async fn of(client: &Client) -> Self {
        let newest = client.reader().newest_event().await.unwrap();
        Self { client: client.clone(), events: client.events(newest) }
    }

    pub(crate) async fn shows(&mut self, from: &AccountId, wanted: &MessageId) {
        loop {
            let event = tokio::time::timeout(PATIENCE, self.events.next()).await.expect("it comes").unwrap();
            if let Some((_, Event::Message { conversation, id, .. })) = event
                && conversation == *from
                && id == *wanted
            {
                self.client.reader().message(&conversation, &id).await.unwrap().unwrap();
                return;
            }
        }
    }
}

/// The servers are on this machine.
pub(crate) fn options() -> Options {
    let engine = Settings { allow_private_servers: true, ..Settings::default() };
    Options { engine, ..Options::default() }
}

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
