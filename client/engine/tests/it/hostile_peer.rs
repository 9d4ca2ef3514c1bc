//! A contact that means ill: authentic, and saying what no client of ours says. Its words are put into its engine's store as if it
//! had been about to send them.
use core::time::Duration;

use prost::Message as _;
use waxwing_engine::{
    Command, Event, ReadMessage,
    store::{Record, StoredMessage, Table, Write},
};
use waxwing_wire::{
    content::{
        Body, ChainHash, ContactCopy, Content, Conversation, IdentityBlock, Introduction, MessageId, PassedOn,
        ReadMarker, ReadMarkers, Receipt, ReceiptState, Resend, SentCopy, Standing, Text,
    },
    delivery::DeliverySecret,
    id::{AccountId, DeviceId},
    keys::ReachKey,
    time::Timestamp,
};

use crate::town::{NOW, Town};

const MALLORY: usize = 0;
const BOB: usize = 1;

/// As an engine stores what it is about to send: content, audience (1: all devices of the peer), when it was made, its place.
#[derive(Clone, PartialEq, prost::Message)]
struct OutboxRecord {
    #[prost(bytes = "vec", tag = "1")]
    content: Vec<u8>,
    #[prost(uint32, tag = "2")]
    audience: u32,
    #[prost(uint64, tag = "4")]
    made: u64,
    #[prost(uint64, tag = "8")]
    order: u64,
}

/// A town in which the first is a contact of the second's, who has another one, and a device of her own that is off.
struct Scene {
    town: Town,
    template: Content,
    next: u64,
}

impl Scene {
    fn new() -> Self {
        let mut town = Town::with_two_friends();
        let carol = town.settle_in(3);
        town.befriend(carol, BOB);
        let bob = town.account(BOB);
        town.residents[BOB].events.clear();
        let genuine = town.residents[MALLORY].messages(&bob);
        let genuine = genuine.iter().rev().find(|message| message.author != bob).expect("she said something");
        let template = Content::decode(&genuine.content).expect("she encoded it");
        Self { town, template, next: 0 }
    }

    fn bob(&self) -> AccountId {
        self.town.account(BOB)
    }

    fn mallory(&self) -> AccountId {
        self.town.account(MALLORY)
    }

    fn carol(&self) -> AccountId {
        self.town.account(2)
    }

    fn uncounted(&mut self, body: Body) -> Content {
        Content { sequence: 0, previous: ChainHash::from_bytes([0; 32]), ..self.counted(body) }
    }

    fn counted(&mut self, body: Body) -> Content {
        self.next += 1;
        let Content { sequence, previous, sent, own_manifest, your_manifest, .. } = &self.template;
        Content {
            id: MessageId::from_bytes((u128::from(self.next) << 64).to_be_bytes()),
            sent: *sent,
            sequence: sequence + self.next,
            previous: *previous,
            conversation: Conversation::Account(self.bob()),
            own_manifest: *own_manifest,
            your_manifest: *your_manifest,
            expires_after: 0,
            reply_to: None,
            fallback: String::new(),
            body,
            identity: None,
            extensions: Vec::new(),
        }
    }

    fn text(&mut self, text: &str) -> Content {
        let text = Text { text: text.to_owned(), mentions: Vec::new(), attachments: Vec::new(), view_once: false };
        self.counted(Body::Text(text))
    }

    fn send(&mut self, contents: &[Content]) {
        let encoded: Vec<Vec<u8>> = contents.iter().map(|content| content.encode().expect("it encodes")).collect();
        self.send_bytes(encoded);
    }

    /// Has them sent, taken, and what comes of it within five minutes done.
    fn send_bytes(&mut self, contents: Vec<Vec<u8>>) {
        let bob = self.bob();
        for content in contents {
            self.next += 1;
            let made = self.town.now.0;
            let record = OutboxRecord { content, audience: 1, made, order: (1 << 32) + self.next };
            let id = (u128::from(self.next) << 32 | 1).to_be_bytes();
            let key = [bob.as_bytes().as_slice(), &id].concat();
            let put = Write::Put(Record { table: Table::Outbox, key, value: record.encode_to_vec().into() });
            self.town.residents[MALLORY].store.save_now(&[put].into_iter().collect()).unwrap();
        }
        let puts = self.town.residents[MALLORY].puts;
        self.town.residents[MALLORY].restart();
        self.town.pass(Duration::from_secs(300));
        assert!(self.town.residents[MALLORY].puts > puts, "they left");
        assert!(self.town.waiting(BOB).is_empty(), "and were dealt with");
    }

    /// What Bob sees in all conversations.
    fn seen(&self) -> Vec<StoredMessage> {
        let bob = &self.town.residents[BOB];
        [self.mallory(), self.carol(), self.bob()].iter().flat_map(|account| bob.messages(account)).collect()
    }

    /// What an honest contact can say afterwards arrives.
    fn assert_bob_is_well(&mut self) {
        let (bob, carol) = (self.bob(), self.carol());
        self.town.say(2, bob, "are you well");
        self.town.say(BOB, carol, "I am");
        self.town.pass(Duration::from_secs(60));
        assert_eq!(self.town.residents[BOB].texts(&carol).iter().filter(|text| *text == "are you well").count(), 1);
        assert_eq!(self.town.residents[2].texts(&bob).iter().filter(|text| *text == "I am").count(), 1);
        let held = self.town.residents[BOB].engine().records();
        let stored: Vec<Record> = self.town.residents[BOB].store.load_now();
        let stored: Vec<&Record> = stored.iter().filter(|record| record.table != Table::Quarantine).collect();
        assert_eq!(held.len(), stored.len());
        assert!(stored.iter().all(|record| record.value.len() <= 128 << 10), "a record that a store need not take");
    }
}

#[test]
fn the_largest_text_is_shown_whole() {
    let mut scene = Scene::new();
    let largest = "é".repeat(16_384);
    let content = scene.text(&largest);
    scene.send(&[content]);
    assert_eq!(scene.town.residents[BOB].texts(&scene.mallory()).last(), Some(&largest));
    scene.assert_bob_is_well();
}

#[test]
fn what_is_no_content_is_put_aside_and_the_session_goes_on() {
    let mut scene = Scene::new();
    let before = scene.seen();
    let mut broken = scene.text("hello").encode().unwrap();
    broken.truncate(40);
    scene.send_bytes(vec![vec![0xff; 200], Vec::new(), vec![0; 56_000], broken]);
    assert_eq!(scene.seen(), before);
    assert_eq!(scene.town.residents[BOB].store.count(Table::Quarantine), 4);
    let content = scene.text("now in earnest");
    scene.send(&[content]);
    assert_eq!(scene.town.residents[BOB].texts(&scene.mallory()).last().unwrap(), "now in earnest");
    scene.assert_bob_is_well();
}

#[test]
fn an_identity_block_of_somebody_else_changes_neither() {
    let mut scene = Scene::new();
    let carol = scene.carol();
    let contacts = |scene: &Scene| {
        let records = scene.town.residents[BOB].store.load_now();
        records.into_iter().find(|record| record.table == Table::Contact && record.key == carol.as_bytes()).unwrap()
    };
    let before = contacts(&scene);
    // Her objects are genuine: anybody gets them from the key server. The secrets are not hers.
    let objects = scene.town.objects_of(&carol);
    let mut content = scene.text("I am Carol");
    content.identity = Some(IdentityBlock {
        recovery_key: objects.recovery_key,
        statement: objects.statement,
        manifest: objects.manifest,
        reach_key: ReachKey::from_bytes(&[5; 32]),
        contacts_secret: DeliverySecret::from_bytes(&[6; 32]),
    });
    scene.send(&[content]);
    assert!(contacts(&scene).value == before.value, "nothing of hers changed");
    let mallory = scene.mallory();
    let shown = scene.seen().into_iter().find(|message| message.text == "I am Carol").expect("it is a message");
    assert_eq!((shown.conversation, shown.author), (mallory, mallory));
    scene.assert_bob_is_well();
}

#[test]
fn an_introduction_with_somebody_elses_manifest_is_not_taken() {
    let mut scene = Scene::new();
    let (carol, before) = (scene.carol(), scene.seen());
    let objects = scene.town.objects_of(&carol);
    let introduction = || Introduction {
        statement: Some(objects.statement.clone()),
        manifest: Some(objects.manifest.clone()),
        reach_key: None,
        contacts_secret: None,
    };
    let contents = [Body::Update(introduction()), Body::Accepted(introduction())].map(|body| scene.uncounted(body));
    scene.send(&contents);
    assert_eq!(scene.seen(), before);
    let events = &scene.town.residents[BOB].events;
    assert!(events.iter().all(|event| !matches!(event, Event::IdentityChanged(_) | Event::Fork { .. })), "{events:?}");
    scene.assert_bob_is_well();
}

#[test]
fn receipts_for_what_was_never_written_to_them_change_nothing() {
    let mut scene = Scene::new();
    let (mallory, carol) = (scene.mallory(), scene.carol());
    // Of the message to Carol, Mallory must not say what became of it.
    let of_carol: Vec<MessageId> =
        scene.town.residents[BOB].messages(&carol).iter().map(|message| message.id).collect();
    let before = scene.seen();
    let mut contents = Vec::new();
    for state in [ReceiptState::Delivered, ReceiptState::Read, ReceiptState::Viewed] {
        let strange = (0..100_u128).map(|number| MessageId::from_bytes(((number + 1) << 100).to_be_bytes())).collect();
        for ids in [strange, of_carol.clone(), Vec::from([of_carol[0]; 1])] {
            contents.push(scene.uncounted(Body::Receipt(Receipt { state, ids })));
        }
    }
    scene.send(&contents);
    assert_eq!(scene.seen(), before);
    assert_eq!(scene.town.residents[BOB].messages(&mallory).len(), 4);
    scene.assert_bob_is_well();
}

#[test]
fn a_state_never_goes_back() {
    let mut scene = Scene::new();
    let mallory = scene.mallory();
    let id = scene.town.say(BOB, mallory, "well");
    let receipt = |scene: &mut Scene, state| {
        let content = scene.uncounted(Body::Receipt(Receipt { state, ids: vec![id] }));
        scene.send(&[content]);
        let messages = scene.town.residents[BOB].messages(&mallory);
        messages.iter().find(|message| message.id == id).unwrap().state
    };
    assert_eq!(receipt(&mut scene, ReceiptState::Read), waxwing_engine::State::Read);
    assert_eq!(receipt(&mut scene, ReceiptState::Delivered), waxwing_engine::State::Read);
}

#[test]
fn what_only_own_devices_may_say_is_dropped_from_a_contact() {
    let mut scene = Scene::new();
    let (bob, mallory, carol) = (scene.bob(), scene.mallory(), scene.carol());
    let unread = scene.town.residents[BOB].store.unread_now(&carol);
    assert!(unread > 0, "Bob has not read what Carol wrote");
    let before = scene.seen();
    let contacts: Vec<(AccountId, Standing)> = scene.town.residents[BOB].engine().contacts().collect();
    let marker = |author, sequence| ReadMarker {
        conversation: Conversation::Account(carol),
        author,
        device: DeviceId::MIN,
        sequence,
    };
    let copy = |account, standing| ContactCopy {
        account,
        standing,
        revision: u64::MAX,
        recovery_key: None,
        statement: None,
        manifest: None,
        reach_key: Some(ReachKey::from_bytes(&[5; 32])),
        contacts_secret: Some(DeliverySecret::from_bytes(&[6; 32])),
        token: None,
        key_servers: Vec::new(),
        notes: None,
    };
    let as_bob = scene.text("sent as Bob");
    let as_bob = Content { conversation: Conversation::Account(carol), ..as_bob }.encode().unwrap();
    let as_carol = scene.text("sent as Carol").encode().unwrap();
    let bodies = [
        Body::ReadMarkers(ReadMarkers { markers: vec![marker(carol, 1_000)] }),
        Body::ContactCopy(copy(carol, Standing::Blocked)),
        Body::ContactCopy(copy(mallory, Standing::Accepted)),
        Body::ContactCopy(copy(AccountId::from_bytes([7; 32]), Standing::Accepted)),
        Body::SentCopy(SentCopy { content: as_bob.clone() }),
        Body::PassedOn(PassedOn { author: carol, device: DeviceId::MIN, content: as_carol.clone() }),
        Body::PassedOn(PassedOn { author: bob, device: DeviceId::MIN, content: as_bob }),
    ];
    let contents = bodies.map(|body| scene.uncounted(body));
    scene.send(&contents);
    assert_eq!(scene.seen(), before);
    assert_eq!(scene.town.residents[BOB].store.unread_now(&carol), unread);
    assert_eq!(scene.town.residents[BOB].engine().contacts().collect::<Vec<_>>(), contacts);
    scene.assert_bob_is_well();
}

#[test]
fn what_was_written_to_somebody_else_is_not_shown() {
    let mut scene = Scene::new();
    let (carol, mallory, before) = (scene.carol(), scene.mallory(), scene.seen());
    let contents = [carol, mallory].map(|to| {
        let content = scene.text("not for Bob");
        Content { conversation: Conversation::Account(to), ..content }
    });
    scene.send(&contents);
    assert_eq!(scene.seen(), before);
    scene.assert_bob_is_well();
}

#[test]
fn a_message_id_used_again_shows_nothing_new() {
    let mut scene = Scene::new();
    let first = scene.text("first");
    let again = Content { id: first.id, ..scene.text("something else") };
    // Nor does the id of somebody else's message touch that one.
    let carol = scene.carol();
    let hers = scene.town.residents[BOB].messages(&carol)[0].clone();
    let as_hers = Content { id: hers.id, ..scene.text("under her id") };
    scene.send(&[first, again, as_hers]);
    let texts = scene.town.residents[BOB].texts(&scene.mallory());
    assert!(texts.contains(&"first".to_owned()) && !texts.contains(&"something else".to_owned()));
    assert!(texts.contains(&"under her id".to_owned()), "ids are the author's");
    assert_eq!(scene.town.residents[BOB].messages(&carol)[0], hers);
    scene.assert_bob_is_well();
}

#[test]
fn a_thousand_requests_to_send_again_cost_four_times_what_was_sent() {
    let mut scene = Scene::new();
    let mallory = scene.mallory();
    for number in 0..20 {
        scene.town.say(BOB, mallory, &format!("text {number}"));
    }
    scene.town.pass(Duration::from_secs(60));
    let (puts, before) = (scene.town.residents[BOB].puts, scene.seen());
    let contents: Vec<Content> =
        (0..1_000).map(|_| scene.uncounted(Body::Resend(Resend { ids: Vec::new() }))).collect();
    scene.send(&contents);
    let sent = scene.town.residents[BOB].puts - puts;
    // Everything that is kept goes out four times at most: 32 messages that have receipts, receipts and answers.
    assert!(sent >= 20, "an honest request is answered");
    assert!(sent <= 4 * 40, "{sent} envelopes");
    assert_eq!(scene.seen(), before);
    // Later one more is answered again.
    scene.town.pass(Duration::from_secs(700));
    let puts = scene.town.residents[BOB].puts;
    let content = scene.uncounted(Body::Resend(Resend { ids: Vec::new() }));
    scene.send(&[content]);
    assert!(scene.town.residents[BOB].puts - puts >= 20);
    scene.assert_bob_is_well();
}

#[test]
fn a_flood_of_messages_is_receipted_in_hundreds_and_kept_in_small_records() {
    let mut scene = Scene::new();
    let puts = scene.town.residents[BOB].puts;
    let contents: Vec<Content> = (0..600).map(|number| scene.text(&format!("flood {number}"))).collect();
    scene.town.residents[BOB].largest_record = 0;
    scene.send(&contents);
    assert_eq!(scene.town.residents[BOB].messages(&scene.mallory()).len(), 4 + 600);
    let sent = scene.town.residents[BOB].puts - puts;
    assert!((6..30).contains(&sent), "{sent} envelopes");
    let largest = scene.town.residents[BOB].largest_record;
    assert!(largest < 10 << 10, "{largest} bytes in one record");
    scene.assert_bob_is_well();
}

#[test]
fn a_clock_far_ahead_stands_where_it_came() {
    let mut scene = Scene::new();
    let mallory = scene.mallory();
    let contents = [Timestamp(u64::MAX), Timestamp(1), NOW.saturating_add(Duration::from_secs(1 << 40))]
        .map(|sent| Content { sent, ..scene.text("at another time") });
    scene.send(&contents);
    let id = scene.town.say(BOB, mallory, "and I later");
    let messages = scene.town.residents[BOB].messages(&mallory);
    assert_eq!(messages.iter().filter(|message| message.text == "at another time").count(), 3);
    assert!(messages.iter().all(|message| message.sent <= scene.town.now), "nothing is of the future");
    assert_eq!(messages.last().unwrap().id, id, "what is said next stands last");
    scene.assert_bob_is_well();
}

#[test]
fn numbers_at_their_ends_leave_the_count_usable() {
    let mut scene = Scene::new();
    let mallory = scene.mallory();
    let contents = [u64::MAX, 1, u64::MAX - 1, 7].map(|sequence| {
        let content = scene.text("numbered");
        let previous = if sequence == 1 { ChainHash::from_bytes([0; 32]) } else { content.previous };
        Content { sequence, previous, ..content }
    });
    scene.send(&contents);
    let messages = scene.town.residents[BOB].messages(&mallory);
    assert_eq!(messages.iter().filter(|message| message.text == "numbered").count(), 4);
    scene.town.residents[BOB].restart();
    scene.town.run();
    scene.town.command(
        BOB,
        Command::MarkRead {
            account: mallory,
            messages: vec![ReadMessage { id: contents[0].id, device: DeviceId::MIN, sequence: u64::MAX }],
        },
    );
    assert_eq!(scene.town.residents[BOB].store.unread_now(&mallory), 0);
    scene.assert_bob_is_well();
}
