//! Two parties with everything they own, so that a test says only what it is about.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use waxwing_protocol::{
    AcceptError, Budget, Bundle, BundleIn, ClassicalBundle, DeviceAddress, DeviceId, IdentityKeyPair, Initiated,
    KyberPrekey, KyberPrekeyId, KyberPrekeyIn, KyberPrekeyRef, LastResortUses, LocalDevice, MessageKind, OneTimePrekey,
    OneTimePrekeyId, OneTimePrekeyIn, OpenError, Opened, PreKeySignalMessage, PrivatePrekeys, RegistrationId,
    ServiceId, Session, SessionAddresses, SignalMessage, SignedPrekey, SignedPrekeyId, SignedPrekeyIn, Suite,
    Timestamp,
};

/// The clock of every test that does not move it.
pub const NOW: Timestamp = Timestamp(1_800_000_000_000);

pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// Randomness for sealing where a test does not care: other bytes at every call, the same in every run of a test.
pub fn draw() -> ChaCha20Rng {
    let call = CALLS.get();
    CALLS.set(call + 1);
    rng(0x5EA1_0000_0000 + call)
}

/// [`draw`] begins anew.
pub fn draw_from_the_start() {
    CALLS.set(0);
}

std::thread_local!(static CALLS: core::cell::Cell<u64> = const { core::cell::Cell::new(0) });

/// Which optional parts a bundle has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OneTime {
    With,
    Without,
}

/// Whether the owner treats the Kyber prekey as one-time or last resort.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kyber {
    OneTime,
    LastResort,
}

/// Which ratchets a party's PQXDH sessions have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ratchet {
    /// The Double Ratchet alone: for what is about it, and for parties that a test plays by hand.
    Double,
    Triple,
}

pub struct Party {
    pub ratchet: Ratchet,
    pub identity: IdentityKeyPair,
    pub registration_id: RegistrationId,
    pub address: DeviceAddress,
    pub signed: SignedPrekey,
    pub one_time: OneTimePrekey,
    pub kyber: KyberPrekey,
    pub uses: LastResortUses,
}

impl Party {
    pub fn new(name: u8, rng: &mut ChaCha20Rng) -> Self {
        let identity = IdentityKeyPair::generate(rng);
        let base = u32::from(name) * 100;
        Self {
            ratchet: Ratchet::Triple,
            registration_id: RegistrationId::generate(rng),
            address: DeviceAddress { service_id: ServiceId::aci([name; 16]), device_id: DeviceId::new(1).unwrap() },
            signed: SignedPrekey::generate(SignedPrekeyId(base + 1), &identity, rng),
            one_time: OneTimePrekey::generate(OneTimePrekeyId(base + 2), rng),
            kyber: KyberPrekey::generate(KyberPrekeyId(base + 3), &identity, rng),
            uses: LastResortUses::new(),
            identity,
        }
    }

    /// A party whose sessions have the Double Ratchet alone.
    pub fn without_post_quantum_ratchet(name: u8, rng: &mut ChaCha20Rng) -> Self {
        Self { ratchet: Ratchet::Double, ..Self::new(name, rng) }
    }

    pub fn local(&self, peer: &Self) -> LocalDevice<'_> {
        LocalDevice {
            identity: &self.identity,
            registration_id: self.registration_id,
            addresses: Some(SessionAddresses { local: self.address, remote: peer.address }),
        }
    }

    /// The parts of this party's bundle, as a server would hand them out.
    pub fn published(&self) -> Published {
        Published {
            registration_id: self.registration_id,
            device_id: self.address.device_id,
            identity_key: self.identity.public_key().to_bytes().into(),
            signed_prekey: self.signed.public_key().to_bytes().into(),
            signed_prekey_id: self.signed.id(),
            signed_prekey_signature: self.signed.signature().as_bytes().into(),
            one_time_prekey: Some((self.one_time.id(), self.one_time.public_key().to_bytes().into())),
            kyber_prekey: Some((
                self.kyber.id(),
                self.kyber.public_key().to_bytes().into(),
                self.kyber.signature().as_bytes().into(),
            )),
        }
    }

    pub fn bundle(&self, one_time: OneTime) -> Bundle {
        self.published().with(one_time).bundle_in().verify().unwrap()
    }

    pub fn classical_bundle(&self, one_time: OneTime) -> ClassicalBundle {
        let mut published = self.published().with(one_time);
        published.kyber_prekey = None;
        published.bundle_in().verify_without_post_quantum_secrecy().unwrap()
    }

    /// The private prekeys that `message` names.
    pub fn prekeys_for(&self, message: &PreKeySignalMessage, kyber: Kyber) -> PrivatePrekeys<'_> {
        PrivatePrekeys {
            signed: &self.signed,
            one_time: message.one_time_prekey_id().map(|_| &self.one_time),
            kyber: message.kyber_prekey_id().map(|_| match kyber {
                Kyber::OneTime => KyberPrekeyRef::OneTime(&self.kyber),
                Kyber::LastResort => KyberPrekeyRef::LastResort(&self.kyber),
            }),
            uses: &self.uses,
        }
    }

    /// Accepts into `session`, by the suite that the message asks for.
    pub fn accept<'s>(
        &self,
        session: &'s mut Session,
        peer: &Self,
        message: &PreKeySignalMessage,
        kyber: Kyber,
        rng: &mut ChaCha20Rng,
    ) -> Result<Opened<'s>, AcceptError> {
        let prekeys = self.prekeys_for(message, kyber);
        match message.suite() {
            Suite::X3dh => session.accept_without_post_quantum_secrecy(self.local(peer), prekeys, message, rng),
            _ => match self.ratchet {
                Ratchet::Triple => session.accept(self.local(peer), prekeys, message, rng),
                Ratchet::Double => session.accept_without_post_quantum_ratchet(self.local(peer), prekeys, message, rng),
            },
        }
    }

    /// Accepts into a session without any state, and commits.
    pub fn join(
        &self,
        peer: &Self,
        message: &PreKeySignalMessage,
        kyber: Kyber,
        rng: &mut ChaCha20Rng,
    ) -> Result<(Session, Vec<u8>), AcceptError> {
        let mut session = Session::new();
        let plaintext = self.accept(&mut session, peer, message, kyber, rng)?.commit();
        Ok((session, plaintext))
    }

    pub fn initiate(&self, peer: &Self, suite: Suite, one_time: OneTime, rng: &mut ChaCha20Rng) -> Session {
        let mut session = Session::new();
        self.initiate_in(&mut session, peer, suite, one_time, rng).commit();
        session
    }

    pub fn initiate_in<'s>(
        &self,
        session: &'s mut Session,
        peer: &Self,
        suite: Suite,
        one_time: OneTime,
        rng: &mut ChaCha20Rng,
    ) -> Initiated<'s> {
        let local = self.local(peer);
        match suite {
            Suite::X3dh => {
                let bundle = peer.classical_bundle(one_time);
                session.initiate_without_post_quantum_secrecy(local, &bundle, NOW, rng).unwrap()
            }
            _ => match self.ratchet {
                Ratchet::Triple => session.initiate(local, &peer.bundle(one_time), NOW, rng).unwrap(),
                Ratchet::Double => {
                    session.initiate_without_post_quantum_ratchet(local, &peer.bundle(one_time), NOW, rng).unwrap()
                }
            },
        }
    }
}

/// A bundle's bytes, for tests to spoil.
#[derive(Clone)]
pub struct Published {
    pub registration_id: RegistrationId,
    pub device_id: DeviceId,
    pub identity_key: Vec<u8>,
    pub signed_prekey: Vec<u8>,
    pub signed_prekey_id: SignedPrekeyId,
    pub signed_prekey_signature: Vec<u8>,
    pub one_time_prekey: Option<(OneTimePrekeyId, Vec<u8>)>,
    pub kyber_prekey: Option<(KyberPrekeyId, Vec<u8>, Vec<u8>)>,
}

impl Published {
    pub fn with(mut self, one_time: OneTime) -> Self {
        if one_time == OneTime::Without {
            self.one_time_prekey = None;
        }
        self
    }

    pub fn bundle_in(&self) -> BundleIn<'_> {
        BundleIn {
            registration_id: self.registration_id,
            device_id: self.device_id,
            identity_key: &self.identity_key,
            signed_prekey: SignedPrekeyIn {
                id: self.signed_prekey_id,
                public_key: &self.signed_prekey,
                signature: &self.signed_prekey_signature,
            },
            one_time_prekey: self
                .one_time_prekey
                .as_ref()
                .map(|(id, public_key)| OneTimePrekeyIn { id: *id, public_key }),
            kyber_prekey: self.kyber_prekey.as_ref().map(|(id, public_key, signature)| KyberPrekeyIn {
                id: *id,
                public_key,
                signature,
            }),
        }
    }
}

/// Seals and decodes, as the peer would see it.
pub fn first_message(session: &mut Session, plaintext: &[u8]) -> PreKeySignalMessage {
    let sealed = session.seal(plaintext, NOW, &mut draw()).unwrap().commit();
    assert_eq!(sealed.kind(), MessageKind::PreKey);
    PreKeySignalMessage::decode(sealed.as_bytes()).unwrap()
}

/// Seals and decodes, as the peer would see it.
pub fn ordinary_message(session: &mut Session, plaintext: &[u8]) -> SignalMessage {
    let sealed = session.seal(plaintext, NOW, &mut draw()).unwrap().commit();
    assert_eq!(sealed.kind(), MessageKind::Signal);
    SignalMessage::decode(sealed.as_bytes()).unwrap()
}

/// Opens an ordinary message with a budget of its own.
pub fn open(session: &mut Session, message: &SignalMessage, rng: &mut ChaCha20Rng) -> Result<Vec<u8>, OpenError> {
    session.open(message, &mut Budget::default(), rng).map(Opened::commit)
}
