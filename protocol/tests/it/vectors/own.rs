//! Our own deterministic vectors: sessions between two of us with every record (05-own-sessions.json), and records of every
//! kind with what becomes of damaged ones (05-records.json); those with the post-quantum ratchet are in `own_triple`.
//! `protocol/examples/vectors.rs` writes them.

use std::collections::BTreeMap;

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use serde::Serialize;
use sha2::Digest;
use waxwing_protocol::{
    IdentityKeyPair, KyberPrekey, KyberPrekeyId, OneTimePrekey, OneTimePrekeyId, RegistrationId, Session, SignedPrekey,
    SignedPrekeyId,
};

use super::device::{Asks, Delivery, Device, Keys, Records};
use super::hex::Hex;
use super::own_triple;
use super::transcript::{Address, Kind, Owner, PrekeySecret, Ratchet, is_false, is_zero};

/// A session between two of us.
#[derive(Serialize)]
pub struct OwnSession {
    name: String,
    suite: u8,
    #[serde(skip_serializing_if = "Ratchet::is_double")]
    ratchet: Ratchet,
    /// Of values in `written` only the SHA-256 is given.
    #[serde(skip_serializing_if = "is_false")]
    digests: bool,
    now: u64,
    alice: End,
    bob: End,
    steps: Vec<OwnStep>,
}

/// One of them; `seed` as in transcripts.
#[derive(Serialize)]
struct End {
    seed: Hex,
    #[serde(flatten)]
    owner: Owner,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    Alice,
    Bob,
}

impl Who {
    pub fn other(self) -> Self {
        match self {
            Self::Alice => Self::Bob,
            Self::Bob => Self::Alice,
        }
    }
}

/// What one of them does; afterwards its records are these (`null`: unchanged but for what is listed).
#[derive(Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
enum OwnStep {
    Initiate {
        who: Who,
        drawn: u64,
        written: Written,
    },
    Seal {
        who: Who,
        message: usize,
        plaintext: Hex,
        kind: Kind,
        bytes: Hex,
        #[serde(skip_serializing_if = "is_zero")]
        drawn: u64,
        written: Written,
    },
    /// Seals so many messages of one zero byte, which nobody gets.
    Skip {
        who: Who,
        count: u32,
        #[serde(skip_serializing_if = "is_zero")]
        drawn: u64,
        written: Written,
    },
    Open {
        who: Who,
        message: usize,
        drawn: u64,
        written: Written,
    },
    Refuse {
        who: Who,
        message: usize,
        error: String,
    },
    Archive {
        who: Who,
        written: Written,
    },
    Restart {
        who: Who,
    },
}

/// Records by key: what a step wrote, null where it deleted.
type Written = BTreeMap<String, Option<Hex>>;

/// Records as storage has them, and what loading makes of them.
#[derive(Serialize)]
pub struct RecordCase {
    name: String,
    records: BTreeMap<String, Hex>,
    /// Absent if they load, and then are what the session writes anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Names and texts.
pub fn files() -> [(&'static str, String); 4] {
    [
        ("05-own-sessions.json", sessions_file()),
        ("05-records.json", pretty(&record_cases())),
        ("06-own-sessions.json", pretty(&own_triple::sessions())),
        ("06-records.json", pretty(&own_triple::record_cases())),
    ]
}

fn sessions_file() -> String {
    let mut sessions = Vec::new();
    for suite in [3, 4] {
        for one_time in [true, false] {
            let with = if one_time { "with" } else { "without" };
            let name = format!("version {suite} {with} one-time prekey: first message, answer, two rounds");
            sessions.push(Pair::new(&name, suite, one_time, "").first_message_and_answer());
        }
    }
    sessions.push(Pair::new("names that are no service ids", 4, true, "plain").first_message_and_answer());
    sessions.push(Pair::new("skipped and late messages", 3, true, "").skipped_and_late());
    sessions.push(Pair::new("70 skipped keys fill three blocks", 3, false, "").blocks());
    sessions.push(Pair::new("six chains, of which five are kept", 3, false, "").chains());
    sessions.push(Pair::new("both start", 3, false, "").simultaneous());
    sessions.push(Pair::new("an archived state is promoted", 4, true, "").promotion());
    pretty(&sessions)
}

fn pretty<T: Serialize>(cases: &[T]) -> String {
    serde_json::to_string_pretty(cases).unwrap() + "\n"
}

pub struct Pair {
    pub session: OwnSession,
    devices: BTreeMap<Who, Device>,
    messages: Vec<(Kind, Vec<u8>, Vec<u8>)>,
}

impl Pair {
    /// With the Double Ratchet alone.
    fn new(name: &str, suite: u8, one_time: bool, names: &str) -> Self {
        Self::with(name, Asks { suite, ratchet: Ratchet::Double }, one_time, names)
    }

    pub fn with(name: &str, asks: Asks, one_time: bool, names: &str) -> Self {
        let Asks { suite, ratchet } = asks;
        let [a, b] = [("11", 1), ("22", 2)].map(|(digits, device)| {
            let uuid = [4, 2, 2, 2, 6].map(|pairs| digits.repeat(pairs)).join("-");
            Address { name: if names == "plain" { format!("end {device}") } else { uuid }, device }
        });
        let number = name.bytes().fold(u64::from(suite), |sum, byte| sum * 31 % 1_000_003 + u64::from(byte));
        let ends = [(a, 1u8), (b, 2)].map(|(address, which)| End {
            seed: Hex(vec![which; 32]),
            owner: owner(number * 2 + u64::from(which), address, suite, one_time),
        });
        let [alice, bob] = ends;
        let device =
            |end: &End, peer: &End| Device::new(&end.owner, &peer.owner.address, asks, &end.seed, NOW).unwrap();
        let devices = BTreeMap::from([(Who::Alice, device(&alice, &bob)), (Who::Bob, device(&bob, &alice))]);
        let session =
            OwnSession { name: name.into(), suite, ratchet, digests: false, now: NOW, alice, bob, steps: Vec::new() };
        Self { session, devices, messages: Vec::new() }
    }

    /// Of what is written only digests are recorded.
    pub fn with_digests(mut self) -> Self {
        self.session.digests = true;
        self
    }

    pub fn records(&self, who: Who) -> &Records {
        self.devices[&who].records()
    }

    /// The records of one end after a first message and its answer.
    pub fn condition(suite: u8, names: &str, whose: Who) -> Records {
        condition(suite, names, whose, |_| {})
    }

    pub fn first_message_and_answer(mut self) -> OwnSession {
        self.initiate(Who::Alice);
        self.send(Who::Alice, b"first");
        self.send(Who::Bob, b"answer");
        for round in [b"round 1", b"round 2"] {
            self.send(Who::Alice, round);
            self.send(Who::Bob, round);
        }
        self.session
    }

    fn skipped_and_late(mut self) -> OwnSession {
        self.initiate(Who::Alice);
        let early: Vec<usize> = (0..4u8).map(|i| self.seal(Who::Alice, &[i])).collect();
        self.open(Who::Bob, early[2]);
        self.open(Who::Bob, early[0]);
        self.send(Who::Bob, b"answer");
        let late = self.seal(Who::Alice, b"in a new chain");
        self.open(Who::Bob, late);
        self.restart(Who::Bob);
        self.open(Who::Bob, early[3]);
        self.open(Who::Bob, early[1]);
        self.refuse(Who::Bob, early[1], "OpenError::Duplicate { counter: 1 }");
        self.refuse(Who::Alice, late, "OpenError::Forged");
        self.session
    }

    fn blocks(mut self) -> OwnSession {
        self.initiate(Who::Alice);
        let first = self.seal(Who::Alice, b"first");
        let device = self.devices.get_mut(&Who::Alice).unwrap();
        device.skip(70).unwrap();
        self.send(Who::Alice, b"after 71");
        self.open(Who::Bob, first);
        self.send(Who::Bob, b"answer");
        self.session
    }

    fn chains(mut self) -> OwnSession {
        self.initiate(Who::Alice);
        self.send(Who::Alice, b"first");
        let mut late = Vec::new();
        for _ in 0..6 {
            self.send(Who::Bob, b"turn");
            late.push(self.seal(Who::Alice, b"late"));
            self.send(Who::Alice, b"in time");
        }
        self.refuse(Who::Bob, late[0], "OpenError::Forged");
        for message in &late[1..] {
            self.open(Who::Bob, *message);
        }
        self.session
    }

    pub fn simultaneous(mut self) -> OwnSession {
        self.initiate(Who::Alice);
        self.initiate(Who::Bob);
        let (a, b) = (self.seal(Who::Alice, b"alice's"), self.seal(Who::Bob, b"bob's"));
        self.open(Who::Bob, a);
        self.open(Who::Alice, b);
        self.send(Who::Alice, b"in bob's");
        self.send(Who::Bob, b"agreed");
        self.session
    }

    pub fn promotion(mut self) -> OwnSession {
        self.initiate(Who::Alice);
        self.send(Who::Alice, b"first");
        let late = self.seal(Who::Bob, b"late");
        self.archive(Who::Alice);
        self.open(Who::Alice, late);
        self.send(Who::Alice, b"promoted");
        self.session
    }

    pub fn initiate(&mut self, who: Who) {
        let OwnSession { alice, bob, suite, .. } = &self.session;
        let peer = if who == Who::Alice { bob } else { alice };
        let kyber = (*suite == 4).then_some(KYBER);
        let keys = Keys::restore(&peer.owner).unwrap();
        let bundle = keys.bundle(&peer.owner.address, SIGNED, Some(ONE_TIME), kyber);
        let (drawn, written) = self.act(who, |device| {
            let _identity = device.initiate(&bundle).unwrap().unwrap();
        });
        self.session.steps.push(OwnStep::Initiate { who, drawn, written });
    }

    /// Messages that nobody gets, by number only.
    pub fn skip(&mut self, who: Who, count: u32) {
        let (drawn, written) = self.act(who, |device| device.skip(count).unwrap());
        self.session.steps.push(OwnStep::Skip { who, count, drawn, written });
    }

    pub fn seal(&mut self, who: Who, plaintext: &[u8]) -> usize {
        let mut sealed = None;
        let (drawn, written) = self.act(who, |device| sealed = Some(device.seal(plaintext).unwrap().unwrap()));
        let (kind, bytes) = sealed.unwrap();
        let message = self.messages.len();
        self.messages.push((kind, bytes.clone(), plaintext.to_vec()));
        let (plaintext, bytes) = (plaintext.into(), Hex(bytes));
        self.session.steps.push(OwnStep::Seal { who, message, plaintext, kind, bytes, drawn, written });
        message
    }

    pub fn open(&mut self, who: Who, message: usize) {
        let (kind, bytes, plaintext) = self.messages[message].clone();
        let delivery = Delivery { kind, bytes: &bytes, budget: None, dropped: false };
        let (drawn, written) = self.act(who, |device| {
            assert_eq!(device.open(delivery).unwrap().map(|plain| plain.plaintext), Ok(plaintext));
        });
        self.session.steps.push(OwnStep::Open { who, message, drawn, written });
    }

    fn refuse(&mut self, who: Who, message: usize, expected: &str) {
        let (kind, bytes, _) = self.messages[message].clone();
        let delivery = Delivery { kind, bytes: &bytes, budget: None, dropped: false };
        let (drawn, written) = self.act(who, |device| {
            assert_eq!(device.open(delivery).unwrap().map(|plain| plain.plaintext), Err(expected.to_owned()));
        });
        assert!(drawn == 0 && written.is_empty());
        self.session.steps.push(OwnStep::Refuse { who, message, error: expected.into() });
    }

    pub fn send(&mut self, from: Who, plaintext: &[u8]) {
        let message = self.seal(from, plaintext);
        self.open(from.other(), message);
    }

    pub fn archive(&mut self, who: Who) {
        let (_, written) = self.act(who, |device| device.archive().unwrap());
        self.session.steps.push(OwnStep::Archive { who, written });
    }

    pub fn restart(&mut self, who: Who) {
        let (_, written) = self.act(who, |device| device.restart().unwrap());
        assert!(written.is_empty());
        self.session.steps.push(OwnStep::Restart { who });
    }

    /// What was drawn, and which records changed.
    fn act(&mut self, who: Who, act: impl FnOnce(&mut Device)) -> (u64, Written) {
        let device = self.devices.get_mut(&who).unwrap();
        let (drawn, before) = (device.drawn(), device.records().clone());
        act(device);
        let mut written = written(&before, device.records());
        if self.session.digests {
            written.values_mut().flatten().for_each(|value| *value = (&sha2::Sha256::digest(&**value)[..]).into());
        }
        (device.drawn() - drawn, written)
    }
}

fn written(before: &Records, after: &Records) -> Written {
    let put = after.iter().filter(|(key, value)| before.get(*key) != Some(value));
    let put = put.map(|(key, value)| (hex::encode(key), Some(value.into())));
    let deleted = before.keys().filter(|key| !after.contains_key(*key)).map(|key| (hex::encode(key), None));
    put.chain(deleted).collect()
}

fn owner(number: u64, address: Address, suite: u8, one_time: bool) -> Owner {
    let rng = &mut ChaCha20Rng::seed_from_u64(number);
    let identity = IdentityKeyPair::generate(rng);
    let registration_id = RegistrationId::generate(rng).0;
    let secret = |id, private: &[u8], signature: Option<&[u8]>| PrekeySecret {
        id,
        private: private.into(),
        signature: signature.map(Into::into),
        last_resort: false,
    };
    let signed = SignedPrekey::generate(SignedPrekeyId(SIGNED), &identity, rng);
    let signed = vec![secret(SIGNED, &*signed.private_key(), Some(signed.signature().as_bytes()))];
    let once = OneTimePrekey::generate(OneTimePrekeyId(ONE_TIME), rng);
    let kyber = (suite == 4).then(|| {
        let kyber = KyberPrekey::generate(KyberPrekeyId(KYBER), &identity, rng);
        secret(KYBER, &kyber.secret_key().to_bytes(), Some(kyber.signature().as_bytes()))
    });
    Owner {
        address,
        registration_id,
        identity_private: (&*identity.private_key()).into(),
        signed,
        one_time: if one_time { vec![secret(ONE_TIME, &*once.private_key(), None)] } else { Vec::new() },
        kyber: kyber.into_iter().collect(),
    }
}

/// Records of sessions in every condition, then damaged ones.
fn record_cases() -> Vec<RecordCase> {
    let mut cases = Vec::new();
    let mut intact = |name: &str, records: &Records| cases.push(case(name, records, None));
    intact("no records: a session that never was", &Records::new());
    intact("no state, as archiving the only one leaves it", &no_state());
    intact("a responder of version 3 with addresses", &condition(3, "", Who::Bob, |_| {}));
    intact("an initiator of version 3, unacknowledged, without one-time prekey", &unacknowledged(3, false));
    intact("an initiator of version 3, unacknowledged", &unacknowledged(3, true));
    intact("an initiator of version 4, unacknowledged", &unacknowledged(4, true));
    intact("an initiator of version 4, unacknowledged, without one-time prekey", &unacknowledged(4, false));
    intact("an initiator of version 4, acknowledged", &condition(4, "", Who::Alice, |_| {}));
    intact("a responder without addresses", &condition(4, "plain", Who::Bob, |_| {}));
    let kept = condition(3, "", Who::Bob, |pair| {
        pair.devices.get_mut(&Who::Alice).unwrap().skip(40).unwrap();
        pair.send(Who::Alice, b"after 40");
    });
    intact("kept keys in two blocks", &kept);
    intact("kept keys of which one is no seed but the keys, as an import leaves them", &with_keys(&kept));
    let archived = condition(3, "", Who::Bob, |pair| {
        pair.archive(Who::Bob);
        pair.archive(Who::Alice);
        pair.initiate(Who::Alice);
        pair.send(Who::Alice, b"second state");
    });
    intact("a current and an archived state", &archived);

    let state = condition(3, "plain", Who::Bob, |_| {});
    let mut damaged = |name: &str, error: &str, damage: &dyn Fn(&mut Records)| {
        let mut records = state.clone();
        damage(&mut records);
        cases.push(case(name, &records, Some(&format!("RecordError::{error}"))));
    };
    let at = |record: &'static [u8], position: usize, value: u8| {
        move |records: &mut Records| records.get_mut(record).unwrap()[position] = value
    };
    const FIRST: &[u8] = b"s\0\0\0\0";
    damaged("the head is missing", "Missing", &|records| drop(records.remove(b"h".as_slice())));
    damaged("the state is missing", "Missing", &|records| drop(records.remove(FIRST)));
    damaged("a state that no head names", "Stray", &|records| {
        let copy = records[FIRST].clone();
        records.insert(b"s\0\0\0\x07".to_vec(), copy);
    });
    damaged("kept keys of a chain that is not there", "Stray", &|records| {
        let value = [vec![1, 1, 0, 0], vec![9; 32]].concat();
        records.insert(b"k\0\0\0\0\0\0\0\x09\0\0\0\0".to_vec(), value);
    });
    damaged("a head of version 2", "Version { got: 2 }", &at(b"h", 0, 2));
    damaged("a state of version 3", "Version { got: 3 }", &at(FIRST, 0, 3));
    damaged("a state of version 2 without its flag", "Malformed", &at(FIRST, 0, 2));
    damaged("a state of suite 5", "Malformed", &at(FIRST, 1, 5));
    damaged("a state with an unknown flag", "Malformed", &at(FIRST, 2, 32));
    damaged("version 2's flag in a state of version 1", "Malformed", &at(FIRST, 2, 16));
    damaged("a one-time prekey id in an acknowledged state", "Malformed", &at(FIRST, 2, 4));
    damaged("an identity key that is not canonical", "Malformed", &at(FIRST, 34, 0xFF));
    damaged("a ratchet private key that is not clamped", "Malformed", &at(FIRST, 139, 1));
    damaged("more than five chains", "Malformed", &|records| {
        let count = records.get_mut(FIRST).unwrap().get_mut(3 + 72 + 64 + 64 + 36 + 4 + 4).unwrap();
        *count = 6;
    });
    damaged("a byte behind", "Malformed", &|records| records.get_mut(FIRST).unwrap().push(0));
    damaged("cut", "Malformed", &|records| records.get_mut(FIRST).unwrap().truncate(300));
    damaged("an empty state", "Malformed", &|records| records.get_mut(FIRST).unwrap().clear());
    damaged("a next serial that is in use", "Malformed", &at(b"h", 4, 0));
    damaged("a key of no kind", "Malformed", &|records| drop(records.insert(b"x".to_vec(), vec![1])));
    cases
}

pub fn case(name: &str, records: &Records, expected: Option<&str>) -> RecordCase {
    let loaded = Session::load(records);
    let error = loaded.as_ref().err().map(|error| format!("RecordError::{error:?}"));
    assert_eq!(error.as_deref(), expected, "{name}");
    if let Ok(session) = &loaded {
        let anew = session.records().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec()));
        // A session that never was has a head that nobody stored.
        assert!(records.is_empty() || anew.collect::<Records>() == *records, "{name}");
    }
    let records = records.iter().map(|(key, value)| (hex::encode(key), value.into())).collect();
    RecordCase { name: name.into(), records, error }
}

/// The records of one end after a first message, its answer and what else is done.
fn condition(suite: u8, names: &str, whose: Who, then: impl FnOnce(&mut Pair)) -> Records {
    let mut pair = Pair::new("records", suite, false, names);
    pair.initiate(Who::Alice);
    pair.send(Who::Alice, b"first");
    pair.send(Who::Bob, b"answer");
    then(&mut pair);
    pair.devices[&whose].records().clone()
}

fn unacknowledged(suite: u8, one_time: bool) -> Records {
    let mut pair = Pair::new("records", suite, one_time, "");
    pair.initiate(Who::Alice);
    pair.seal(Who::Alice, b"first");
    pair.devices[&Who::Alice].records().clone()
}

fn no_state() -> Records {
    let mut pair = Pair::new("records", 3, false, "");
    pair.archive(Who::Alice);
    pair.initiate(Who::Alice);
    pair.archive(Who::Alice);
    pair.devices[&Who::Alice].records().clone()
}

/// Replaces the first kept seed by the three keys: kind 1, 80 bytes.
fn with_keys(records: &Records) -> Records {
    let mut records = records.clone();
    let block = records.iter_mut().find(|(key, _)| key.first() == Some(&b'k')).map(|(_, value)| value).unwrap();
    let offset = block[2];
    let entry = [vec![offset, 1], vec![0xAA; 32], vec![0xBB; 32], vec![0xCC; 16]].concat();
    block.splice(2..2 + 34, entry);
    records
}

const NOW: u64 = 1_800_000_000_000;
const SIGNED: u32 = 11;
const ONE_TIME: u32 = 21;
const KYBER: u32 = 31;
