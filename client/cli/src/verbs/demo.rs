//! Everything at work in one process. Implements spec/22-client-api.md §22.9.
//!
//! ```text
//! temporary folders ─▶ relay, key server (as `serve` runs them) ─▶ Alice, Bob, Carol (as verbs ask them) ─▶ transcript
//! ```
//! Invariant: whoever lost anything makes it fail.
use std::{
    net::Ipv4Addr,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, timeout},
};
use waxwing_client::{
    Client, Cursor, Event, Settled,
    engine::NewAccount,
    store::{Protection, Unlock},
};
use waxwing_net::process::{self, SOCKET};
use waxwing_wire::address::ServerAddress;

use super::serve::Servers;
use crate::{
    api::{Add, ApiError, Call, Code, ContactAccept, Exit, Invite, Read, Requests, Send, SendAnswer, Status, Verify},
    cli::Serve,
    profile::Settings,
    service::Service,
    text,
};

pub(super) async fn run() -> Result<Exit, ApiError> {
    let begun = Instant::now();
    let folder = tempfile::tempdir().map_err(|error| crate::profile::system(&std::env::temp_dir(), &error))?;
    let mut scene = Scene::begin(folder).await?;
    let played = scene.play().await;
    let ended = scene.end().await;
    played?;
    ended?;
    super::print(&format!("\nNothing was lost. It took {:.1} s; the folders are gone.", begun.elapsed().as_secs_f32()));
    Ok(Exit::Ok)
}

/// Servers that run, and everything in one folder.
struct Scene {
    folder: TempDir,
    servers: Servers,
    addresses: (ServerAddress, ServerAddress),
    running: Option<Running>,
    /// What the relay had counted when it was last asked: envelopes put, and pushed.
    counted: Mutex<[u64; 2]>,
}

struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ApiError>>,
}

impl Scene {
    async fn begin(folder: TempDir) -> Result<Self, ApiError> {
        let params = Serve {
            data: None,
            listen: Ipv4Addr::LOCALHOST.into(),
            relay_port: 0,
            keyserver_port: 0,
            host: None,
            open: true,
            invite: false,
            relay_config: None,
            keyserver_config: None,
        };
        let mut servers = Servers::configure(&params, folder.path())?;
        let (running, addresses) = start(&servers).await?;
        // A restart is where it was.
        servers.relay.listen.set_port(port(&addresses.0));
        servers.keyserver.listen.set_port(port(&addresses.1));
        Ok(Self { folder, servers, addresses, running: Some(running), counted: Mutex::default() })
    }

    async fn stop(&mut self) -> Result<(), ApiError> {
        let Some(Running { stop, task }) = self.running.take() else { return Ok(()) };
        let _ = stop.send(());
        task.await.map_err(|error| ApiError::new(Code::Internal, error.to_string()))?
    }

    async fn restart(&mut self) -> Result<(), ApiError> {
        self.running = Some(start(&self.servers).await?.0);
        Ok(())
    }

    async fn end(mut self) -> Result<(), ApiError> {
        self.stop().await
    }

    /// What the relay answers its operator.
    async fn ask(&self, verb: &str) -> Result<String, ApiError> {
        let socket = self.folder.path().join("relay").join(SOCKET);
        let answer = process::ask(&socket, verb).await;
        answer.map_err(|error| ApiError::new(Code::Internal, format!("the relay's operator: {error}")))
    }

    /// What the relay counted since it was last asked. It has nothing else to tell of a message.
    async fn saw(&self) -> Result<String, ApiError> {
        let metrics = self.ask("metrics").await?;
        let count = |name: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or_default()
        };
        let now = PUT_AND_PUSHED.map(count);
        let before = std::mem::replace(&mut *self.counted.lock().unwrap_or_else(PoisonError::into_inner), now);
        // After a restart it counts from the beginning.
        let [put, pushed] = [0, 1].map(|place: usize| {
            let of = |counts: &[u64; 2]| counts.get(place).copied().unwrap_or_default();
            of(&now).checked_sub(of(&before)).unwrap_or(of(&now))
        });
        Ok(format!("{put} put by nobody it knows, {pushed} pushed"))
    }

    /// A number that the relay tells its operator.
    async fn stat(&self, name: &str) -> Result<u64, ApiError> {
        let stats = self.ask("stats").await?;
        let line = stats.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.and_then(|number| number.parse().ok()).unwrap_or_default())
    }

    async fn play(&mut self) -> Result<(), ApiError> {
        super::print(HEAD);
        let alice = Person::make("Alice", self).await?;
        let mut bob = Person::make("Bob", self).await?;
        let carol = Person::make("Carol", self).await?;
        let mailboxes = self.stat("mailboxes").await?;
        row(
            "three accounts, without a number or an address",
            &format!("{mailboxes} mailboxes under keys made for them alone"),
        );
        befriend(&alice, &bob).await?;
        befriend(&carol, &bob).await?;
        row("Alice and Carol are added by a link, and accepted", &self.saw().await?);
        same_number(&alice, &bob).await?;
        talk(self, &alice, &bob).await?;
        self.away(&alice, &mut bob, &carol).await?;
        self.outage(&alice, &bob).await?;
        everything_is_there(&alice, &bob).await?;
        for person in [alice, bob, carol] {
            person.service.client().clone().close().await?;
        }
        Ok(())
    }

    /// Bob goes offline; what is sent meanwhile waits for him.
    async fn away(&self, alice: &Person, bob: &mut Person, carol: &Person) -> Result<(), ApiError> {
        settle(bob).await?;
        bob.service.client().clone().close().await?;
        row("Bob's device is off", "");
        for (person, body) in
            [(alice, "Lunch at twelve?"), (carol, "Bring the map 🗺"), (alice, "Or at one, if you like")]
        {
            person.says(bob, body).await?;
        }
        settle(alice).await?;
        settle(carol).await?;
        let (count, bytes) = (self.stat("envelopes").await?, self.stat("envelope_bytes").await?);
        row("", &format!("{count} envelopes wait, {bytes} bytes, each of one of six sizes"));
        bob.come_back(self.folder.path()).await?;
        for (person, body) in
            [(alice, "Lunch at twelve?"), (carol, "Bring the map 🗺"), (alice, "Or at one, if you like")]
        {
            bob.sees(self, person, body).await?;
        }
        Ok(())
    }

    /// The servers go away in mid-send and come back.
    async fn outage(&mut self, alice: &Person, bob: &Person) -> Result<(), ApiError> {
        self.stop().await?;
        row("", "the servers stop");
        for body in ["Are you on your way?", "I am at the gate"] {
            alice.says(bob, body).await?;
        }
        let waiting = Status {}.perform(&alice.service).await?.waiting;
        let why = waiting.first().map_or("queued", |waiting| waiting.text.as_str());
        row(&format!("(Alice's device: {} messages queued, {})", waiting.len(), text::inline(why)), "");
        self.restart().await?;
        row("", "and start again, with what was on their disk");
        for body in ["Are you on your way?", "I am at the gate"] {
            bob.sees(self, alice, body).await?;
        }
        bob.says(alice, "Two minutes!").await?;
        alice.hears(bob, "Two minutes!").await
    }
}

async fn start(servers: &Servers) -> Result<(Running, (ServerAddress, ServerAddress)), ApiError> {
    let (say, told) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let servers = servers.clone();
    // On a thread of its own, as a process would be.
    let runtime = tokio::runtime::Handle::current();
    let task = tokio::task::spawn_blocking(move || {
        let drain = async move { drop(stopped.await) };
        let serving = move |relay, keyserver| {
            let _ = say.send((relay, keyserver));
            std::future::ready(Ok(()))
        };
        runtime.block_on(servers.run(drain, std::future::pending(), serving))
    });
    match told.await {
        Ok(addresses) => Ok((Running { stop, task }, addresses)),
        Err(_) => match task.await {
            Ok(Err(error)) => Err(error),
            _ => Err(ApiError::new(Code::System, "the servers did not start")),
        },
    }
}

fn port(address: &ServerAddress) -> u16 {
    address.hosts().first().map(waxwing_wire::address::Host::port).unwrap_or_default()
}

struct Person {
    name: &'static str,
    service: Service,
}

impl Person {
    async fn make(name: &'static str, scene: &Scene) -> Result<Self, ApiError> {
        let path = scene.folder.path().join(name);
        let (relay, keyserver) = scene.addresses.clone();
        let account =
            NewAccount { relay, key_servers: vec![keyserver], relay_admission: None, keyserver_admission: None };
        let (client, _words) = Client::create(&path, Protection::None, account, options()).await?;
        let person = Self { name, service: Service::alone(client, path) };
        settle(&person).await?;
        Ok(person)
    }

    async fn come_back(&mut self, folder: &Path) -> Result<(), ApiError> {
        let path = folder.join(self.name);
        let client = Client::open(&path, Unlock::None, options()).await?;
        self.service = Service::alone(client, path);
        Ok(())
    }

    async fn says(&self, to: &Self, body: &str) -> Result<SendAnswer, ApiError> {
        Send { to: to.name.into(), text: Some(body.into()), wait: Some(0) }.perform(&self.service).await
    }

    /// Waits for a message.
    async fn hears(&self, from: &Self, body: &str) -> Result<(), ApiError> {
        let account = from.service.client().account_id();
        let heard = async {
            let mut events = self.service.client().events(Cursor::START);
            while let Some((_, event)) = events.next().await? {
                if let Event::Message { conversation, id, .. } = event
                    && conversation == account
                    && self
                        .service
                        .client()
                        .reader()
                        .message(&conversation, &id)
                        .await?
                        .is_some_and(|message| message.text == body)
                {
                    return Ok(());
                }
            }
            Err(lost(body))
        };
        timeout(PATIENCE, heard).await.unwrap_or_else(|_| Err(lost(body)))
    }

    /// As [`Self::hears`], and shows it.
    async fn sees(&self, scene: &Scene, from: &Self, body: &str) -> Result<(), ApiError> {
        self.hears(from, body).await?;
        row(&format!("{}: {body}", from.name), &scene.saw().await?);
        Ok(())
    }
}

fn options() -> waxwing_client::Options {
    Settings { allow_private_servers: true }.options()
}

async fn settle(person: &Person) -> Result<(), ApiError> {
    match person.service.client().settled(PATIENCE).await {
        Settled::Yes => Ok(()),
        Settled::NotYet => Err(ApiError::new(Code::NotConnected, format!("{} did not get connected", person.name))),
    }
}

/// `one` is added by a link of `other`'s, and accepted.
async fn befriend(one: &Person, other: &Person) -> Result<(), ApiError> {
    let link = Invite { once: true, days: None, qr: false }.perform(&other.service).await?.link;
    Add { link, name: Some(other.name.into()), wait: None }.perform(&one.service).await?;
    let hello = format!("Hello, it is {}", one.name);
    one.says(other, &hello).await?;
    let asked = async {
        let mut changes = other.service.client().changes();
        loop {
            changes.now();
            let asking = Requests {};
            if let Some(request) = asking.perform(&other.service).await?.contacts.first() {
                return Ok::<_, ApiError>(request.account.clone());
            }
            if changes.next().await.is_err() {
                return Err(lost(&hello));
            }
        }
    };
    let who = timeout(PATIENCE, asked).await.map_err(|_| lost(&hello))??;
    ContactAccept { who, name: Some(one.name.into()) }.perform(&other.service).await?;
    other.hears(one, &hello).await
}

async fn same_number(alice: &Person, bob: &Person) -> Result<(), ApiError> {
    let number = async |one: &Person, other: &Person, read: Option<String>| {
        let verify =
            Verify { who: other.name.into(), number: read, scanned: None, same: false, forget: false, qr: false };
        verify.perform(&one.service).await
    };
    let read_aloud = number(alice, bob, None).await?.number;
    let compared = number(bob, alice, Some(read_aloud.clone())).await?;
    if compared.same != Some(true) {
        return Err(ApiError::new(Code::SafetyNumberDiffers, "the two see different safety numbers"));
    }
    let begin: String = read_aloud.chars().take(17).collect();
    row(&format!("Alice reads {begin}…; Bob sees the same: verified"), "");
    Ok(())
}

async fn talk(scene: &Scene, alice: &Person, bob: &Person) -> Result<(), ApiError> {
    for (from, to, body) in [
        (alice, bob, "Nobody can read this but you"),
        (bob, alice, "Not even the relay?"),
        (alice, bob, "Look to the right →"),
    ] {
        from.says(to, body).await?;
        to.hears(from, body).await?;
        let seen = if std::ptr::eq(to, bob) { format!("{}: {body}", from.name) } else { format!("me: {body}") };
        row(&seen, &scene.saw().await?);
    }
    Ok(())
}

/// What was said is what is there, once each.
async fn everything_is_there(alice: &Person, bob: &Person) -> Result<(), ApiError> {
    let said = async |one: &Person, other: &Person| -> Result<Vec<String>, ApiError> {
        let chat = other.service.client().account_id();
        let page = one.service.client().reader().page(&chat, None, 100).await?;
        let mut bodies: Vec<String> = page.into_iter().map(|message| message.text).collect();
        bodies.sort();
        Ok(bodies)
    };
    let (here, there) = (said(alice, bob).await?, said(bob, alice).await?);
    if here != there || here.len() != EXPECTED {
        return Err(lost(&format!("{} and {} of {EXPECTED} messages", here.len(), there.len())));
    }
    let read = Read { chat: alice.name.into(), limit: None, peek: false }.perform(&bob.service).await?;
    row(
        &format!("Bob has {EXPECTED} messages of his talk with Alice, each once; {} were unread", read.messages.len()),
        "",
    );
    Ok(())
}

fn lost(what: &str) -> ApiError {
    ApiError::new(Code::Internal, format!("LOST: {what}"))
}

/// What Bob saw, beside what the relay saw of it.
fn row(bob: &str, relay: &str) {
    let width = bob.chars().fold(0_usize, |width, character| {
        width.saturating_add(unicode_width::UnicodeWidthChar::width(character).unwrap_or(0))
    });
    let gap = " ".repeat(COLUMN.saturating_sub(width));
    super::print(format!("{bob}{gap} │ {relay}").trim_end());
}

const HEAD: &str = "A relay, a key server, Alice, Bob and Carol, in this process, over QUIC on loopback.

WHAT BOB SAW                                                 │ WHAT THE RELAY SAW
─────────────────────────────────────────────────────────────┼──────────────────────────────────────────────────";
const COLUMN: usize = 60;
const PUT_AND_PUSHED: [&str; 2] =
    [r#"waxwing_relay_requests_total{kind="put"}"#, r#"waxwing_relay_envelopes_total{what="pushed"}"#];
const PATIENCE: Duration = Duration::from_secs(30);
/// Hello, three of the talk, two while he was away, two and an answer about the outage.
const EXPECTED: usize = 9;
