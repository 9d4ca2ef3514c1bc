//! A device that joins an account. How the two sides meet comes with device linking; here is what passes between them.
use core::fmt;

use rand_core::CryptoRng;
use waxwing_protocol::{IdentityKeyPair, RegistrationId};
use waxwing_wire::{
    address::ServerAddress,
    delivery::DeliverySecret,
    id::{DeviceId, MailboxId},
    keys::{DeviceKey, ReachKey, RecoveryPublicKey},
    manifest::{Device, Manifest, Place},
    relay::OwnerKey,
    statement::GenerationStatement,
    time::Timestamp,
};
use zeroize::Zeroizing;

use super::{Own, Published, capabilities, device_keys};
use crate::{mailbox::Mailbox, random};

/// The keys of a device that is not listed yet.
pub struct Joining {
    relay: ServerAddress,
    registration: RegistrationId,
    identity: IdentityKeyPair,
    signing: DeviceKey,
    certificate: Zeroizing<[u8; 32]>,
    mailbox: OwnerKey,
}

/// What a device needs of its account, from a device that has it. Secret.
pub struct Provisioning {
    pub(super) recovery: RecoveryPublicKey,
    pub(super) statement: GenerationStatement,
    pub(super) manifest: Manifest,
    pub(super) reach_key_number: u32,
    pub(super) reach_key: ReachKey,
    pub(super) contacts_secret: DeliverySecret,
    pub(super) groups_secret: DeliverySecret,
    pub(super) own_secret: DeliverySecret,
    pub(super) close_hash: [u8; 32],
}

impl Joining {
    /// Makes a device's keys. Its mailbox will be on `relay`.
    #[must_use]
    pub fn new(relay: ServerAddress, rng: &mut impl CryptoRng) -> Self {
        Self {
            relay,
            registration: RegistrationId::generate(rng),
            identity: IdentityKeyPair::generate(rng),
            signing: DeviceKey::generate(rng),
            certificate: Zeroizing::new(random::bytes(rng)),
            mailbox: OwnerKey::generate(rng),
        }
    }

    /// The mailbox that it will take messages in.
    #[must_use]
    pub fn mailbox(&self) -> MailboxId {
        self.mailbox.mailbox()
    }

    /// Its entry in the manifest, counter-signed for that place.
    #[must_use]
    #[expect(clippy::expect_used, reason = "keys that were made here are keys, and the capabilities are constants")]
    pub fn device(&self, place: Place) -> Device {
        let keys = device_keys(&self.identity, &self.signing, &self.certificate, self.registration);
        let capabilities = capabilities().expect("constants that ascend");
        Device::joining(&self.signing, place, keys.expect("keys that were made here"), capabilities)
    }

    /// What runs once the account lists it.
    pub(super) fn into_own(self, device: DeviceId, provisioning: Provisioning, now: Timestamp) -> (Own, Mailbox) {
        let Self { relay, registration, identity, signing, certificate, mailbox } = self;
        let Provisioning {
            recovery,
            statement,
            manifest,
            reach_key_number,
            reach_key,
            contacts_secret,
            groups_secret,
            own_secret,
            close_hash,
        } = provisioning;
        let own = Own {
            recovery,
            statement,
            published: Some(Published::of(&manifest)),
            manifest,
            root: None,
            device,
            registration,
            identity,
            signing,
            certificate_key: certificate,
            certificate: None,
            reach_key_number,
            reach_key,
            contacts_secret,
            groups_secret,
            own_secret,
            relay,
            registered: true,
            reach_number: 1,
            reach_stored: false,
            listing_number: 0,
            relay_admission: None,
            keyserver_admission: None,
            receipts: true,
            rotated: Timestamp(0),
            newest: now,
            upkeep_at: Timestamp(0),
            price: None,
            nonce: None,
        };
        (own, Mailbox::new(mailbox, close_hash))
    }
}

impl Joining {
    /// The device, if the account lists exactly it at that place.
    pub(crate) fn join(self, device: DeviceId, provisioning: Provisioning, now: Timestamp) -> Option<(Own, Mailbox)> {
        let listed = provisioning.manifest.device(device)?;
        let keys = device_keys(&self.identity, &self.signing, &self.certificate, self.registration)?;
        let is_ours = *listed.keys() == keys;
        is_ours.then(|| self.into_own(device, provisioning, now))
    }
}

impl Own {
    /// For one more device, which takes messages in that mailbox; only the root knows how to close it.
    pub(crate) fn provision(&self, mailbox: MailboxId) -> Option<Provisioning> {
        let close_hash = self.root.as_ref()?.close_capability(mailbox).hash();
        Some(Provisioning {
            recovery: self.recovery,
            statement: self.statement.clone(),
            manifest: self.manifest.clone(),
            reach_key_number: self.reach_key_number,
            reach_key: ReachKey::from_bytes(self.reach_key.as_bytes()),
            contacts_secret: DeliverySecret::from_bytes(self.contacts_secret.expose()),
            groups_secret: DeliverySecret::from_bytes(self.groups_secret.expose()),
            own_secret: DeliverySecret::from_bytes(self.own_secret.expose()),
            close_hash,
        })
    }
}

impl fmt::Debug for Joining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Joining(..)")
    }
}

impl fmt::Debug for Provisioning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provisioning(..)")
    }
}
