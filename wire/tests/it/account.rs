//! A person with devices, made through the public API only: what tests that are not about malformed bytes use.
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use waxwing_wire::{
    address::ServerAddress,
    id::{DeviceId, Generation},
    keys::{
        CertificatePublicKey, DeviceKey, IdentityPublicKey, RecoveryPublicKey, RootKey, ServerKey, ServerPublicKey,
    },
    manifest::{Capabilities, Device, DeviceKeys, Draft, Manifest, RegistrationId},
    signer::Signer,
    statement::GenerationStatement,
    time::Timestamp,
    words::AccountSecret,
};

use crate::forge::{self, NOW};

pub(crate) struct Owner {
    pub(crate) secret: AccountSecret,
    pub(crate) recovery: RecoveryPublicKey,
}

impl Owner {
    pub(crate) fn new(seed: u64) -> Self {
        let secret = AccountSecret::generate(&mut ChaCha20Rng::seed_from_u64(seed));
        let recovery = secret.recovery_key().public_key();
        Self { secret, recovery }
    }

    pub(crate) fn root(&self, generation: u32) -> RootKey {
        self.secret.root_key(Generation(generation))
    }

    pub(crate) fn statement(&self, generation: u32) -> GenerationStatement {
        let root = self.root(generation).public_key();
        let signed = self.secret.recovery_key().sign_statement(Generation(generation), &root, None);
        signed.verify(&self.recovery).unwrap()
    }

    /// The first manifest of a generation, with a device of that seed.
    pub(crate) fn first(&self, generation: u32, seed: u8) -> Manifest {
        let mut draft = Draft::first(&self.statement(generation), &[server_address(1)]);
        join(&mut draft, seed);
        self.sign(generation, &draft, NOW)
    }

    pub(crate) fn sign(&self, generation: u32, draft: &Draft, issued: u64) -> Manifest {
        let signed = draft.sign(&self.root(generation), Timestamp(issued)).unwrap();
        signed.verify(&self.statement(generation), Timestamp(issued)).unwrap()
    }

    /// The successor with one more device.
    pub(crate) fn with_device(&self, manifest: &Manifest, seed: u8) -> Manifest {
        let mut draft = Draft::after(manifest).unwrap();
        join(&mut draft, seed);
        self.sign(manifest.content().generation().0, &draft, NOW)
    }

    pub(crate) fn signer(&self, generation: u32, device: u32) -> Signer {
        let device = DeviceId::try_from(device).unwrap();
        Signer { account: self.recovery.account_id(), generation: Generation(generation), device }
    }
}

pub(crate) fn device_key(seed: u8) -> DeviceKey {
    DeviceKey::from_seed(&[seed ^ 0x40; 32])
}

pub(crate) fn join(draft: &mut Draft, seed: u8) -> DeviceId {
    let key = device_key(seed);
    let keys = DeviceKeys {
        identity: IdentityPublicKey::from_bytes(&forge::x25519(&[seed; 32])).unwrap(),
        signing: key.public_key(),
        certificate: CertificatePublicKey::from_bytes(&forge::x25519(&[seed ^ 0x80; 32])).unwrap(),
        registration: RegistrationId::try_from(1000 + u32::from(seed)).unwrap(),
    };
    let place = draft.place().unwrap();
    let device = Device::joining(&key, place, keys, Capabilities::new(&[1], &[1]).unwrap());
    draft.add(device).unwrap();
    place.id
}

pub(crate) fn server_key(seed: u8) -> ServerPublicKey {
    ServerKey::from_seed(&[seed; 32]).public_key()
}

pub(crate) fn server_address(seed: u8) -> ServerAddress {
    ServerAddress::new(server_key(seed), vec!["keys.example.org:4433".parse().unwrap()]).unwrap()
}
