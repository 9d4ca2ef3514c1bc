//! A user's device made of our own crate, as the counterpart of [`peer::Party`].
//!
//! It keeps the records that deltas told it to keep, as an app's database would, and asserts after every operation that
//! they are what the session in memory would write anew. [`Device::restart`] forgets everything else.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a panic is the report")]

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use waxwing_protocol::{
    Budget, Bundle, BundleIn, ClassicalBundle, Consumed, DeviceAddress, DeviceId, IdentityEvent, IdentityKeyPair,
    KyberPrekey, KyberPrekeyId, KyberPrekeyIn, KyberPrekeyRef, LastResortUses, LocalDevice, MessageKind, OneTimePrekey,
    OneTimePrekeyId, OneTimePrekeyIn, OpenError, PlaintextContent, PreKeySignalMessage, PrivatePrekeys, RegistrationId,
    SealError, ServiceId, Session, SessionAddresses, SignalMessage, SignedPrekey, SignedPrekeyId, SignedPrekeyIn,
    Suite, Timestamp, import,
};

use crate::peer::{self, Address, Ciphertext, MessageType, Party, PeerError, PrekeyKind, PublicPrekey, Version};
use crate::schedule::{Endpoint, OpenFailure};

/// Whether a Kyber prekey answers once or often.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Use {
    /// Deleted by its first use.
    Once,
    /// The last resort.
    Often,
}

/// Which ratchets a device's PQXDH sessions have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ratchet {
    /// The Double Ratchet alone, for peers that have nothing better.
    Double,
    /// Double and post-quantum ratchet: what the crate's functions without a longer name mean.
    Triple,
}

/// A device with its keys, its prekeys and its session with one peer device.
#[derive(Debug)]
pub struct Device {
    /// Long-term keys.
    pub identity: IdentityKeyPair,
    /// Where it is.
    pub address: Address,
    /// Whom it talks to.
    pub remote: Address,
    registration_id: RegistrationId,
    signed: SignedPrekey,
    one_time: BTreeMap<OneTimePrekeyId, OneTimePrekey>,
    kyber: BTreeMap<KyberPrekeyId, (KyberPrekey, Use)>,
    uses: LastResortUses,
    session: Session,
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What the last accepted message told about the peer's identity.
    pub last_identity_event: Option<IdentityEvent>,
    rng: ChaCha20Rng,
    /// The clock.
    pub now: Timestamp,
    /// What it begins and accepts.
    pub ratchet: Ratchet,
}

/// Why a message did not open, as text; duplicates apart.
type Failure = OpenFailure;

impl Device {
    /// A device with an identity, a signed prekey, a one-time prekey and a Kyber prekey, all with id 1.
    pub fn new(seed: u64, address: Address, remote: Address, kyber: Use) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let identity = IdentityKeyPair::generate(&mut rng);
        let signed = SignedPrekey::generate(SignedPrekeyId(1), &identity, &mut rng);
        let one_time = OneTimePrekey::generate(OneTimePrekeyId(1), &mut rng);
        let kyber = (KyberPrekey::generate(KyberPrekeyId(1), &identity, &mut rng), kyber);
        Self {
            identity,
            address,
            remote,
            registration_id: RegistrationId::generate(&mut rng),
            signed,
            one_time: BTreeMap::from([(one_time.id(), one_time)]),
            kyber: BTreeMap::from([(kyber.0.id(), kyber)]),
            uses: LastResortUses::new(),
            session: Session::new(),
            records: BTreeMap::new(),
            last_identity_event: None,
            rng,
            now: Timestamp(1_800_000_000_000),
            ratchet: Ratchet::Triple,
        }
    }

    /// The same, with these ratchets.
    pub fn with(mut self, ratchet: Ratchet) -> Self {
        self.ratchet = ratchet;
        self
    }

    /// Adds one more prekey of each one-time kind.
    pub fn add_one_time_prekeys(&mut self, id: u32, kyber: Use) {
        let one_time = OneTimePrekey::generate(OneTimePrekeyId(id), &mut self.rng);
        self.one_time.insert(one_time.id(), one_time);
        let prekey = KyberPrekey::generate(KyberPrekeyId(id), &self.identity, &mut self.rng);
        self.kyber.insert(prekey.id(), (prekey, kyber));
    }

    /// What a server would hand out.
    pub fn bundle(&self, one_time: Option<u32>, kyber: Option<u32>) -> peer::Bundle {
        let one_time = one_time.map(|id| {
            let prekey = &self.one_time[&OneTimePrekeyId(id)];
            PublicPrekey { id, public: prekey.public_key().to_bytes().into(), signature: None }
        });
        let kyber = kyber.map(|id| {
            let (prekey, _) = &self.kyber[&KyberPrekeyId(id)];
            let signature = Some(prekey.signature().as_bytes().into());
            PublicPrekey { id, public: prekey.public_key().to_bytes().into_vec().into(), signature }
        });
        peer::Bundle {
            registration_id: self.registration_id.0,
            device_id: self.address.device,
            identity: self.identity.public_key().to_bytes().into(),
            one_time,
            signed: PublicPrekey {
                id: self.signed.id().0,
                public: self.signed.public_key().to_bytes().into(),
                signature: Some(self.signed.signature().as_bytes().into()),
            },
            kyber,
        }
    }

    /// Starts a session from the peer's bundle: PQXDH if it has a Kyber prekey, else X3DH.
    pub fn process_bundle(&mut self, bundle: &peer::Bundle) {
        let suite = if bundle.kyber.is_some() { Suite::Pqxdh } else { Suite::X3dh };
        let now = self.now;
        let Self { identity, registration_id, session, rng, .. } = self;
        let addresses = session_addresses(&self.address, &self.remote);
        let local = LocalDevice { identity, registration_id: *registration_id, addresses };
        let initiated = match suite {
            Suite::X3dh => {
                session.initiate_without_post_quantum_secrecy(local, &classical(bundle), now, rng).expect("agreement")
            }
            _ => match self.ratchet {
                Ratchet::Triple => session.initiate(local, &verified(bundle), now, rng).expect("agreement"),
                Ratchet::Double => session
                    .initiate_without_post_quantum_ratchet(local, &verified(bundle), now, rng)
                    .expect("agreement"),
            },
        };
        store(&mut self.records, &initiated.delta());
        initiated.commit();
        self.check_records();
    }

    /// Gives the current state up.
    pub fn archive(&mut self) {
        let archived = self.session.archive();
        store(&mut self.records, &archived.delta());
        archived.commit();
        self.check_records();
    }

    /// Seals one message.
    pub fn encrypt(&mut self, plaintext: &[u8]) -> Ciphertext {
        self.try_encrypt(plaintext).expect("there is a session")
    }

    /// Seals one message, if the session lets it.
    ///
    /// # Errors
    /// The session's.
    pub fn try_encrypt(&mut self, plaintext: &[u8]) -> Result<Ciphertext, SealError> {
        let sealed = self.session.seal(plaintext, self.now, &mut self.rng)?;
        store(&mut self.records, &sealed.delta());
        let message = sealed.commit();
        self.check_records();
        let kind = match message.kind() {
            MessageKind::PreKey => MessageType::PreKey,
            MessageKind::Signal => MessageType::Whisper,
        };
        Ok(Ciphertext { kind, body: message.into_bytes().into() })
    }

    /// Opens one message of either kind; X3DH is accepted, as this device is here to talk to old peers.
    ///
    /// # Errors
    /// A duplicate, or any other reason as text.
    pub fn decrypt(&mut self, message: &Ciphertext) -> Result<Vec<u8>, Failure> {
        let before = self.records.clone();
        let outcome = match message.kind {
            MessageType::PreKey => self.decrypt_first(&message.body),
            MessageType::Whisper => self.decrypt_ordinary(&message.body),
            other => panic!("{other:?} is no message of a session"),
        };
        self.check_records();
        if outcome.is_err() {
            assert_eq!(self.records, before, "a message that failed changed the session");
        }
        outcome
    }

    fn decrypt_ordinary(&mut self, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let message = SignalMessage::decode(body).map_err(refused)?;
        let opened = self.session.open(&message, &mut Budget::default(), &mut self.rng).map_err(failure)?;
        store(&mut self.records, &opened.delta());
        self.last_identity_event = Some(opened.identity());
        Ok(opened.commit())
    }

    fn decrypt_first(&mut self, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let message = PreKeySignalMessage::decode(body).map_err(refused)?;
        let Self { identity, registration_id, session, rng, signed, one_time, kyber, uses, .. } = self;
        let opened = if session.is_named_by(&message) {
            session.open_first(&message, &mut Budget::default(), rng).map_err(failure)?
        } else {
            let addresses = session_addresses(&self.address, &self.remote);
            let local = LocalDevice { identity, registration_id: *registration_id, addresses };
            let kyber = message.kyber_prekey_id().and_then(|id| kyber.get(&id)).map(|(prekey, uses)| match uses {
                Use::Once => KyberPrekeyRef::OneTime(prekey),
                Use::Often => KyberPrekeyRef::LastResort(prekey),
            });
            let one_time = message.one_time_prekey_id().and_then(|id| one_time.get(&id));
            let prekeys = PrivatePrekeys { signed, one_time, kyber, uses };
            match message.suite() {
                Suite::X3dh => session.accept_without_post_quantum_secrecy(local, prekeys, &message, rng),
                _ => match self.ratchet {
                    Ratchet::Triple => session.accept(local, prekeys, &message, rng),
                    Ratchet::Double => session.accept_without_post_quantum_ratchet(local, prekeys, &message, rng),
                },
            }
            .map_err(refused)?
        };
        let delta = opened.delta();
        let Consumed { one_time_prekey, kyber_prekey, last_resort_use } = delta.consumed();
        store(&mut self.records, &delta);
        self.last_identity_event = Some(delta.identity());
        let plaintext = opened.commit();
        one_time_prekey.map(|id| self.one_time.remove(&id).expect("it was just used"));
        kyber_prekey.map(|id| self.kyber.remove(&id).expect("it was just used"));
        if let Some(last_resort_use) = last_resort_use {
            self.uses.insert(last_resort_use);
        }
        Ok(plaintext)
    }

    /// Takes over from a party of the library: its identity, its prekeys and its session, from the library's own records.
    /// The party must not use them any more. Its sessions carry addresses if the library's did, that is from 0.91 on. Also
    /// says how many states were left out.
    ///
    /// # Errors
    /// The driver's.
    pub fn take_over(seed: u64, party: &Party<'_>, remote: Address) -> Result<(Self, usize), PeerError> {
        let mut device = Self::new(seed, party.address(), remote, Use::Often);
        device.identity = import::identity_key_pair(&party.info().identity_key_pair).expect("the identity imports");
        device.registration_id = RegistrationId(party.info().registration_id);
        device.one_time = BTreeMap::new();
        for id in party.prekey_ids(PrekeyKind::OneTime)? {
            let record = party.export_prekey(PrekeyKind::OneTime, id)?.record;
            let prekey = import::one_time_prekey(&record).expect("a prekey imports");
            device.one_time.insert(prekey.id(), prekey);
        }
        for id in party.prekey_ids(PrekeyKind::Signed)? {
            let record = party.export_prekey(PrekeyKind::Signed, id)?.record;
            device.signed = import::signed_prekey(&record, &device.identity).expect("a signed prekey imports");
        }
        device.kyber = BTreeMap::new();
        for id in party.prekey_ids(PrekeyKind::Kyber)? {
            let record = party.export_prekey(PrekeyKind::Kyber, id)?.record;
            let prekey = import::kyber_prekey(&record, &device.identity).expect("a Kyber prekey imports");
            device.kyber.insert(prekey.id(), (prekey, Use::Often));
        }
        let record = party.export_session(&device.remote)?;
        let addresses = session_addresses(&device.address, &device.remote);
        let addresses = addresses.filter(|_| party.peer().version() == Version::V0_103_0);
        let imported = import::session(&record, addresses).expect("the session imports");
        device.session = imported.session;
        // The record's times are the library's clock's.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
        device.now = Timestamp(u64::try_from(now).expect("before the year 584 million"));
        device.records =
            device.session.records().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect();
        device.restart();
        Ok((device, imported.left_out))
    }

    /// Loses the session with everything that was stored of it.
    pub fn lose_session(&mut self) {
        self.session = Session::new();
        self.records.clear();
    }

    /// Hears that the peer could not read something: gives the current state up if that is what it is about, and says so.
    pub fn hear_complaint(&mut self, content: &[u8]) -> bool {
        let content = PlaintextContent::decode(content).expect("plaintext content");
        let key = content.decryption_error().ratchet_key;
        let is_current = key.is_some_and(|key| self.session.uses_ratchet_key(&key));
        if is_current {
            self.archive();
        }
        is_current
    }

    /// Forgets everything but what was stored.
    pub fn restart(&mut self) {
        self.session = Session::load(&self.records).expect("our own records load");
        self.check_records();
    }

    /// Adds to the clock.
    pub fn wait(&mut self, milliseconds: u64) {
        self.now = Timestamp(self.now.0.saturating_add(milliseconds));
    }

    /// The session, to look at.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Bytes of all records.
    pub fn record_size(&self) -> usize {
        self.records.values().map(Vec::len).sum()
    }

    fn check_records(&self) {
        let anew: BTreeMap<Vec<u8>, Vec<u8>> =
            self.session.records().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect();
        // A session that never was has a head but nobody stored it.
        if !self.records.is_empty() {
            assert_eq!(anew, self.records, "what deltas stored is not what the session is");
        }
    }
}

impl Endpoint for Device {
    fn seal(&mut self, plaintext: &[u8]) -> Result<Ciphertext, String> {
        Ok(self.encrypt(plaintext))
    }

    fn open(&mut self, message: &Ciphertext) -> Result<Vec<u8>, OpenFailure> {
        self.decrypt(message)
    }
}

fn store(records: &mut BTreeMap<Vec<u8>, Vec<u8>>, delta: &waxwing_protocol::Delta) {
    for (key, value) in delta.writes() {
        match value {
            Some(value) => records.insert(key.as_bytes().to_vec(), value.to_vec()),
            None => records.remove(key.as_bytes()),
        };
    }
}

fn refused(error: impl std::error::Error) -> Failure {
    OpenFailure::Refused(error.to_string())
}

fn failure(error: OpenError) -> Failure {
    match error {
        OpenError::Duplicate { .. } => OpenFailure::Duplicate,
        error => refused(error),
    }
}

/// None unless both names are service ids, as the official library has it.
fn session_addresses(local: &Address, remote: &Address) -> Option<SessionAddresses> {
    Some(SessionAddresses { local: device_address(local)?, remote: device_address(remote)? })
}

fn device_address(Address { name, device }: &Address) -> Option<DeviceAddress> {
    let digits: String = name.chars().filter(|c| *c != '-').collect();
    let uuid = hex::decode(digits).ok()?.try_into().ok()?;
    Some(DeviceAddress { service_id: ServiceId::aci(uuid), device_id: DeviceId::new(*device).ok()? })
}

fn signature(prekey: &PublicPrekey) -> &[u8] {
    prekey.signature.as_deref().unwrap_or_default()
}

fn with_bundle_in<T>(bundle: &peer::Bundle, then: impl FnOnce(BundleIn<'_>) -> T) -> T {
    let one_time = bundle.one_time.as_ref();
    let kyber = bundle.kyber.as_ref();
    then(BundleIn {
        registration_id: RegistrationId(bundle.registration_id),
        device_id: DeviceId::new(bundle.device_id).expect("a device id"),
        identity_key: &bundle.identity,
        signed_prekey: SignedPrekeyIn {
            id: SignedPrekeyId(bundle.signed.id),
            public_key: &bundle.signed.public,
            signature: signature(&bundle.signed),
        },
        one_time_prekey: one_time
            .map(|prekey| OneTimePrekeyIn { id: OneTimePrekeyId(prekey.id), public_key: &prekey.public }),
        kyber_prekey: kyber.map(|prekey| KyberPrekeyIn {
            id: KyberPrekeyId(prekey.id),
            public_key: &prekey.public,
            signature: signature(prekey),
        }),
    })
}

fn verified(bundle: &peer::Bundle) -> Bundle {
    with_bundle_in(bundle, |bundle| bundle.verify().expect("the library's bundle verifies"))
}

fn classical(bundle: &peer::Bundle) -> ClassicalBundle {
    with_bundle_in(bundle, |bundle| {
        bundle.verify_without_post_quantum_secrecy().expect("the library's bundle verifies")
    })
}
