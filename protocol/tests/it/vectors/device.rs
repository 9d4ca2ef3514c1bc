//! Our end of a transcript: a device that owns what the transcript says, keeps its records as an app's database would,
//! and performs steps. Failures of the vector itself are `Err`; refusals by the crate are names in the step.

use std::collections::BTreeMap;

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use waxwing_protocol::{
    Budget, BundleIn, Delta, DeviceAddress, DeviceId, IdentityEvent, IdentityKeyPair, KyberPrekey, KyberPrekeyId,
    KyberPrekeyIn, KyberPrekeyRef, LastResortUses, LocalDevice, MessageKind, OneTimePrekey, OneTimePrekeyId,
    OneTimePrekeyIn, Opened, PreKeySignalMessage, PrivatePrekeys, RegistrationId, ServiceId, ServiceIdKind, Session,
    SessionAddresses, SignalMessage, Signature, SignedPrekey, SignedPrekeyId, SignedPrekeyIn, Suite, Timestamp,
};

use super::hex::Hex;
use super::transcript::{Address, Bundle, Consumed, Identity, Kind, Owner, PrekeySecret, PublicPrekey, Ratchet};

pub type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// What an owner's secrets restore to.
pub struct Keys {
    pub identity: IdentityKeyPair,
    pub registration_id: RegistrationId,
    pub signed: BTreeMap<u32, SignedPrekey>,
    pub one_time: BTreeMap<u32, OneTimePrekey>,
    /// With whether it is the last resort.
    pub kyber: BTreeMap<u32, (KyberPrekey, bool)>,
}

pub struct Device {
    keys: Keys,
    addresses: Option<SessionAddresses>,
    suite: Suite,
    ratchet: Ratchet,
    uses: LastResortUses,
    session: Session,
    records: Records,
    rng: ChaCha20Rng,
    pub now: Timestamp,
}

/// What sessions it begins and accepts.
#[derive(Clone, Copy, Debug)]
pub struct Asks {
    pub suite: u8,
    /// Of PQXDH.
    pub ratchet: Ratchet,
}

/// A message that was opened.
pub struct Plain {
    pub plaintext: Vec<u8>,
    pub identity: Option<Identity>,
    pub consumed: Option<Consumed>,
}

/// How a message is delivered.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    pub kind: Kind,
    pub bytes: &'a [u8],
    pub budget: Option<u32>,
    pub dropped: bool,
}

impl Keys {
    /// Through the public API; signatures are verified by it.
    pub fn restore(owner: &Owner) -> Result<Self, String> {
        let identity = IdentityKeyPair::from_private_key(&array(&owner.identity_private)?);
        let restore_signed = |prekey: &PrekeySecret| {
            let id = SignedPrekeyId(prekey.id);
            let restored = SignedPrekey::restore(id, &array(&prekey.private)?, signature(prekey)?, &identity);
            restored.map(|restored| (prekey.id, restored)).map_err(|error| error.to_string())
        };
        let restore_one_time = |prekey: &PrekeySecret| {
            let restored = OneTimePrekey::restore(OneTimePrekeyId(prekey.id), &array(&prekey.private)?);
            Ok::<_, String>((prekey.id, restored))
        };
        let restore_kyber = |prekey: &PrekeySecret| {
            let id = KyberPrekeyId(prekey.id);
            let restored = KyberPrekey::restore(id, &prekey.private, signature(prekey)?, &identity);
            restored.map(|restored| (prekey.id, (restored, prekey.last_resort))).map_err(|error| error.to_string())
        };
        Ok(Self {
            registration_id: RegistrationId(owner.registration_id),
            signed: owner.signed.iter().map(restore_signed).collect::<Result<_, _>>()?,
            one_time: owner.one_time.iter().map(restore_one_time).collect::<Result<_, _>>()?,
            kyber: owner.kyber.iter().map(restore_kyber).collect::<Result<_, _>>()?,
            identity,
        })
    }

    /// What a server would hand out; ids that are not there are left out.
    pub fn bundle(&self, address: &Address, signed: u32, one_time: Option<u32>, kyber: Option<u32>) -> Bundle {
        let signed = &self.signed[&signed];
        let public = |id, public: &[u8], signature: Option<&Signature>| PublicPrekey {
            id,
            public: public.into(),
            signature: signature.map(|signature| signature.as_bytes().into()),
        };
        let one_time = one_time.and_then(|id| self.one_time.get(&id));
        let kyber = kyber.and_then(|id| self.kyber.get(&id));
        Bundle {
            registration_id: self.registration_id.0,
            device_id: address.device,
            identity: (&self.identity.public_key().to_bytes()).into(),
            signed: public(signed.id().0, &signed.public_key().to_bytes(), Some(signed.signature())),
            one_time: one_time.map(|prekey| public(prekey.id().0, &prekey.public_key().to_bytes(), None)),
            kyber: kyber
                .map(|(prekey, _)| public(prekey.id().0, &prekey.public_key().to_bytes(), Some(prekey.signature()))),
        }
    }
}

impl Device {
    pub fn new(us: &Owner, peer: &Address, asks: Asks, seed: &[u8], now: u64) -> Result<Self, String> {
        Ok(Self {
            keys: Keys::restore(us)?,
            addresses: session_addresses(&us.address, peer),
            suite: suite_of(asks.suite)?,
            ratchet: asks.ratchet,
            uses: LastResortUses::new(),
            session: Session::new(),
            records: Records::new(),
            rng: ChaCha20Rng::from_seed(array(seed)?),
            now: Timestamp(now),
        })
    }

    #[allow(dead_code, reason = "the recorder's")]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    pub fn records(&self) -> &Records {
        &self.records
    }

    #[allow(dead_code, reason = "the recorder's")]
    pub fn session(&self) -> &Session {
        &self.session
    }

    pub fn ask_for(&mut self, Asks { suite, ratchet }: Asks) -> Result<(), String> {
        (self.suite, self.ratchet) = (suite_of(suite)?, ratchet);
        Ok(())
    }

    /// Bytes drawn from the seed's key stream so far.
    pub fn drawn(&self) -> u64 {
        u64::try_from(self.rng.get_word_pos() * 4).unwrap()
    }

    /// Verifies the bundle and starts a state; a refusal is the inner `Err`.
    pub fn initiate(&mut self, bundle: &Bundle) -> Result<Result<Option<Identity>, String>, String> {
        let before = self.records.clone();
        let refusal = |error: &dyn core::fmt::Debug| Err(format!("BundleError::{error:?}"));
        let bundle = bundle_in(bundle)?;
        let local = local(&self.keys, self.addresses);
        let initiated = match self.suite {
            Suite::X3dh => match bundle.verify_without_post_quantum_secrecy() {
                Ok(bundle) => {
                    self.session.initiate_without_post_quantum_secrecy(local, &bundle, self.now, &mut self.rng)
                }
                Err(error) => return self.unchanged_since(&before, refusal(&error)),
            },
            _ => match bundle.verify() {
                Ok(bundle) => match self.ratchet {
                    Ratchet::Triple => self.session.initiate(local, &bundle, self.now, &mut self.rng),
                    Ratchet::Double => {
                        self.session.initiate_without_post_quantum_ratchet(local, &bundle, self.now, &mut self.rng)
                    }
                },
                Err(error) => return self.unchanged_since(&before, refusal(&error)),
            },
        };
        let initiated = initiated.map_err(|error| error.to_string())?;
        let delta = initiated.delta();
        store(&mut self.records, &delta);
        let identity = identity(delta.identity());
        initiated.commit();
        self.check_records()?;
        Ok(Ok(identity))
    }

    pub fn seal(&mut self, plaintext: &[u8]) -> Result<Result<(Kind, Vec<u8>), String>, String> {
        let before = self.records.clone();
        let sealed = match self.session.seal(plaintext, self.now, &mut self.rng) {
            Ok(sealed) => sealed,
            Err(error) => return self.unchanged_since(&before, Err(format!("SealError::{error:?}"))),
        };
        store(&mut self.records, &sealed.delta());
        let message = sealed.commit();
        self.check_records()?;
        let kind = match message.kind() {
            MessageKind::PreKey => Kind::Prekey,
            MessageKind::Signal => Kind::Signal,
        };
        Ok(Ok((kind, message.into_bytes())))
    }

    /// As [`Self::seal`], without looking at every record each time.
    pub fn skip(&mut self, count: u32) -> Result<(), String> {
        for _ in 0..count {
            let sealed = self.session.seal(&[0], self.now, &mut self.rng).map_err(|error| error.to_string())?;
            store(&mut self.records, &sealed.delta());
            let _undelivered = sealed.commit();
        }
        self.check_records()
    }

    pub fn open(&mut self, delivery: Delivery<'_>) -> Result<Result<Plain, String>, String> {
        let before = self.records.clone();
        let outcome = match delivery.kind {
            Kind::Prekey => self.open_first(delivery),
            Kind::Signal => self.open_ordinary(delivery),
        };
        if outcome.is_err() || delivery.dropped {
            return self.unchanged_since(&before, outcome);
        }
        self.check_records()?;
        Ok(outcome)
    }

    fn open_ordinary(&mut self, delivery: Delivery<'_>) -> Result<Plain, String> {
        let message = SignalMessage::decode(delivery.bytes).map_err(|error| format!("DecodeError::{error:?}"))?;
        let mut budget = delivery.budget.map_or_else(Budget::default, Budget::new);
        let opened = self.session.open(&message, &mut budget, &mut self.rng);
        let opened = opened.map_err(|error| format!("OpenError::{error:?}"))?;
        Ok(finish(opened, &mut self.records, delivery.dropped).1)
    }

    fn open_first(&mut self, delivery: Delivery<'_>) -> Result<Plain, String> {
        let message = PreKeySignalMessage::decode(delivery.bytes).map_err(|error| format!("DecodeError::{error:?}"))?;
        let Self { keys, addresses, suite, ratchet, uses, session, records, rng, .. } = self;
        let opened = if session.is_named_by(&message) {
            let mut budget = delivery.budget.map_or_else(Budget::default, Budget::new);
            session.open_first(&message, &mut budget, rng).map_err(|error| format!("OpenError::{error:?}"))?
        } else {
            // A signed prekey that is gone cannot be given: any other stands in, and the crate says which one it wanted.
            let signed = keys.signed.get(&message.signed_prekey_id().0).or_else(|| keys.signed.values().next());
            let kyber = message.kyber_prekey_id().and_then(|id| keys.kyber.get(&id.0));
            let prekeys = PrivatePrekeys {
                signed: signed.ok_or("the vector gives us no signed prekey")?,
                one_time: message.one_time_prekey_id().and_then(|id| keys.one_time.get(&id.0)),
                kyber: kyber.map(|(prekey, last_resort)| match last_resort {
                    true => KyberPrekeyRef::LastResort(prekey),
                    false => KyberPrekeyRef::OneTime(prekey),
                }),
                uses,
            };
            let local = local(keys, *addresses);
            match suite {
                Suite::X3dh => session.accept_without_post_quantum_secrecy(local, prekeys, &message, rng),
                _ => match ratchet {
                    Ratchet::Triple => session.accept(local, prekeys, &message, rng),
                    Ratchet::Double => session.accept_without_post_quantum_ratchet(local, prekeys, &message, rng),
                },
            }
            .map_err(|error| format!("AcceptError::{error:?}"))?
        };
        let (consumed, plain) = finish(opened, records, delivery.dropped);
        if !delivery.dropped {
            consumed.one_time_prekey.map(|id| keys.one_time.remove(&id.0));
            consumed.kyber_prekey.map(|id| keys.kyber.remove(&id.0));
            if let Some(last_resort_use) = consumed.last_resort_use {
                uses.insert(last_resort_use);
            }
        }
        Ok(plain)
    }

    pub fn archive(&mut self) -> Result<(), String> {
        let archived = self.session.archive();
        store(&mut self.records, &archived.delta());
        archived.commit();
        self.check_records()
    }

    pub fn restart(&mut self) -> Result<(), String> {
        self.session = Session::load(&self.records).map_err(|error| error.to_string())?;
        self.check_records()
    }

    pub fn forget(&mut self) {
        self.session = Session::new();
        self.records.clear();
    }

    fn unchanged_since<T>(&self, before: &Records, outcome: T) -> Result<T, String> {
        self.check_records()?;
        if self.records == *before { Ok(outcome) } else { Err("a failed operation changed the records".into()) }
    }

    /// What deltas stored is what the session would write anew.
    fn check_records(&self) -> Result<(), String> {
        let anew = self.session.records().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec()));
        let is_same = self.records.is_empty() || anew.collect::<Records>() == self.records;
        if is_same { Ok(()) } else { Err("the deltas' records are not the session's".into()) }
    }
}

/// Persists and commits, unless we crash in between.
fn finish(opened: Opened<'_>, records: &mut Records, dropped: bool) -> (waxwing_protocol::Consumed, Plain) {
    let (consumed, identity) = (opened.consumed(), identity(opened.identity()));
    if !dropped {
        store(records, &opened.delta());
    }
    let plaintext = if dropped { Vec::new() } else { opened.commit() };
    let recorded = Consumed {
        one_time: consumed.one_time_prekey.map(|id| id.0),
        kyber: consumed.kyber_prekey.map(|id| id.0),
        last_resort_use: consumed.last_resort_use.map(|last_resort_use| (&last_resort_use.to_bytes()).into()),
    };
    let recorded = (recorded != Consumed::default()).then_some(recorded);
    (consumed, Plain { plaintext, identity, consumed: recorded })
}

fn store(records: &mut Records, delta: &Delta) {
    for (key, value) in delta.writes() {
        match value {
            Some(value) => records.insert(key.as_bytes().to_vec(), value.to_vec()),
            None => records.remove(key.as_bytes()),
        };
    }
}

fn identity(event: IdentityEvent) -> Option<Identity> {
    match event {
        IdentityEvent::Unchanged => None,
        IdentityEvent::First(_) => Some(Identity::First),
        IdentityEvent::Changed { .. } => Some(Identity::Changed),
    }
}

fn local(keys: &Keys, addresses: Option<SessionAddresses>) -> LocalDevice<'_> {
    LocalDevice { identity: &keys.identity, registration_id: keys.registration_id, addresses }
}

pub fn bundle_in(bundle: &Bundle) -> Result<BundleIn<'_>, String> {
    Ok(BundleIn {
        registration_id: RegistrationId(bundle.registration_id),
        device_id: DeviceId::new(bundle.device_id).map_err(|error| error.to_string())?,
        identity_key: &bundle.identity,
        signed_prekey: SignedPrekeyIn {
            id: SignedPrekeyId(bundle.signed.id),
            public_key: &bundle.signed.public,
            signature: bundle.signed.signature.as_deref().unwrap_or_default(),
        },
        one_time_prekey: bundle
            .one_time
            .as_ref()
            .map(|prekey| OneTimePrekeyIn { id: OneTimePrekeyId(prekey.id), public_key: &prekey.public }),
        kyber_prekey: bundle.kyber.as_ref().map(|prekey| KyberPrekeyIn {
            id: KyberPrekeyId(prekey.id),
            public_key: &prekey.public,
            signature: prekey.signature.as_deref().unwrap_or_default(),
        }),
    })
}

/// None unless both names are service ids, as the library has it.
fn session_addresses(local: &Address, remote: &Address) -> Option<SessionAddresses> {
    Some(SessionAddresses { local: device_address(local)?, remote: device_address(remote)? })
}

fn device_address(Address { name, device }: &Address) -> Option<DeviceAddress> {
    let (kind, uuid) = match name.strip_prefix("PNI:") {
        Some(uuid) => (ServiceIdKind::Pni, uuid),
        None => (ServiceIdKind::Aci, name.as_str()),
    };
    let uuid = hex::decode(uuid.replace('-', "")).ok()?.try_into().ok()?;
    Some(DeviceAddress { service_id: ServiceId { kind, uuid }, device_id: DeviceId::new(*device).ok()? })
}

pub fn suite_of(version: u8) -> Result<Suite, String> {
    match version {
        3 => Ok(Suite::X3dh),
        4 => Ok(Suite::Pqxdh),
        _ => Err(format!("no suite {version}")),
    }
}

pub fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], String> {
    bytes.try_into().map_err(|_| format!("{} bytes instead of {N}", bytes.len()))
}

fn signature(prekey: &PrekeySecret) -> Result<Signature, String> {
    let bytes: &Hex = prekey.signature.as_ref().ok_or("a prekey without signature")?;
    Ok(Signature::from_bytes(array(bytes)?))
}
