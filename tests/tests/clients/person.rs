//! Somebody with a profile in a temporary folder.
use std::time::Duration;

use tempfile::TempDir;
use waxwing_client::{
    Client, Cursor, Event, Options,
    engine::{Command, LinkUses, MessageText, NewAccount, Settings, State, store::StoredMessage},
    store::{Protection, Unlock},
};
use waxwing_tests::servers::Server;
use waxwing_wire::{content::MessageId, id::AccountId};

/// A test that waits longer has found a bug; the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Person {
    pub(crate) folder: TempDir,
    client: Option<Client>,
    options: Options,
}

impl Person {
    pub(crate) async fn at(relay: &Server, keyserver: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = Settings { one_time_prekeys: 5, allow_private_servers: true };
        let options = Options { engine, ..Options::default() };
        let account = NewAccount {
            relay: relay.address(),
            key_servers: vec![keyserver.address()],
            relay_admission: None,
            keyserver_admission: None,
        };
        let path = folder.path().join("profile");
        let (client, words) = Client::create(&path, Protection::None, account, options.clone()).await.unwrap();
        assert_eq!(words.split(' ').count(), 24);
        Self { folder, client: Some(client), options }
    }

    pub(crate) fn client(&self) -> &Client {
        self.client.as_ref().expect("online")
    }

    pub(crate) fn id(&self) -> AccountId {
        self.client().account_id()
    }

    pub(crate) async fn ready(&self) {
        self.client().until(|condition| condition.ready).await.unwrap();
    }

    pub(crate) async fn goes_offline(&mut self) {
        self.client.take().expect("online").close().await.unwrap();
    }

    pub(crate) async fn comes_back(&mut self) {
        let path = self.folder.path().join("profile");
        self.client = Some(Client::open(&path, Unlock::None, self.options.clone()).await.unwrap());
    }

    pub(crate) async fn says(&self, to: &AccountId, text: &str) -> MessageId {
        self.client().send(to, MessageText::new(text.into()).unwrap()).await.unwrap()
    }

    /// Waits for an event; those before it are passed over.
    pub(crate) async fn hears(&self, wanted: impl Fn(&Event) -> bool) -> Cursor {
        let mut events = self.client().events(Cursor::START);
        let heard = async {
            loop {
                let (cursor, event) = events.next().await.unwrap().expect("the client is open");
                if wanted(&event) {
                    return cursor;
                }
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.expect("the event comes")
    }

    pub(crate) async fn reads(&self, from: &AccountId, id: MessageId) -> StoredMessage {
        self.hears(|event| matches!(event, Event::Message { id: of, .. } if *of == id)).await;
        self.client().reader().message(from, &id).await.unwrap().expect("an event's message is stored")
    }

    /// Waits until a message that was sent is at least so far.
    pub(crate) async fn is_told(&self, to: &AccountId, id: MessageId, state: &str) {
        self.hears(|event| matches!(event, Event::MessageState { id: of, state: is, .. } if *of == id && is == state))
            .await;
        let message = self.client().reader().message(to, &id).await.unwrap().unwrap();
        assert!(message.state >= State::Sent, "{:?}", message.state);
    }

    /// Adds another by a link, and is accepted.
    pub(crate) async fn befriends(&self, other: &Self) {
        self.ready().await;
        other.ready().await;
        let link = other.client().make_link(Duration::from_secs(3_600), LinkUses::Many).await.unwrap();
        self.client().command(Command::Add { link }).await.unwrap();
        let (me, them) = (self.id(), other.id());
        let hello = self.says(&them, "hello, it is me").await;
        other.hears(|event| *event == Event::Request { account: me }).await;
        other.client().command(Command::Accept { account: me }).await.unwrap();
        assert_eq!(other.reads(&me, hello).await.text, "hello, it is me");
        self.hears(|event| matches!(event, Event::ContactAccepted { account, by_peer: true } if *account == them))
            .await;
    }

    /// What was said between the two, oldest first.
    pub(crate) async fn sees(&self, with: &AccountId) -> Vec<String> {
        let mut page = self.client().reader().page(with, None, 1_000).await.unwrap();
        page.reverse();
        page.into_iter().map(|message| message.text).collect()
    }
}
