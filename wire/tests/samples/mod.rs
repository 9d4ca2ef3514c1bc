//! One value of every message, made by hand: what vectors are written from, and what properties start at.
#![allow(dead_code, reason = "the vector generator and the tests each use a part")]

use waxwing_wire::{
    address::ServerAddress,
    content::{
        Attachment, Body, ChainHash, ContactCopy, ContactNotes, Content, Conversation, CustomBody, Delete, Edit,
        Extension, Group, GroupId, GroupPart, IdentityBlock, Introduction, KindName, Location, Mention, MessageId,
        MessageReference, OwnLink, OwnLinks, PassedOn, Poll, Presentation, ProfileKey, Reaction, ReadMarker,
        ReadMarkers, Receipt, ReceiptState, Resend, SentCopy, Standing, Text, Timer, Typing, Vote,
    },
    delivery::{DeliveryKey, DeliverySecret, LaneHash},
    frame::{Admission, ErrorCode, InviteToken, Price, ServerError, Work},
    id::{AccountId, BlobId, DeliveryId, DeviceId, Generation, MailboxId, RegisterId, Sequence},
    keys::{CloseCapability, IntroductionToken, ReachKey},
    keyserver::{self, DeviceRequest, KeyserverReply, KeyserverRequest},
    manifest::{ContentHash, ManifestReference},
    padding::{Envelope, EnvelopeHeader, EnvelopeSize, SharedPart},
    pow::{Challenge, Difficulty, Nonce},
    relay::{self, Capability, RelayPush, RelayReply, RelayRequest, RequestId, Verifier, VersionHash},
    sealed::{ChunkSize, ObjectSecret},
    signature::Signature,
    time::Timestamp,
};

pub(crate) mod vectors;

pub(crate) fn id(number: u32) -> RequestId {
    RequestId::new(number).unwrap()
}

pub(crate) fn envelope(size: EnvelopeSize) -> Envelope {
    Envelope::new(vec![0xe5; size.bytes()]).unwrap()
}

fn mailbox(byte: u8) -> MailboxId {
    MailboxId::from_bytes([byte; 16])
}

fn register() -> RegisterId {
    RegisterId::from_bytes([0x26; 16])
}

fn blob() -> BlobId {
    BlobId::from_bytes([0xb1; 16])
}

fn capability() -> Capability {
    Capability::from_bytes([0xca; 32])
}

fn verifier(byte: u8) -> Verifier {
    Verifier::from_bytes([byte; 32])
}

fn account() -> AccountId {
    AccountId::from_bytes([0xac; 32])
}

fn device(number: u32) -> DeviceId {
    DeviceId::try_from(number).unwrap()
}

fn signature() -> Signature {
    Signature::from_bytes([0x51; 64])
}

fn work() -> Work {
    Work { challenge: Challenge::from_bytes([0xc4; 32]), nonce: Nonce(7) }
}

fn price() -> Price {
    Price {
        challenge: Challenge::from_bytes([0xc4; 32]),
        ends: Timestamp(1_800_000_003_600_000),
        open: false,
        invites: true,
        admission: Some(Difficulty::DEFAULT),
        strangers: Difficulty::DEFAULT,
    }
}

fn manifest() -> ManifestReference {
    ManifestReference { generation: Generation(1), sequence: Sequence(2), content: ContentHash::from_bytes([0x33; 32]) }
}

pub(crate) fn relay_requests() -> Vec<relay::Request> {
    let head = VersionHash::from_bytes([0x44; 32]);
    let recipients = (1..=3)
        .rev()
        .map(|byte| (mailbox(byte), DeliveryKey::from_bytes([byte; 16]), EnvelopeHeader::from_bytes([byte; 48])));
    let bodies = vec![
        RelayRequest::Info,
        RelayRequest::CreateMailbox(relay::CreateMailbox {
            owner_key: [0x0e; 32],
            close_hash: [0x0c; 32],
            admission: Admission::Invite(InviteToken::from_bytes([0x17; 16])),
            signature: signature(),
        }),
        RelayRequest::CreateMailbox(relay::CreateMailbox {
            owner_key: [0x0e; 32],
            close_hash: [0x0c; 32],
            admission: Admission::Open,
            signature: signature(),
        }),
        RelayRequest::Authenticate(relay::Authenticate { mailbox: mailbox(1), signature: signature() }),
        RelayRequest::AddLane(relay::AddLane {
            lane: relay::NewLane::Contacts,
            hash: LaneHash::from_bytes([0x1a; 32]),
            ends: None,
        }),
        RelayRequest::AddLane(relay::AddLane {
            lane: relay::NewLane::Introduction,
            hash: LaneHash::from_bytes([0x1b; 32]),
            ends: Some(Timestamp(1_800_000_000_000)),
        }),
        RelayRequest::AddLane(relay::AddLane {
            lane: relay::NewLane::Split { parent: relay::LaneNumber(3) },
            hash: LaneHash::from_bytes([0x1c; 32]),
            ends: None,
        }),
        RelayRequest::RotateLane(relay::RotateLane {
            lane: relay::LaneNumber(1),
            hash: LaneHash::from_bytes([0x1d; 32]),
            old_ends: Timestamp(1_800_000_000_000),
        }),
        RelayRequest::EndLane(relay::EndLane { lane: relay::LaneNumber(4), ends: Timestamp(0) }),
        RelayRequest::MailboxState,
        RelayRequest::CloseMailbox(relay::CloseMailbox {
            mailbox: mailbox(1),
            capability: CloseCapability::from_bytes(&[0xcc; 32]),
        }),
        RelayRequest::DeleteMailbox,
        RelayRequest::Put(relay::Put {
            mailbox: mailbox(1),
            delivery: DeliveryId::from_bytes([0xd1; 16]),
            ttl: relay::Ttl::Fortnight,
            by: relay::Credential::Key(DeliveryKey::from_bytes([0xde; 16])),
            envelope: envelope(EnvelopeSize::B2560),
        }),
        RelayRequest::Put(relay::Put {
            mailbox: mailbox(1),
            delivery: DeliveryId::from_bytes([0xd2; 16]),
            ttl: relay::Ttl::OnlineOnly,
            by: relay::Credential::Work(work()),
            envelope: envelope(EnvelopeSize::B4096),
        }),
        RelayRequest::FanOut(relay::FanOut {
            delivery: DeliveryId::from_bytes([0xd3; 16]),
            ttl: relay::Ttl::Day,
            shared: SharedPart::new(vec![0xe6; EnvelopeSize::B2560.shared_bytes()]).unwrap(),
            recipients: relay::Recipients::new(recipients.collect()).unwrap(),
        }),
        RelayRequest::Subscribe(relay::Subscribe { after: 0, window: 256 }),
        RelayRequest::Ack(relay::Ack::new(300, vec![302, 305, 70_000]).unwrap()),
        RelayRequest::CreateRegister(relay::CreateRegister {
            register: register(),
            write_verifier: verifier(1),
            read_verifier: verifier(2),
            seal_verifier: verifier(3),
            admission: Admission::Owner,
            snapshot: vec![0x5a; 4_096],
        }),
        RelayRequest::WriteRegister(relay::WriteRegister {
            register: register(),
            capability: capability(),
            version: 1,
            hash: head,
            entry: relay::RegisterEntry::new(relay::EntryKind::Change, vec![0x5b; 512]).unwrap(),
        }),
        RelayRequest::ReadRegister(relay::ReadRegister { register: register(), capability: capability(), from: 1 }),
        RelayRequest::AwaitRegister(relay::AwaitRegister {
            register: register(),
            capability: capability(),
            after: 9,
            patience: 50_000,
        }),
        RelayRequest::DeleteRegister(relay::DeleteRegister { register: register(), capability: capability() }),
        RelayRequest::CreateBlob(relay::CreateBlob {
            blob: blob(),
            chunk: ChunkSize::K256,
            count: 17,
            write_verifier: verifier(4),
            read_verifier: verifier(5),
            admission: Admission::Work(work()),
        }),
        RelayRequest::BlobStatus(relay::BlobStatus { blob: blob(), capability: capability() }),
        RelayRequest::DeleteBlob(relay::DeleteBlob { blob: blob(), capability: capability() }),
        RelayRequest::WriteBlob(relay::TransferBlob { blob: blob(), capability: capability(), first: 3, count: 14 }),
        RelayRequest::ReadBlob(relay::TransferBlob { blob: blob(), capability: capability(), first: 0, count: 17 }),
    ];
    (1..).zip(bodies).map(|(number, body)| relay::Request { id: id(number), body }).collect()
}

pub(crate) fn relay_frames() -> Vec<relay::ServerFrame> {
    let head = relay::RegisterHead { version: 2, hash: VersionHash::from_bytes([0x45; 32]), ended: false };
    let entry = |kind, size| relay::RegisterEntry::new(kind, vec![0x5c; size]).unwrap();
    let lane = |lane: u32, kind, ends| relay::Lane {
        lane: relay::LaneNumber(lane),
        kind,
        ends,
        envelopes: 2,
        bytes: 5_120,
        turned_away: 0,
    };
    let replies = vec![
        RelayReply::Done,
        RelayReply::Info(relay::Info {
            time: Timestamp(1_800_000_000_000),
            price: price(),
            limits: relay::Limits::default(),
            moved: Some(vec![0x30; 200]),
        }),
        RelayReply::LaneAdded(relay::LaneAdded { lane: relay::LaneNumber(5) }),
        RelayReply::MailboxState(relay::MailboxState {
            envelopes: 4,
            bytes: 10_240,
            most_envelopes: 20_000,
            most_bytes: 64 << 20,
            oldest: 17,
            newest: 20,
            lanes: vec![
                lane(0, relay::LaneKind::Strangers, None),
                lane(1, relay::LaneKind::Contacts, None),
                lane(4, relay::LaneKind::Introduction, Some(Timestamp(1_800_000_000_000))),
            ],
        }),
        RelayReply::Outcomes(relay::Outcomes {
            outcomes: vec![
                relay::Outcome::Accepted,
                relay::Outcome::Refused,
                relay::Outcome::Conflict,
                relay::Outcome::LaneFull,
                relay::Outcome::Failed,
            ],
        }),
        RelayReply::Subscribed(relay::Subscribed { newest: 20, waiting: 4 }),
        RelayReply::RegisterHead(head),
        RelayReply::RegisterConflict(relay::RegisterHead { ended: true, ..head }),
        RelayReply::RegisterPage(relay::RegisterPage {
            head,
            first: 1,
            before: VersionHash::NONE,
            entries: vec![entry(relay::EntryKind::Snapshot, 4_096), entry(relay::EntryKind::Change, 512)],
        }),
        RelayReply::BlobState(relay::BlobState {
            chunk: ChunkSize::M4,
            count: 9,
            written: 3,
            ends: Timestamp(1_800_000_000_000),
        }),
    ];
    let errors = [ErrorCode::Refused, ErrorCode::RateLimited, ErrorCode::of_number(40_000).unwrap()];
    let pushes = vec![
        RelayPush::Delivery(relay::Delivery {
            sequence: relay::Sequence(17),
            lane: relay::LaneNumber(1),
            delivery: DeliveryId::from_bytes([0xd1; 16]),
            envelope: envelope(EnvelopeSize::B2560),
        }),
        RelayPush::OnlineDelivery(relay::OnlineDelivery {
            lane: relay::LaneNumber::STRANGERS,
            envelope: envelope(EnvelopeSize::B2560),
        }),
        RelayPush::BacklogEnd(relay::BacklogEnd { sequence: 20 }),
        RelayPush::LaneFull(relay::LaneFull { lane: relay::LaneNumber(0), turned_away: 3 }),
        RelayPush::Superseded,
        RelayPush::GoingAway(relay::GoingAway { retry_after: core::time::Duration::from_secs(5) }),
    ];
    let replies =
        (1..).zip(replies).map(|(number, reply)| relay::ServerFrame::Reply { id: id(number), result: Ok(reply) });
    let errors = (100..).zip(errors).map(|(number, code)| {
        let retry_after = (code == ErrorCode::RateLimited).then_some(core::time::Duration::from_millis(1_500));
        relay::ServerFrame::Reply { id: id(number), result: Err(ServerError { code, retry_after }) }
    });
    replies.chain(errors).chain(pushes.into_iter().map(relay::ServerFrame::Push)).collect()
}

fn account_objects() -> keyserver::AccountObjects {
    keyserver::AccountObjects { recovery_key: [0x4e; 32], statement: vec![0x57; 200], manifest: vec![0x3a; 700] }
}

pub(crate) fn keyserver_requests() -> Vec<keyserver::Request> {
    let bodies = vec![
        KeyserverRequest::Info,
        KeyserverRequest::CreateAccount(keyserver::CreateAccount {
            recovery_key: [0x4e; 32],
            statement: vec![0x57; 200],
            manifest: vec![0x3a; 700],
            admission: Admission::Work(work()),
        }),
        KeyserverRequest::PublishManifest(keyserver::PublishManifest {
            current: manifest(),
            statement: None,
            manifest: vec![0x3a; 700],
        }),
        KeyserverRequest::PublishManifest(keyserver::PublishManifest {
            current: ManifestReference { generation: Generation(0), sequence: Sequence(0), ..manifest() },
            statement: Some(vec![0x57; 200]),
            manifest: vec![0x3a; 700],
        }),
        KeyserverRequest::FetchAccount(keyserver::FetchAccount { account: account() }),
        KeyserverRequest::FetchHistory(keyserver::FetchHistory {
            account: account(),
            generation: Generation(0),
            sequence: Sequence(5),
        }),
        KeyserverRequest::FetchReach(keyserver::FetchReach { account: account() }),
        KeyserverRequest::Lookup(keyserver::Lookup { name: "alice-w".parse().unwrap() }),
        KeyserverRequest::FetchBundles(keyserver::FetchBundles::new(account(), vec![device(3), device(1)]).unwrap()),
        KeyserverRequest::FetchBundles(keyserver::FetchBundles::new(account(), vec![]).unwrap()),
        KeyserverRequest::Bound(keyserver::Bound { request: vec![0xb0; 300], prekeys: vec![vec![0x9e; 170]; 3] }),
    ];
    (1..).zip(bodies).map(|(number, body)| keyserver::Request { id: id(number), body }).collect()
}

pub(crate) fn device_requests() -> Vec<DeviceRequest> {
    let name = || keyserver::Lookup { name: "alice-w".parse().unwrap() };
    vec![
        DeviceRequest::StoreReach(keyserver::StoreReach { record: vec![0x7e; 1_200] }),
        DeviceRequest::ClaimName(keyserver::ClaimName { name: name().name, admission: Admission::Open }),
        DeviceRequest::ReleaseName(name()),
        DeviceRequest::SetListing(keyserver::SetListing { listing: vec![0x71; 250] }),
        DeviceRequest::Unlist(name()),
        DeviceRequest::UploadPrekeys(keyserver::UploadPrekeys {
            batch: keyserver::batch_hash(&[vec![0x9e; 170], vec![0x9f; 1_700]]),
        }),
        DeviceRequest::PrekeyState,
        DeviceRequest::PrekeyIds,
    ]
}

pub(crate) fn keyserver_replies() -> Vec<keyserver::Reply> {
    let ids = keyserver::PrekeyIds::new(Some(7), None, vec![900, 5, 70_000], vec![]).unwrap();
    let bundle = |number, one_time: Option<Vec<u8>>| keyserver::Bundle {
        device: device(number),
        signed: vec![0x91; 240],
        last_resort: one_time.is_none(),
        one_time,
        kyber: vec![0x92; 1_780],
    };
    let results = vec![
        Ok(KeyserverReply::Done),
        Err(ServerError::from(ErrorCode::ManifestConflict)),
        Ok(KeyserverReply::Info(keyserver::Info {
            time: Timestamp(1_800_000_000_000),
            price: Price { strangers: Difficulty::try_from(0).unwrap(), ..price() },
            one_time_prekeys: 200,
            moved: None,
        })),
        Ok(KeyserverReply::Account(account_objects())),
        Ok(KeyserverReply::Account(keyserver::AccountObjects { manifest: vec![0x3b; 7_000], ..account_objects() })),
        Ok(KeyserverReply::History(keyserver::History {
            statements: vec![vec![0x57; 200]],
            manifests: vec![vec![0x3a; 700], vec![0x3b; 800]],
            more: true,
        })),
        Ok(KeyserverReply::Reach(keyserver::Reach { records: vec![vec![0x7e; 1_200]; 2] })),
        Ok(KeyserverReply::LookedUp(keyserver::LookedUp { listing: Some(vec![0x71; 250]) })),
        Ok(KeyserverReply::LookedUp(keyserver::LookedUp { listing: None })),
        Ok(KeyserverReply::Bundles(keyserver::Bundles {
            account: account_objects(),
            bundles: vec![bundle(1, Some(vec![0x93; 170])), bundle(3, None)],
        })),
        Ok(KeyserverReply::PrekeyState(ids.state())),
        Ok(KeyserverReply::PrekeyIds(ids)),
    ];
    (1..).zip(results).map(|(number, result)| keyserver::Reply { id: id(number), result }).collect()
}

fn target() -> MessageReference {
    MessageReference { author: account(), id: MessageId::from_bytes([0x1d; 16]) }
}

fn server() -> ServerAddress {
    let key = waxwing_wire::keys::ServerKey::from_seed(&[7; 32]).public_key();
    ServerAddress::new(key, vec!["relay.example:443".parse().unwrap()]).unwrap()
}

fn text(words: &str) -> Text {
    Text { text: words.into(), mentions: vec![], attachments: vec![], view_once: false }
}

pub(crate) fn bodies() -> Vec<Body> {
    let attachment = Attachment {
        server: server(),
        blob: blob(),
        read_capability: capability(),
        secret: ObjectSecret::from_bytes(&[0x5e; 32]),
        digest: [0xd9; 32],
        length: 123_456,
        media_type: "audio/ogg".into(),
        name: "note.ogg".into(),
        presentation: Presentation::VoiceNote,
        width: 0,
        height: 0,
        duration: 4_200,
        waveform: vec![1, 9, 200, 0],
        preview: vec![],
    };
    vec![
        Body::Text(text("hello")),
        Body::Text(Text {
            text: "héllo @bob".into(),
            mentions: vec![Mention { account: account(), start: 7, length: 4 }],
            attachments: vec![attachment],
            view_once: true,
        }),
        Body::Reaction(Reaction { target: target(), emoji: "👍".into(), remove: false }),
        Body::Edit(Edit { target: target(), revision: 2, text: text("hello again") }),
        Body::Delete(Delete { target: target() }),
        Body::Receipt(Receipt {
            state: ReceiptState::Delivered,
            ids: vec![MessageId::from_bytes([1; 16]), MessageId::from_bytes([2; 16])],
        }),
        Body::Typing(Typing { stopped: true }),
        Body::ReadMarkers(ReadMarkers {
            markers: vec![ReadMarker {
                conversation: Conversation::Account(account()),
                author: account(),
                device: device(1),
                sequence: 77,
            }],
        }),
        Body::Timer(Timer { seconds: 86_400, revision: 1 }),
        Body::Accepted(Introduction {
            statement: None,
            manifest: Some(vec![0x3a; 700]),
            reach_key: Some(ReachKey::from_bytes(&[0x7e; 32])),
            contacts_secret: Some(DeliverySecret::from_bytes(&[0x5c; 32])),
        }),
        Body::Empty,
        Body::Update(Introduction {
            statement: Some(vec![9; 90]),
            manifest: None,
            reach_key: None,
            contacts_secret: None,
        }),
        Body::SentCopy(SentCopy { content: vec![0xc0; 400] }),
        Body::GroupPart(GroupPart { group: GroupId::from_bytes([0x96; 32]), part: 1, inside: vec![3; 80] }),
        Body::ProfileKey(ProfileKey { key: ObjectSecret::from_bytes(&[0x9f; 32]), version: 4 }),
        Body::Resend(Resend { ids: vec![] }),
        Body::Location(Location { geo: "geo:52.5,13.4".into() }),
        Body::Poll(Poll { question: "When?".into(), options: vec!["now".into(), "later".into()], several: false }),
        Body::Vote(Vote { target: target(), revision: 1, options: vec![1] }),
        Body::ContactCopy(ContactCopy {
            account: account(),
            standing: Standing::Accepted,
            revision: 2,
            recovery_key: Some([0x4e; 32]),
            statement: Some(vec![9; 90]),
            manifest: Some(vec![0x3a; 700]),
            reach_key: Some(ReachKey::from_bytes(&[0x7e; 32])),
            contacts_secret: Some(DeliverySecret::from_bytes(&[0x5c; 32])),
            token: Some(IntroductionToken::from_bytes(&[0x70; 32])),
            key_servers: vec![server()],
            notes: Some(ContactNotes {
                name_revision: 3,
                name: Some("Bob B.".parse().unwrap()),
                verified_revision: 1,
                verified: Some(Generation(0)),
                muted_revision: 2,
                muted_until: Some(Timestamp(u64::MAX)),
            }),
        }),
        Body::OwnLinks(OwnLinks {
            links: vec![
                OwnLink {
                    token: IntroductionToken::from_bytes(&[0x70; 32]),
                    ends: Timestamp(1_800_000_000_000),
                    revoked: false,
                    once: true,
                },
                OwnLink {
                    token: IntroductionToken::from_bytes(&[0x71; 32]),
                    ends: Timestamp(1),
                    revoked: true,
                    once: false,
                },
            ],
        }),
        Body::PassedOn(PassedOn { author: account(), device: device(2), content: vec![0xc0; 400] }),
        Body::Custom(CustomBody {
            name: KindName::new("com.example/whiteboard".into()).unwrap(),
            version: 3,
            bytes: vec![1, 2, 3],
        }),
    ]
}

pub(crate) fn content(body: Body) -> Content {
    Content {
        id: MessageId::from_bytes([0x1d; 16]),
        sent: Timestamp(1_800_000_000_000),
        sequence: 7,
        previous: ChainHash::from_bytes([0x88; 32]),
        conversation: Conversation::Account(account()),
        own_manifest: manifest(),
        your_manifest: Some(manifest()),
        expires_after: 0,
        reply_to: None,
        fallback: String::new(),
        body,
        identity: None,
        extensions: vec![],
    }
}

pub(crate) fn contents() -> Vec<Content> {
    let mut contents: Vec<_> = bodies().into_iter().map(content).collect();
    let group = Group { id: GroupId::from_bytes([0x96; 32]), version: 12, hash: [0x97; 32] };
    contents.push(Content {
        conversation: Conversation::Group(group),
        your_manifest: None,
        expires_after: 3_600,
        reply_to: Some(target()),
        fallback: "a text".into(),
        identity: Some(IdentityBlock {
            recovery_key: [0x4e; 32],
            statement: vec![0x57; 200],
            manifest: vec![0x3a; 700],
            reach_key: ReachKey::from_bytes(&[0x7e; 32]),
            contacts_secret: DeliverySecret::from_bytes(&[0x5c; 32]),
        }),
        extensions: vec![Extension { number: 7, value: vec![1, 2, 3] }],
        ..content(Body::Text(text("hello")))
    });
    contents
}
