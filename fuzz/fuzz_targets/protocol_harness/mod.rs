//! What the `protocol_*` targets share: two fixed parties, and a way to spoil what they say.
#![allow(dead_code, reason = "each target uses a part")]

use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use waxwing_protocol::{
    BundleIn, DeviceAddress, DeviceId, IdentityKeyPair, KyberPrekey, KyberPrekeyId, KyberPrekeyIn, KyberPrekeyRef,
    LastResortUses, LocalDevice, OneTimePrekey, OneTimePrekeyId, OneTimePrekeyIn, PreKeySignalMessage, PrivatePrekeys,
    RegistrationId, ServiceId, Session, SessionAddresses, SignedPrekey, SignedPrekeyId, SignedPrekeyIn, Timestamp,
};

pub const NOW: Timestamp = Timestamp(1_800_000_000_000);

pub type Records = BTreeMap<Vec<u8>, Vec<u8>>;

pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub struct Party {
    pub identity: IdentityKeyPair,
    pub registration_id: RegistrationId,
    pub address: DeviceAddress,
    pub signed: SignedPrekey,
    pub one_time: OneTimePrekey,
    pub kyber: KyberPrekey,
    pub uses: LastResortUses,
}

impl Party {
    pub fn new(name: u8) -> Self {
        let rng = &mut rng(name.into());
        let identity = IdentityKeyPair::generate(rng);
        Self {
            registration_id: RegistrationId::generate(rng),
            address: DeviceAddress { service_id: ServiceId::aci([name; 16]), device_id: DeviceId::new(1).unwrap() },
            signed: SignedPrekey::generate(SignedPrekeyId(1), &identity, rng),
            one_time: OneTimePrekey::generate(OneTimePrekeyId(2), rng),
            kyber: KyberPrekey::generate(KyberPrekeyId(3), &identity, rng),
            uses: LastResortUses::new(),
            identity,
        }
    }

    pub fn local(&self, peer: &Self) -> LocalDevice<'_> {
        LocalDevice {
            identity: &self.identity,
            registration_id: self.registration_id,
            addresses: Some(SessionAddresses { local: self.address, remote: peer.address }),
        }
    }

    pub fn published(&self) -> Published {
        Published {
            identity_key: self.identity.public_key().to_bytes().into(),
            signed_prekey: self.signed.public_key().to_bytes().into(),
            signed_prekey_signature: self.signed.signature().as_bytes().into(),
            one_time_prekey: self.one_time.public_key().to_bytes().into(),
            kyber_prekey: self.kyber.public_key().to_bytes().into(),
            kyber_prekey_signature: self.kyber.signature().as_bytes().into(),
        }
    }

    pub fn prekeys_for(&self, message: &PreKeySignalMessage) -> PrivatePrekeys<'_> {
        PrivatePrekeys {
            signed: &self.signed,
            one_time: message.one_time_prekey_id().map(|_| &self.one_time),
            kyber: message.kyber_prekey_id().map(|_| KyberPrekeyRef::LastResort(&self.kyber)),
            uses: &self.uses,
        }
    }

    pub fn initiate(&self, peer: &Self) -> Session {
        let mut session = Session::new();
        let bundle = peer.published().bundle_in().verify().unwrap();
        session.initiate(self.local(peer), &bundle, NOW, &mut rng(100)).unwrap().commit();
        session
    }
}

/// A bundle's bytes.
#[derive(Clone, Eq, PartialEq)]
pub struct Published {
    pub identity_key: Vec<u8>,
    pub signed_prekey: Vec<u8>,
    pub signed_prekey_signature: Vec<u8>,
    pub one_time_prekey: Vec<u8>,
    pub kyber_prekey: Vec<u8>,
    pub kyber_prekey_signature: Vec<u8>,
}

impl Published {
    pub fn bundle_in(&self) -> BundleIn<'_> {
        BundleIn {
            registration_id: RegistrationId(1),
            device_id: DeviceId::new(1).unwrap(),
            identity_key: &self.identity_key,
            signed_prekey: SignedPrekeyIn {
                id: SignedPrekeyId(1),
                public_key: &self.signed_prekey,
                signature: &self.signed_prekey_signature,
            },
            one_time_prekey: Some(OneTimePrekeyIn { id: OneTimePrekeyId(2), public_key: &self.one_time_prekey }),
            kyber_prekey: Some(KyberPrekeyIn {
                id: KyberPrekeyId(3),
                public_key: &self.kyber_prekey,
                signature: &self.kyber_prekey_signature,
            }),
        }
    }
}

pub fn records(session: &Session) -> Records {
    session.records().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect()
}

/// What an attacker makes of `honest`: with the first bit of `data` clear the rest of `data` itself, otherwise edits of four
/// bytes each. So that random input gets past the first check without a corpus.
pub fn spoil(honest: &[u8], data: &[u8]) -> Vec<u8> {
    let Some((mode, edits)) = data.split_first() else { return honest.to_vec() };
    if mode & 1 == 0 {
        return edits.to_vec();
    }
    let mut spoiled = honest.to_vec();
    for edit in edits.chunks_exact(4) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % (spoiled.len() + 1);
        match edit[2] % 5 {
            0 if at < spoiled.len() => spoiled[at] = edit[3],
            1 if at < spoiled.len() => spoiled[at] ^= 1 << (edit[3] % 8),
            2 => spoiled.insert(at, edit[3]),
            3 if at < spoiled.len() => drop(spoiled.remove(at)),
            4 if edit[3] == 0 => spoiled.truncate(at),
            _ => {}
        }
    }
    spoiled
}
