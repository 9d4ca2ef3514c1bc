//! People with devices and prekeys, made through the public API of `waxwing-wire` only.
use std::sync::{Mutex, MutexGuard};

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};
use waxwing_keyserver::store::{Batch, NewAccount, NewManifest};
use waxwing_wire::{
    address::ServerAddress,
    id::{AccountId, DeviceId, Generation, MailboxId},
    keys::{CertificatePublicKey, DeviceKey, IdentityPublicKey, ReachKey, RecoveryPublicKey, RootKey, ServerKey},
    keyserver::batch_hash,
    listing::{Listing, ListingPlace},
    manifest::{Capabilities, Device, DeviceKeys, Draft, Manifest, RegistrationId},
    name::Name,
    prekey::{Prekey, PrekeyFacts, PrekeyKind},
    reach::{MailboxAddress, ReachRecord},
    signature::Signature,
    signer::Signer,
    statement::GenerationStatement,
    time::Timestamp,
    words::AccountSecret,
};

/// When tests happen: some day in 2027.
pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000_000);
pub(crate) const DAY: u64 = 24 * 60 * 60 * 1_000;

pub(crate) fn at(days: u64) -> Timestamp {
    Timestamp(NOW.0 + days * DAY)
}

pub(crate) fn server_key() -> ServerKey {
    ServerKey::from_seed(&[0x5e; 32])
}

pub(crate) fn server_address() -> ServerAddress {
    ServerAddress::new(server_key().public_key(), vec!["keys.example.org:4433".parse().unwrap()]).unwrap()
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn device_id(id: u32) -> DeviceId {
    DeviceId::try_from(id).unwrap()
}

/// Holds the words, and so can do everything that an owner can.
pub(crate) struct Person {
    pub(crate) secret: AccountSecret,
    pub(crate) recovery: RecoveryPublicKey,
    seed: u64,
    rng: Mutex<ChaCha20Rng>,
}

impl Person {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let secret = AccountSecret::generate(&mut rng);
        let recovery = secret.recovery_key().public_key();
        Self { secret, recovery, seed, rng: Mutex::new(rng) }
    }

    fn rng(&self) -> MutexGuard<'_, ChaCha20Rng> {
        self.rng.lock().unwrap()
    }

    pub(crate) fn id(&self) -> AccountId {
        self.recovery.account_id()
    }

    pub(crate) fn root(&self, generation: u32) -> RootKey {
        self.secret.root_key(Generation(generation))
    }

    pub(crate) fn statement(&self, generation: u32) -> GenerationStatement {
        let root = self.root(generation).public_key();
        let signed = self.secret.recovery_key().sign_statement(Generation(generation), &root, None);
        signed.verify(&self.recovery).unwrap()
    }

    /// The signing key of a device that this person made: one for each (generation, device).
    pub(crate) fn device_key(&self, generation: u32, device: u32) -> DeviceKey {
        let mut seed = [0x40; 32];
        seed[..8].copy_from_slice(&self.seed.to_be_bytes());
        seed[8..12].copy_from_slice(&generation.to_be_bytes());
        seed[12..16].copy_from_slice(&device.to_be_bytes());
        DeviceKey::from_seed(&seed)
    }

    pub(crate) fn signer(&self, generation: u32, device: u32) -> Signer {
        Signer { account: self.id(), generation: Generation(generation), device: device_id(device) }
    }

    /// The first manifest of a generation, with device 1.
    pub(crate) fn first(&self, generation: u32) -> Manifest {
        self.first_at(generation, NOW)
    }

    pub(crate) fn first_at(&self, generation: u32, issued: Timestamp) -> Manifest {
        let mut draft = Draft::first(&self.statement(generation), &[server_address()]);
        self.join(&mut draft, generation);
        self.sign(generation, &draft, issued)
    }

    pub(crate) fn with_device(&self, manifest: &Manifest) -> Manifest {
        let mut draft = Draft::after(manifest).unwrap();
        let generation = manifest.content().generation().0;
        self.join(&mut draft, generation);
        self.sign(generation, &draft, manifest.issued())
    }

    pub(crate) fn without_device(&self, manifest: &Manifest, device: u32) -> Manifest {
        let mut draft = Draft::after(manifest).unwrap();
        draft.remove(device_id(device)).unwrap();
        self.sign(manifest.content().generation().0, &draft, manifest.issued())
    }

    pub(crate) fn deleted(&self, manifest: &Manifest) -> Manifest {
        let mut draft = Draft::after(manifest).unwrap();
        draft.delete();
        self.sign(manifest.content().generation().0, &draft, manifest.issued())
    }

    pub(crate) fn renewed(&self, manifest: &Manifest, issued: Timestamp) -> Manifest {
        let generation = manifest.content().generation().0;
        let renewed = manifest.renew(&self.root(generation), issued).unwrap();
        renewed.verify(&self.statement(generation), issued).unwrap()
    }

    pub(crate) fn sign(&self, generation: u32, draft: &Draft, issued: Timestamp) -> Manifest {
        let signed = draft.sign(&self.root(generation), issued).unwrap();
        signed.verify(&self.statement(generation), issued).unwrap()
    }

    fn join(&self, draft: &mut Draft, generation: u32) {
        let place = draft.place().unwrap();
        let key = self.device_key(generation, u32::from(place.id.value()));
        let keys = DeviceKeys {
            identity: IdentityPublicKey::from_bytes(&self.u()).unwrap(),
            signing: key.public_key(),
            certificate: CertificatePublicKey::from_bytes(&self.u()).unwrap(),
            registration: RegistrationId::try_from(1_000).unwrap(),
        };
        draft.add(Device::joining(&key, place, keys, Capabilities::new(&[1], &[1]).unwrap())).unwrap();
    }

    /// Bytes that nobody here computes with, as good as a u-coordinate.
    fn u(&self) -> [u8; 32] {
        let mut u = [0; 32];
        self.rng().fill_bytes(&mut u);
        u[31] &= 0x3f;
        u
    }

    pub(crate) fn new_account(&self, manifest: &Manifest) -> NewAccount {
        let statement = self.statement(manifest.content().generation().0);
        NewAccount { recovery_key: self.recovery, statement, manifest: manifest.clone(), invite: None }
    }

    pub(crate) fn step(&self, version: u64, manifest: &Manifest) -> NewManifest {
        NewManifest { version, statement: None, manifest: manifest.clone() }
    }

    /// A prekey of a device that `manifest` lists.
    pub(crate) fn prekey(&self, manifest: &Manifest, device: u32, kind: PrekeyKind, id: u32) -> Prekey {
        let generation = manifest.content().generation().0;
        let key = self.device_key(generation, device);
        let signed = key.sign_prekey(self.signer(generation, device), &self.facts(kind, id)).unwrap();
        signed.verify(manifest).unwrap()
    }

    pub(crate) fn facts(&self, kind: PrekeyKind, id: u32) -> PrekeyFacts {
        let is_kyber = matches!(kind, PrekeyKind::OneTimeKyber1024 | PrekeyKind::LastResortKyber1024);
        let key = if is_kyber {
            let mut key = vec![0x08; 1_569];
            self.rng().fill_bytes(&mut key[1..]);
            key
        } else {
            [&[0x05][..], &self.u()].concat()
        };
        let signs = kind != PrekeyKind::OneTimeX25519;
        let identity_signature = signs.then(|| Signature::from_bytes([0x51; 64]));
        PrekeyFacts { kind, id, key, identity_signature }
    }

    /// A signed key, a last-resort key and `one_time` of each one-time kind, ids from `first_id` on.
    pub(crate) fn batch(&self, manifest: &Manifest, device: u32, first_id: u32, one_time: u32) -> Batch {
        let kinds = [PrekeyKind::SignedX25519, PrekeyKind::LastResortKyber1024];
        let one_time_ids = first_id + 1..=first_id + one_time;
        let prekeys = kinds.into_iter().map(|kind| (kind, first_id)).chain(
            one_time_ids
                .flat_map(|id| [PrekeyKind::OneTimeX25519, PrekeyKind::OneTimeKyber1024].map(|kind| (kind, id))),
        );
        let prekeys: Vec<_> = prekeys.map(|(kind, id)| self.prekey(manifest, device, kind, id)).collect();
        self.batch_of(manifest, device, prekeys)
    }

    pub(crate) fn batch_of(&self, manifest: &Manifest, device: u32, prekeys: Vec<Prekey>) -> Batch {
        let device = self.signer(manifest.content().generation().0, device);
        let bytes: Vec<_> = prekeys.iter().map(Prekey::encode).collect();
        Batch { device, hash: batch_hash(&bytes), prekeys, most: 200 }
    }

    pub(crate) fn reach(&self, manifest: &Manifest, device: u32, reach_key: u32, number: u32) -> ReachRecord {
        let generation = manifest.content().generation().0;
        let (key, signer) = (self.device_key(generation, device), self.signer(generation, device));
        let mailboxes = [MailboxAddress { server: server_address(), mailbox: MailboxId::from_bytes([7; 16]) }];
        let entry = key.sign_reach_entry(signer, number, &mailboxes).unwrap().verify(manifest).unwrap();
        let sealed = entry.seal(&self.root(generation).reach_key(reach_key), &mut *self.rng()).unwrap();
        key.sign_reach_record(signer, reach_key, number, &sealed).unwrap().verify(manifest).unwrap()
    }

    pub(crate) fn listing(&self, manifest: &Manifest, device: u32, name: &Name, number: u32) -> Listing {
        let generation = manifest.content().generation().0;
        let server = server_key().public_key();
        let place = ListingPlace { name, server: &server };
        let reach_key = ReachKey::from_bytes(self.root(generation).reach_key(0).as_bytes());
        let signer = self.signer(generation, device);
        let signed = self.device_key(generation, device).sign_listing(signer, &place, &reach_key, number).unwrap();
        signed.verify(name, &server, manifest).unwrap()
    }
}
