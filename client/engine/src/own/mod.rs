//! This device and its account: keys, secrets, manifest. Implements spec/20-client.md §20.5.
//!
//! ```text
//! words ─▶ recovery key, root key ─▶ statement, manifest       the primary keeps the root, nobody the words
//! device: identity key │ signing key │ certificate key         its own, made here
//! audience secrets: contacts, groups, own devices              one each for all devices
//! ```
//! Not here: the mailbox (`mailbox`), telling the key server (`registration`), prekeys (`prekeys`).
mod joining;

use rand_core::CryptoRng;
use waxwing_protocol::{IdentityKeyPair, LocalDevice, RegistrationId, SessionAddresses, sealed};
use waxwing_wire::{
    address::ServerAddress,
    content::{IdentityBlock, Introduction},
    delivery::DeliverySecret,
    frame::{InviteToken, Price},
    id::{AccountId, DeviceId, Generation},
    keys::{CertificatePublicKey, DeviceKey, IdentityPublicKey, ReachKey, RecoveryPublicKey, RootKey},
    manifest::{Capabilities, ContentHash, Device, DeviceKeys, Draft, Manifest, ManifestIn, ManifestReference},
    pow::Nonce,
    signer::Signer,
    statement::{GenerationStatement, GenerationStatementIn},
    time::Timestamp,
    words::AccountSecret,
};
use zeroize::Zeroizing;

pub use self::joining::{Joining, Provisioning};
use crate::{
    contacts::Objects,
    convert,
    mailbox::Mailbox,
    records::{self, OwnRecord},
    stage::Stage,
    store::Table,
    times,
};

/// This device and its account.
pub(crate) struct Own {
    pub(crate) recovery: RecoveryPublicKey,
    pub(crate) statement: GenerationStatement,
    pub(crate) manifest: Manifest,
    /// The primary's.
    pub(crate) root: Option<RootKey>,
    pub(crate) device: DeviceId,
    registration: RegistrationId,
    pub(crate) identity: IdentityKeyPair,
    pub(crate) signing: DeviceKey,
    certificate_key: Zeroizing<[u8; 32]>,
    /// Made when it is first needed; with the expiry of the manifest it was made under.
    certificate: Option<sealed::SenderCertificate>,
    pub(crate) reach_key_number: u32,
    pub(crate) reach_key: ReachKey,
    pub(crate) contacts_secret: DeliverySecret,
    pub(crate) groups_secret: DeliverySecret,
    pub(crate) own_secret: DeliverySecret,
    pub(crate) relay: ServerAddress,
    /// The key server has the account.
    pub(crate) registered: bool,
    /// The last manifest that a key server took from this device.
    pub(crate) published: Option<Published>,
    pub(crate) reach_number: u32,
    /// Of the last listing of a name.
    pub(crate) listing_number: u32,
    /// The key server has the reach record of that number.
    pub(crate) reach_stored: bool,
    pub(crate) relay_admission: Option<[u8; 16]>,
    pub(crate) keyserver_admission: Option<[u8; 16]>,
    pub(crate) receipts: bool,
    /// When the contacts' secret was last replaced.
    pub(crate) rotated: Timestamp,
    /// The newest time that was ever seen: time never goes below it.
    pub(crate) newest: Timestamp,
    pub(crate) upkeep_at: Timestamp,
    /// In memory: what the key server asks of a new account, and what was found.
    pub(crate) price: Option<Price>,
    pub(crate) nonce: Option<Nonce>,
}

/// A manifest that a key server has: a renewal differs by its date alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Published {
    pub(crate) reference: ManifestReference,
    pub(crate) issued: Timestamp,
}

impl Published {
    pub(crate) fn of(manifest: &Manifest) -> Self {
        Self { reference: manifest.reference(), issued: manifest.issued() }
    }
}

/// What a new account begins with.
#[derive(Debug)]
pub struct NewAccount {
    /// The relay that holds this device's mailbox.
    pub relay: ServerAddress,
    /// Where the account's manifest and prekeys are; 1 to 4, the first one is written to.
    pub key_servers: Vec<ServerAddress>,
    /// For a relay that takes invitations.
    pub relay_admission: Option<InviteToken>,
    /// For a key server that takes invitations.
    pub keyserver_admission: Option<InviteToken>,
}

/// An account cannot be made: its servers do not fit into a manifest (1 to 4 of different keys).
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
#[error("an account has 1 to 4 key servers of different keys")]
pub struct NewAccountError;

/// Why an account cannot be recovered. Nothing was changed anywhere.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum RecoverError {
    /// They are not 24 words of the list, or one of them is wrong: compare them with the paper.
    #[error("these are not the 24 words of an account")]
    Words,
    /// They are another account's.
    #[error("these are the words of another account")]
    OtherAccount,
    /// The account was deleted, which is for ever.
    #[error("the account is deleted")]
    Deleted,
    /// It was recovered 2^32 times.
    #[error("the account has no generation left")]
    Exhausted,
    /// 1 to 4 of different keys.
    #[error("an account has 1 to 4 key servers of different keys")]
    KeyServers,
}

impl Own {
    /// A new account and its first device; the words are to be shown once.
    pub(crate) fn create(
        new: NewAccount,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, Mailbox, Zeroizing<String>), NewAccountError> {
        let secret = AccountSecret::generate(rng);
        let (mut own, mailbox) = Self::begin(&secret, Generation(0), new, now, rng)?;
        own.registered = false;
        own.published = None;
        Ok((own, mailbox, secret.to_words()))
    }

    /// The next generation of an account, by its words: no device of the one before is listed (FLOWS f).
    pub(crate) fn recover(
        words: &str,
        current: &Objects,
        new: NewAccount,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, Mailbox), RecoverError> {
        let secret = AccountSecret::from_words(words).map_err(|_| RecoverError::Words)?;
        if secret.recovery_key().public_key().account_id() != current.recovery.account_id() {
            return Err(RecoverError::OtherAccount);
        }
        if current.manifest.content().is_final() {
            return Err(RecoverError::Deleted);
        }
        let generation = current.manifest.content().generation().next().ok_or(RecoverError::Exhausted)?;
        let begun = Self::begin(&secret, generation, new, now, rng);
        let (mut own, mailbox) = begun.map_err(|_| RecoverError::KeyServers)?;
        own.published = Some(Published::of(&current.manifest));
        Ok((own, mailbox))
    }

    fn begin(
        secret: &AccountSecret,
        generation: Generation,
        new: NewAccount,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, Mailbox), NewAccountError> {
        let NewAccount { relay, key_servers, relay_admission, keyserver_admission } = new;
        let recovery = secret.recovery_key();
        let root = secret.root_key(generation);
        let statement = recovery.sign_statement(generation, &root.public_key(), None);
        let statement = statement.verify(&recovery.public_key()).map_err(|_| NewAccountError)?;
        let joining = Joining::new(relay, rng);
        let close_hash = root.close_capability(joining.mailbox()).hash();
        let mut draft = Draft::first(&statement, &key_servers);
        let place = draft.place().map_err(|_| NewAccountError)?;
        draft.add(joining.device(place)).map_err(|_| NewAccountError)?;
        let manifest = draft.sign(&root, now).map_err(|_| NewAccountError)?;
        let manifest = manifest.verify(&statement, now).map_err(|_| NewAccountError)?;
        let provisioning = Provisioning {
            recovery: recovery.public_key(),
            statement,
            manifest,
            reach_key_number: 0,
            reach_key: root.reach_key(0),
            contacts_secret: DeliverySecret::generate(rng),
            groups_secret: DeliverySecret::generate(rng),
            own_secret: DeliverySecret::generate(rng),
            close_hash,
        };
        let (mut own, mailbox) = joining.into_own(place.id, provisioning, now);
        own.root = Some(root);
        own.relay_admission = relay_admission.map(|token| *token.expose());
        own.keyserver_admission = keyserver_admission.map(|token| *token.expose());
        Ok((own, mailbox))
    }

    pub(crate) fn account(&self) -> AccountId {
        self.manifest.content().account_id()
    }

    pub(crate) fn signer(&self) -> Signer {
        Signer { account: self.account(), generation: self.manifest.content().generation(), device: self.device }
    }

    /// The devices of this account besides this one.
    pub(crate) fn siblings(&self) -> impl Iterator<Item = &Device> {
        self.manifest.content().devices().iter().filter(|device| device.id() != self.device)
    }

    /// The key server that is written to.
    pub(crate) fn key_server(&self) -> Option<&ServerAddress> {
        self.manifest.content().key_servers().first()
    }

    /// As a session with that device needs it.
    pub(crate) fn local(&self, account: &AccountId, device: DeviceId) -> LocalDevice<'_> {
        let local = convert::address(&self.account(), self.device);
        let remote = convert::address(account, device);
        let addresses = local.zip(remote).map(|(local, remote)| SessionAddresses { local, remote });
        LocalDevice { identity: &self.identity, registration_id: self.registration, addresses }
    }

    /// As a session with somebody needs it whose account is not known yet.
    pub(crate) fn local_towards(&self, remote: waxwing_protocol::DeviceAddress) -> LocalDevice<'_> {
        let addresses = self.address().map(|local| SessionAddresses { local, remote });
        LocalDevice { identity: &self.identity, registration_id: self.registration, addresses }
    }

    pub(crate) fn address(&self) -> Option<waxwing_protocol::DeviceAddress> {
        convert::address(&self.account(), self.device)
    }

    /// The certificate that seals this device's messages, good until the manifest expires.
    pub(crate) fn certificate(&mut self, rng: &mut impl CryptoRng) -> Option<&sealed::SenderCertificate> {
        let expires = convert::time(self.manifest.expires());
        if self.certificate.as_ref().is_none_or(|certificate| certificate.sender().expires != expires) {
            let address = self.address()?;
            let key = sealed::CertificateKeyPair::from_private_key(&self.certificate_key);
            let sender = sealed::Sender { address, e164: None, identity_key: *self.identity.public_key(), expires };
            let issuer = sealed::Issuer::self_signed(key, rng).ok()?;
            self.certificate = Some(issuer.issue(sender, sealed::ServerReference::Embedded, rng));
        }
        self.certificate.as_ref()
    }

    /// What a stranger needs to believe us and to answer (spec §16.8).
    pub(crate) fn identity_block(&self) -> IdentityBlock {
        IdentityBlock {
            recovery_key: *self.recovery.as_bytes(),
            statement: self.statement.encode(),
            manifest: self.manifest.encode(),
            reach_key: ReachKey::from_bytes(self.reach_key.as_bytes()),
            contacts_secret: DeliverySecret::from_bytes(self.contacts_secret.expose()),
        }
    }

    /// What a contact who knows us needs to be up to date (spec §16.8).
    pub(crate) fn introduction(&self) -> Introduction {
        Introduction {
            statement: Some(self.statement.encode()),
            manifest: Some(self.manifest.encode()),
            reach_key: Some(ReachKey::from_bytes(self.reach_key.as_bytes())),
            contacts_secret: Some(DeliverySecret::from_bytes(self.contacts_secret.expose())),
        }
    }

    /// Local time never goes below the newest that was stored (DESIGN §5).
    pub(crate) fn advance(&mut self, now: Timestamp) -> Timestamp {
        self.newest = self.newest.max(now.min(times::LATEST));
        self.newest
    }

    pub(crate) fn save(&self, stage: &mut Stage) {
        stage.put_message(Table::Account, Vec::new(), &self.record());
    }

    fn record(&self) -> OwnRecord {
        OwnRecord {
            recovery_key: self.recovery.as_bytes().to_vec(),
            statement: self.statement.encode(),
            manifest: self.manifest.encode(),
            root_seed: self.root.as_ref().map(|root| root.seed().to_vec()),
            device: self.device.value().into(),
            registration: self.registration.0,
            identity: self.identity.private_key().to_vec(),
            signing_seed: self.signing.seed().to_vec(),
            certificate: self.certificate_key.to_vec(),
            reach_key_number: self.reach_key_number,
            reach_key: self.reach_key.as_bytes().to_vec(),
            contacts_secret: self.contacts_secret.expose().to_vec(),
            groups_secret: self.groups_secret.expose().to_vec(),
            own_secret: self.own_secret.expose().to_vec(),
            relay: self.relay.to_string(),
            registered: self.registered,
            reach_number: self.reach_number,
            reach_stored: self.reach_stored,
            listing_number: self.listing_number,
            relay_admission: self.relay_admission.map(|token| token.to_vec()),
            keyserver_admission: self.keyserver_admission.map(|token| token.to_vec()),
            no_receipts: !self.receipts,
            rotated: self.rotated.0,
            newest: self.newest.0,
            upkeep_at: self.upkeep_at.0,
            published_reference: self.published.map(|one| encode_reference(&one.reference)).unwrap_or_default(),
            published_issued: self.published.map_or(0, |one| one.issued.0),
        }
    }

    /// None: the record is damaged.
    pub(crate) fn restore(record: &[u8]) -> Option<Self> {
        let record: OwnRecord = records::decode(record)?;
        let recovery = RecoveryPublicKey::from_bytes(&record.recovery_key).ok()?;
        let statement = GenerationStatementIn::decode(&record.statement).ok()?.verify(&recovery).ok()?;
        // It was believed when it was stored; the clock may have been set back since.
        let manifest = ManifestIn::decode(&record.manifest).ok()?.verify(&statement, Timestamp(u64::MAX)).ok()?;
        let root = record.root_seed.as_deref().map(seed).map(|seed| seed.map(|seed| RootKey::from_seed(&seed)));
        let root = match root {
            None => None,
            Some(root) => Some(root?),
        };
        Some(Self {
            recovery,
            statement,
            manifest,
            root,
            device: DeviceId::try_from(record.device).ok()?,
            registration: RegistrationId(record.registration),
            identity: IdentityKeyPair::from_private_key(&*seed(&record.identity)?),
            signing: DeviceKey::from_seed(&*seed(&record.signing_seed)?),
            certificate_key: seed(&record.certificate)?,
            certificate: None,
            reach_key_number: record.reach_key_number,
            reach_key: ReachKey::from_bytes(&*seed(&record.reach_key)?),
            contacts_secret: DeliverySecret::from_bytes(&*seed(&record.contacts_secret)?),
            groups_secret: DeliverySecret::from_bytes(&*seed(&record.groups_secret)?),
            own_secret: DeliverySecret::from_bytes(&*seed(&record.own_secret)?),
            relay: record.relay.parse().ok()?,
            registered: record.registered,
            published: decode_reference(&record.published_reference)
                .map(|reference| Published { reference, issued: Timestamp(record.published_issued) }),
            reach_number: record.reach_number,
            reach_stored: record.reach_stored,
            listing_number: record.listing_number,
            relay_admission: record.relay_admission.as_deref().and_then(|token| token.try_into().ok()),
            keyserver_admission: record.keyserver_admission.as_deref().and_then(|token| token.try_into().ok()),
            receipts: !record.no_receipts,
            rotated: Timestamp(record.rotated),
            newest: Timestamp(record.newest),
            upkeep_at: Timestamp(record.upkeep_at),
            price: None,
            nonce: None,
        })
    }
}

/// Which suites and content versions this version speaks (spec §11.5.13).
pub(crate) fn capabilities() -> Option<Capabilities> {
    // Suite 4 is PQXDH with the Triple Ratchet; content version 1 is spec 16.
    Capabilities::new(&[4], &[1]).ok()
}

/// The keys of a device, as its manifest lists them.
fn device_keys(
    identity: &IdentityKeyPair,
    signing: &DeviceKey,
    certificate: &[u8; 32],
    registration: RegistrationId,
) -> Option<DeviceKeys> {
    let certificate = sealed::CertificateKeyPair::from_private_key(certificate);
    Some(DeviceKeys {
        identity: IdentityPublicKey::from_bytes(convert::untyped(&identity.public_key().to_bytes())).ok()?,
        signing: signing.public_key(),
        certificate: CertificatePublicKey::from_bytes(convert::untyped(&certificate.public_key().to_bytes())).ok()?,
        registration: waxwing_wire::manifest::RegistrationId::try_from(registration.0).ok()?,
    })
}

/// 32 secret bytes of a record.
pub(crate) fn seed(bytes: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    bytes.try_into().ok().map(Zeroizing::new)
}

/// generation[4] ‖ sequence[4] ‖ hash[32].
pub(crate) fn encode_reference(reference: &ManifestReference) -> Vec<u8> {
    let ManifestReference { generation, sequence, content } = reference;
    let numbers = generation.0.to_be_bytes().into_iter().chain(sequence.0.to_be_bytes());
    numbers.chain(content.as_bytes().iter().copied()).collect()
}

pub(crate) fn decode_reference(bytes: &[u8]) -> Option<ManifestReference> {
    let (generation, rest) = bytes.split_first_chunk::<4>()?;
    let (sequence, hash) = rest.split_first_chunk::<4>()?;
    Some(ManifestReference {
        generation: Generation(u32::from_be_bytes(*generation)),
        sequence: waxwing_wire::id::Sequence(u32::from_be_bytes(*sequence)),
        content: ContentHash::try_from(hash).ok()?,
    })
}
