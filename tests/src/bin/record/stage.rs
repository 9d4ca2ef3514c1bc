//! Records one transcript: performs each step at both ends, and insists on what the scenario says comes out.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{from_value, to_value};
use sha2::{Digest, Sha256};

use waxwing_protocol::{
    IdentityKeyPair, KyberPrekey, KyberPrekeyId, OneTimePrekey, OneTimePrekeyId, RegistrationId, SignedPrekey,
    SignedPrekeyId,
};
use waxwing_tests::peer::{
    self, BundleChoice, Bytes, Ciphertext, MessageType, Party, PartyOptions, Peer, PeerError, PrekeyKind,
};

use crate::{
    device::Keys,
    engine::Engine,
    hex::Hex,
    transcript::{Address, Bundle, Change, Initiator, Kind, Owner, PrekeySecret, Ratchet, Step, Transcript},
    witness::{Field, Fields, SpqrHeader},
};

pub const ALICE: &str = "9d0652a3-dcc3-4d11-975f-74d61598733f";
pub const BOB: &str = "796abedb-ca4e-4f18-8803-1fde5b921f9f";
/// Our clock wherever it does not matter.
pub const NOW: u64 = 1_800_000_000_000;

/// Ids that show a mix-up of kinds. The second one-time and Kyber prekeys are one higher.
pub const SIGNED: u32 = 11;
pub const ONE_TIME: u32 = 21;
pub const KYBER: u32 = 31;

/// What a transcript begins with. We live at BOB.2 with ALICE.1 as peer, unless it says otherwise.
#[derive(Clone, Debug)]
pub struct Setup {
    pub suite: u8,
    pub ratchet: Ratchet,
    pub initiator: Initiator,
    pub us: Address,
    pub peer: Address,
    /// One-time prekeys of whoever responds.
    pub one_time: u32,
    /// Kyber prekeys of whoever responds; none are needed for X3DH.
    pub kyber: u32,
    /// Kyber prekeys are last resorts.
    pub last_resort: bool,
}

impl Setup {
    pub fn new(suite: u8, initiator: Initiator) -> Self {
        let (us, peer) = (Address { name: BOB.into(), device: 2 }, Address { name: ALICE.into(), device: 1 });
        let kyber = u32::from(suite == 4);
        Self { suite, ratchet: Ratchet::Double, initiator, us, peer, one_time: 1, kyber, last_resort: false }
    }

    /// PQXDH with the post-quantum ratchet.
    pub fn triple(initiator: Initiator) -> Self {
        Self { ratchet: Ratchet::Triple, ..Self::new(4, initiator) }
    }

    /// With prekeys for a second session.
    pub fn with_two(suite: u8, initiator: Initiator) -> Self {
        let one = Self::new(suite, initiator);
        Self { one_time: 2, kyber: 2 * one.kyber, ..one }
    }
}

pub struct Stage<'p> {
    pub engine: Engine,
    pub party: Party<'p>,
    pub transcript: Transcript,
    pub setup: Setup,
    peer: &'p Peer,
    messages: u32,
}

impl<'p> Stage<'p> {
    pub fn new(peer: &'p Peer, name: &str, setup: &Setup) -> Self {
        peer.reset().unwrap();
        let us = our_owner(name, setup);
        let (party, theirs) = peer_owner(peer, setup);
        let transcript = Transcript {
            name: name.into(),
            library: peer.version().to_string(),
            suite: setup.suite,
            ratchet: setup.ratchet,
            initiator: setup.initiator,
            seed: (&digest("session", name)).into(),
            now: NOW,
            us,
            peer: theirs,
            steps: Vec::new(),
        };
        let engine = Engine::new(&transcript).unwrap();
        Self { engine, party, transcript, setup: setup.clone(), peer, messages: 0 }
    }

    /// Ends the recording.
    pub fn done(self) -> Transcript {
        self.transcript
    }

    fn step(&mut self, step: &Step) -> Step {
        let observed = match self.engine.observe(step) {
            Ok(observed) => observed,
            Err(error) => panic!("{}: {error} at {step:?}", self.transcript.name),
        };
        self.transcript.steps.push(observed.clone());
        observed
    }

    // Starting.

    /// The library's bundle with the first prekeys that are left.
    pub fn peer_bundle(&self) -> Bundle {
        let first = |kind| self.party.prekey_ids(kind).unwrap().first().copied();
        let kyber = first(PrekeyKind::Kyber).filter(|_| self.setup.suite == 4);
        let choice = BundleChoice { one_time: first(PrekeyKind::OneTime), signed: SIGNED, kyber };
        from_value(to_value(self.party.bundle(choice).unwrap()).unwrap()).unwrap()
    }

    /// We start a session from the library's bundle.
    pub fn we_initiate(&mut self) {
        let bundle = self.peer_bundle();
        let step = self.step(&Step::WeInitiate {
            bundle,
            changed: None,
            library: None,
            identity: None,
            drawn: 0,
            error: None,
        });
        self.expect(matches!(step, Step::WeInitiate { error: None, .. }), &step);
    }

    /// We are handed a changed bundle and refuse it; the library's verdict is written beside ours.
    pub fn we_refuse_bundle(&mut self, what: &str, bundle: Bundle, error: &str) {
        let options = PartyOptions::new("third", peer::Address::new(ALICE, 3));
        let third = self.peer.create_party(&options).unwrap();
        let as_peer: peer::Bundle = from_value(with_nulls(&bundle)).unwrap();
        let library = verdict(third.process_bundle(&self.party.address(), &as_peer));
        third.forget().unwrap();
        let step = self.step(&Step::WeInitiate {
            bundle,
            changed: Some(what.into()),
            library: Some(library),
            identity: None,
            drawn: 0,
            error: None,
        });
        self.expect(matches!(&step, Step::WeInitiate { error: Some(got), .. } if got == error), &step);
    }

    /// The library starts a session from our bundle.
    pub fn library_initiates(&mut self) {
        let bundle = self.our_bundle();
        self.library_initiates_from(&bundle);
    }

    pub fn library_initiates_from(&mut self, bundle: &Bundle) {
        let bundle: peer::Bundle = from_value(with_nulls(bundle)).unwrap();
        self.party.process_bundle(&self.us(), &bundle).unwrap();
    }

    pub fn our_bundle(&self) -> Bundle {
        let keys = self.engine.device.keys();
        let one_time = keys.one_time.keys().next().copied();
        let kyber = keys.kyber.keys().next().copied().filter(|_| self.setup.suite == 4);
        keys.bundle(&self.setup.us, SIGNED, one_time, kyber)
    }

    // Messages from us to the library.

    pub fn seal(&mut self, text: &[u8]) -> u32 {
        let message = self.next_message();
        let step = self.step(&Step::WeSeal {
            message,
            plaintext: text.into(),
            kind: None,
            bytes: None,
            drawn: 0,
            error: None,
        });
        self.expect(matches!(step, Step::WeSeal { error: None, .. }), &step);
        message
    }

    pub fn seal_refused(&mut self, text: &[u8], expected: &str) {
        let message = self.next_message();
        let step = self.step(&Step::WeSeal {
            message,
            plaintext: text.into(),
            kind: None,
            bytes: None,
            drawn: 0,
            error: None,
        });
        self.expect(matches!(&step, Step::WeSeal { error: Some(error), .. } if error == expected), &step);
    }

    /// The library opens what we sealed.
    pub fn delivered(&mut self, message: u32) {
        let opened = self.library_decrypts(message);
        let (_, _, plaintext) = self.engine.bytes(message).unwrap();
        assert_eq!(&*opened.unwrap().plaintext, plaintext, "{}: message {message}", self.transcript.name);
        self.step(&Step::LibraryOpens { message, error: None });
    }

    /// The library refuses what we sealed, with this in its error.
    pub fn delivered_in_vain(&mut self, message: u32, expected: &str) {
        let error = verdict(self.library_decrypts(message));
        assert!(error.contains(expected), "{}: message {message}: {error}", self.transcript.name);
        self.step(&Step::LibraryOpens { message, error: Some(error) });
    }

    pub fn send(&mut self, text: &[u8]) -> u32 {
        let message = self.seal(text);
        self.delivered(message);
        message
    }

    pub fn we_skip(&mut self, count: u32) {
        self.step(&Step::WeSkip { count });
    }

    fn library_decrypts(&self, message: u32) -> Result<peer::Opened, PeerError> {
        let (kind, bytes, _) = self.engine.bytes(message).unwrap();
        self.party.decrypt(&self.us(), &ciphertext(kind, bytes))
    }

    // Messages from the library to us.

    pub fn library_seals(&mut self, text: &[u8]) -> u32 {
        let sealed = self.party.encrypt(&self.us(), text).unwrap();
        let message = self.next_message();
        let kind = match sealed.kind {
            MessageType::PreKey => Kind::Prekey,
            _ => Kind::Signal,
        };
        self.step(&Step::LibrarySeals { message, plaintext: text.into(), kind, bytes: (&*sealed.body).into() });
        message
    }

    pub fn library_skips(&self, count: u32) {
        self.party.skip(&self.us(), count).unwrap();
    }

    pub fn open(&mut self, message: u32) {
        let step = self.step(&opening(message));
        self.expect(matches!(step, Step::WeOpen { error: None, .. }), &step);
    }

    pub fn receive(&mut self, text: &[u8]) -> u32 {
        let message = self.library_seals(text);
        self.open(message);
        message
    }

    pub fn refuse(&mut self, message: u32, expected: &str) {
        let step = self.step(&opening(message));
        self.expect_refusal(expected, &step);
    }

    /// We open it with so much budget, in vain.
    pub fn refuse_with_budget(&mut self, message: u32, units: u32, expected: &str) {
        let mut step = opening(message);
        if let Step::WeOpen { budget, .. } = &mut step {
            *budget = Some(units);
        }
        let step = self.step(&step);
        self.expect_refusal(expected, &step);
    }

    /// We open it, and crash before we commit.
    pub fn open_and_crash(&mut self, message: u32) {
        let mut step = opening(message);
        if let Step::WeOpen { dropped, .. } = &mut step {
            *dropped = true;
        }
        let step = self.step(&step);
        self.expect(matches!(step, Step::WeOpen { error: None, .. }), &step);
    }

    /// A message that was changed on the way, and opens all the same.
    pub fn open_changed(&mut self, message: u32, what: &str, changed: &[u8]) {
        let step = self.changed(message, what, changed);
        let step = self.step(&step);
        self.expect(matches!(step, Step::WeOpen { error: None, .. }), &step);
    }

    /// A message that was changed on the way, and is refused.
    pub fn refuse_changed(&mut self, message: u32, what: &str, changed: &[u8], expected: &str) {
        let step = self.changed(message, what, changed);
        let step = self.step(&step);
        self.expect_refusal(expected, &step);
    }

    fn changed(&self, message: u32, what: &str, changed: &[u8]) -> Step {
        let (kind, bytes, _) = self.engine.bytes(message).unwrap();
        let mut step = opening(message);
        if let Step::WeOpen { change, library, .. } = &mut step {
            *change = Some(Change::between(what, bytes, changed));
            let is_first = kind == Kind::Prekey && self.engine.device.records().is_empty();
            *library = is_first.then(|| self.library_in_our_place(changed));
        }
        step
    }

    /// What the library says to a first message if it has our keys.
    pub fn library_in_our_place(&self, bytes: &[u8]) -> String {
        let Transcript { us, .. } = &self.transcript;
        let keys = self.engine.device.keys();
        let twin = self.peer.create_party(&PartyOptions {
            handle: "twin".into(),
            address: self.us(),
            registration_id: Some(us.registration_id),
            identity_private: Some(Bytes::from(&*us.identity_private)),
        });
        let twin = twin.unwrap();
        for (kind, prekeys) in
            [(PrekeyKind::Signed, &us.signed), (PrekeyKind::OneTime, &us.one_time), (PrekeyKind::Kyber, &us.kyber)]
        {
            for prekey in prekeys {
                if let Some(record) = library_record(kind, prekey, keys) {
                    twin.import_prekey(kind, &record).unwrap();
                }
            }
        }
        let outcome = verdict(twin.decrypt(&self.party.address(), &ciphertext(Kind::Prekey, bytes)));
        twin.forget().unwrap();
        outcome
    }

    /// The name of our refusal, for changes whose outcome depends on the library's random bytes; the session is loaded
    /// anew for it. Empty if we would open it.
    pub fn what_we_say(&self, message: u32, changed: &[u8]) -> String {
        let mut engine = Engine::new(&self.transcript).unwrap();
        for step in &self.transcript.steps {
            engine.observe(step).unwrap();
        }
        match engine.observe(&self.changed(message, "", changed)) {
            Ok(Step::WeOpen { error, .. }) => error.unwrap_or_default(),
            other => panic!("{other:?} is no opening"),
        }
    }

    /// The library's identity key and ours.
    pub fn identities(&self) -> [Vec<u8>; 2] {
        let ours = self.engine.device.keys().identity.public_key().to_bytes();
        [self.party.info().identity_public.to_vec(), ours.to_vec()]
    }

    /// From here on we ask for the Double Ratchet alone.
    pub fn ask_for_double_ratchet(&mut self) {
        self.setup.ratchet = Ratchet::Double;
        self.ask_for(4);
    }

    /// The message as it was sealed.
    pub fn message(&self, message: u32) -> Ciphertext {
        let (kind, bytes, _) = self.engine.bytes(message).unwrap();
        ciphertext(kind, bytes)
    }

    /// Which epoch's chains a message is keyed from.
    pub fn key_epoch_of(&self, message: u32) -> u64 {
        SpqrHeader::of(&self.message(message)).unwrap().epoch - 1
    }

    /// Which epoch our messages are keyed from.
    pub fn key_epoch(&self) -> u64 {
        self.engine.device.session().post_quantum_epoch().unwrap()
    }

    pub fn body(&self, message: u32) -> Vec<u8> {
        self.engine.bytes(message).unwrap().1.to_vec()
    }

    // What happens to the ends.

    pub fn restart(&mut self) {
        self.step(&Step::WeRestart);
    }

    pub fn archive(&mut self) {
        self.step(&Step::WeArchive);
    }

    pub fn forget(&mut self) {
        self.step(&Step::WeForget);
    }

    pub fn ask_for(&mut self, suite: u8) {
        self.setup.suite = suite;
        self.step(&Step::WeAskFor { suite, ratchet: self.setup.ratchet });
    }

    pub fn clock(&mut self, now: u64) {
        self.step(&Step::Clock { now });
    }

    /// The library archives its current state.
    pub fn library_archives(&self) {
        self.party.archive_session(&self.us()).unwrap();
    }

    /// The peer comes back with another identity and without sessions.
    pub fn peer_reinstalls(&mut self) {
        let trust = self.party.clone();
        trust.forget().unwrap();
        let (party, owner) = peer_owner(self.peer, &self.setup);
        self.party = party;
        self.step(&Step::PeerReinstalls { peer: owner });
    }

    /// Writes the library's session record down; both ends must have heard of each other's last message.
    pub fn library_record(&mut self) {
        let record = self.party.export_session(&self.us()).unwrap();
        self.step(&Step::LibraryRecord { record: (&*record).into(), left_out: 0, chains: 0 });
    }

    /// Our address, as the library names it.
    pub fn us(&self) -> peer::Address {
        peer::Address::new(self.setup.us.name.clone(), self.setup.us.device)
    }

    fn next_message(&mut self) -> u32 {
        self.messages += 1;
        self.messages
    }

    fn expect_refusal(&self, expected: &str, step: &Step) {
        self.expect(matches!(step, Step::WeOpen { error: Some(error), .. } if error == expected), step);
    }

    fn expect(&self, holds: bool, step: &Step) {
        assert!(holds, "{}: not as the scenario says: {step:?}", self.transcript.name);
    }
}

fn opening(message: u32) -> Step {
    Step::WeOpen {
        message,
        change: None,
        budget: None,
        dropped: false,
        library: None,
        identity: None,
        consumed: None,
        drawn: 0,
        error: None,
    }
}

pub fn ciphertext(kind: Kind, bytes: &[u8]) -> Ciphertext {
    let kind = match kind {
        Kind::Prekey => MessageType::PreKey,
        Kind::Signal => MessageType::Whisper,
    };
    Ciphertext { kind, body: bytes.into() }
}

/// `accepts`, or the library's words.
pub fn verdict<T>(outcome: Result<T, PeerError>) -> String {
    match outcome {
        Ok(_) => "accepts".into(),
        Err(PeerError::Library(refusal)) => format!("refuses: {}", refusal.message),
        Err(PeerError::Store(reason)) => format!("refuses: {reason}"),
        Err(error) => panic!("{error}"),
    }
}

/// The driver wants absent prekeys as null.
fn with_nulls(bundle: &Bundle) -> serde_json::Value {
    let mut value = to_value(bundle).unwrap();
    for optional in ["one_time", "kyber"] {
        if value.get(optional).is_none() {
            value[optional] = serde_json::Value::Null;
        }
    }
    value
}

pub fn digest(purpose: &str, name: &str) -> [u8; 32] {
    Sha256::digest(format!("waxwing vectors: {purpose}: {name}")).into()
}

/// Our secrets follow from the transcript's name.
fn our_owner(name: &str, setup: &Setup) -> Owner {
    let rng = &mut ChaCha20Rng::from_seed(digest("keys", name));
    let identity = IdentityKeyPair::generate(rng);
    let mut owner = Owner {
        address: setup.us.clone(),
        registration_id: RegistrationId::generate(rng).0,
        identity_private: (&*identity.private_key()).into(),
        signed: Vec::new(),
        one_time: Vec::new(),
        kyber: Vec::new(),
    };
    if setup.initiator == Initiator::Us {
        return owner;
    }
    let signed = SignedPrekey::generate(SignedPrekeyId(SIGNED), &identity, rng);
    let signature = Some(signed.signature().as_bytes().into());
    owner.signed.push(secret(SIGNED, &*signed.private_key(), signature));
    for id in (ONE_TIME..).take(setup.one_time as usize) {
        let prekey = OneTimePrekey::generate(OneTimePrekeyId(id), rng);
        owner.one_time.push(secret(id, &*prekey.private_key(), None));
    }
    for id in (KYBER..).take(setup.kyber as usize) {
        let prekey = KyberPrekey::generate(KyberPrekeyId(id), &identity, rng);
        let signature = Some(prekey.signature().as_bytes().into());
        let private = prekey.secret_key().to_bytes();
        owner.kyber.push(PrekeySecret { last_resort: setup.last_resort, ..secret(id, &private, signature) });
    }
    owner
}

fn secret(id: u32, private: &[u8], signature: Option<Hex>) -> PrekeySecret {
    PrekeySecret { id, private: private.into(), signature, last_resort: false }
}

/// The library's end with its own random secrets.
fn peer_owner<'p>(peer: &'p Peer, setup: &Setup) -> (Party<'p>, Owner) {
    let address = peer::Address::new(setup.peer.name.clone(), setup.peer.device);
    let party = peer.create_party(&PartyOptions::new("peer", address)).unwrap();
    let info = party.info();
    let mut owner = Owner {
        address: setup.peer.clone(),
        registration_id: info.registration_id,
        identity_private: (&*info.identity_private).into(),
        signed: Vec::new(),
        one_time: Vec::new(),
        kyber: Vec::new(),
    };
    if setup.initiator != Initiator::Library {
        let described = |prekey: peer::Prekey| PrekeySecret {
            id: prekey.id,
            private: (&*prekey.private).into(),
            signature: prekey.signature.map(|signature| (&*signature).into()),
            last_resort: false,
        };
        owner.signed.push(described(party.generate_prekey(PrekeyKind::Signed, SIGNED).unwrap()));
        for id in (ONE_TIME..).take(setup.one_time as usize) {
            owner.one_time.push(described(party.generate_prekey(PrekeyKind::OneTime, id).unwrap()));
        }
        for id in (KYBER..).take(setup.kyber as usize) {
            let prekey = match setup.last_resort {
                true => party.generate_last_resort_prekey(id),
                false => party.generate_prekey(PrekeyKind::Kyber, id),
            };
            owner.kyber.push(PrekeySecret { last_resort: setup.last_resort, ..described(prekey.unwrap()) });
        }
    }
    (party, owner)
}

/// A prekey of ours in the library's own storage format, if it was not used up.
fn library_record(kind: PrekeyKind, prekey: &PrekeySecret, keys: &Keys) -> Option<Bytes> {
    let public: Vec<u8> = match kind {
        PrekeyKind::Signed => keys.signed.get(&prekey.id)?.public_key().to_bytes().into(),
        PrekeyKind::OneTime => keys.one_time.get(&prekey.id)?.public_key().to_bytes().into(),
        PrekeyKind::Kyber => keys.kyber.get(&prekey.id)?.0.public_key().to_bytes().into(),
    };
    let mut fields = vec![
        (1, Field::Number(prekey.id.into())),
        (2, Field::Bytes(public)),
        (3, Field::Bytes(prekey.private.to_vec())),
    ];
    if let Some(signature) = &prekey.signature {
        fields.extend([(4, Field::Bytes(signature.to_vec())), (5, Field::Fixed64(NOW))]);
    }
    Some(Fields(fields).encode().into())
}
