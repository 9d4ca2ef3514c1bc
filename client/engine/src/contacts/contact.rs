//! One contact.
use std::collections::BTreeMap;

use rand_core::CryptoRng;
use waxwing_wire::{
    address::ServerAddress,
    content::{ChainHash, ContactCopy, MessageId, Standing},
    delivery::{DeliverySecret, Grant},
    id::{AccountId, DeviceId, Generation, MailboxId},
    keys::{IntroductionToken, ReachKey, RecoveryPublicKey},
    link::ContactLink,
    manifest::{Device, Manifest, ManifestIn, ManifestReference},
    statement::{GenerationStatement, GenerationStatementIn},
    time::Timestamp,
};

use super::{Heard, log::IdentityLog, notes::Notes};
use crate::{
    own, random,
    records::{ContactRecord, HeardRecord, PlaceRecord},
    times,
};

/// Somebody else's account, as far as it is known here.
pub(crate) struct Contact {
    pub(crate) account: AccountId,
    pub(crate) standing: Standing,
    /// Counts changes of the standing (spec §16.7.1).
    pub(crate) revision: u64,
    pub(crate) recovery: Option<RecoveryPublicKey>,
    pub(crate) statement: Option<GenerationStatement>,
    pub(crate) manifest: Option<Manifest>,
    /// The generation that the person went on with; none: the first one that is seen.
    pub(crate) accepted_generation: Option<Generation>,
    pub(crate) reach_key: Option<ReachKey>,
    pub(crate) contacts_secret: Option<DeliverySecret>,
    pub(crate) token: Option<IntroductionToken>,
    pub(crate) key_servers: Vec<ServerAddress>,
    pub(crate) places: Vec<Place>,
    /// How many counted contents this device wrote to them, and the hash of the last.
    pub(crate) sequence: u64,
    pub(crate) previous: ChainHash,
    /// The clock of what was written never goes back.
    pub(crate) last_sent: Timestamp,
    pub(crate) heard: BTreeMap<DeviceId, Heard>,
    /// What own devices wrote to them, by the copies that came here.
    pub(crate) copied: BTreeMap<DeviceId, Heard>,
    /// The newest of our manifests that they know.
    pub(crate) told: Option<ManifestReference>,
    /// When they are told of ours, if nothing else is said before.
    pub(crate) news_at: Option<Timestamp>,
    /// They do not know the contacts' secret of now.
    pub(crate) owes_secret: bool,
    /// They accepted us: their contacts lane takes what we send.
    pub(crate) accepted_us: bool,
    /// A fork of theirs was shown.
    pub(crate) forked: bool,
    /// What they were before they were blocked.
    pub(crate) before_block: Option<Standing>,
    /// The lane by which their request came: of a link that is revoked if they are put away.
    pub(crate) came_by: u32,
    /// Receipts that they are to get, and when (D1).
    pub(crate) owed: Owed,
    pub(crate) notes: Notes,
    pub(crate) log: IdentityLog,
    /// In memory: what is to be asked of a key server.
    pub(crate) wanted: Wanted,
}

/// Receipts that a contact is to get.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owed {
    pub(crate) delivered: Vec<MessageId>,
    pub(crate) read: Vec<MessageId>,
    pub(crate) at: Option<Timestamp>,
}

impl Owed {
    /// So many receipts do not wait for more: what is owed to one contact stays small.
    pub(crate) const MOST: usize = 500;
    /// Receipts that are remembered for somebody whom the person has not accepted yet.
    pub(crate) const MOST_OF_STRANGERS: usize = 100;
}

/// What is to be asked of a key server about a contact.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) account: bool,
    pub(crate) reach: bool,
}

/// Where one device takes messages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) device: DeviceId,
    pub(crate) server: ServerAddress,
    pub(crate) mailbox: MailboxId,
    /// Of the reach entry: the higher counts.
    pub(crate) number: u32,
}

impl Contact {
    pub(crate) fn new(account: AccountId, standing: Standing) -> Self {
        Self {
            account,
            standing,
            revision: 1,
            recovery: None,
            statement: None,
            manifest: None,
            accepted_generation: None,
            reach_key: None,
            contacts_secret: None,
            token: None,
            key_servers: Vec::new(),
            places: Vec::new(),
            sequence: 0,
            previous: ChainHash::from_bytes([0; 32]),
            last_sent: Timestamp(0),
            heard: BTreeMap::new(),
            copied: BTreeMap::new(),
            told: None,
            news_at: None,
            owes_secret: false,
            accepted_us: false,
            forked: false,
            before_block: None,
            came_by: 0,
            owed: Owed::default(),
            notes: Notes::default(),
            log: IdentityLog::default(),
            wanted: Wanted::default(),
        }
    }

    /// Changes the standing; own devices follow the higher revision.
    pub(crate) fn stand(&mut self, standing: Standing) {
        if self.standing != standing {
            self.before_block = (standing == Standing::Blocked).then_some(self.standing);
            self.standing = standing;
            self.revision = self.revision.saturating_add(1);
        }
    }

    /// What was heard from one of their devices.
    pub(crate) fn heard_of(&mut self, device: DeviceId) -> &mut Heard {
        self.heard.entry(device).or_insert_with(|| Heard::new(device))
    }

    /// What they say from now on is dropped, on whichever of their devices: when it is taken again, nothing of it is missing.
    pub(crate) fn drop_what_comes(&mut self) {
        let listed = self.manifest.iter().flat_map(|manifest| manifest.content().devices());
        let listed: Vec<DeviceId> = listed.map(Device::id).collect();
        for device in listed {
            self.heard_of(device);
        }
        self.heard.values_mut().for_each(Heard::begin_anew);
    }

    /// What came of what an own device wrote to them.
    pub(crate) fn copied_of(&mut self, device: DeviceId) -> &mut Heard {
        self.copied.entry(device).or_insert_with(|| Heard::new(device))
    }

    /// Sets when what is owed goes out: soon, and at no time that tells when it was taken (D1).
    pub(crate) fn owe(&mut self, now: Timestamp, rng: &mut impl CryptoRng) {
        let is_owed = !self.owed.delivered.is_empty() || !self.owed.read.is_empty();
        if is_owed && self.is_wanted() {
            self.owed.at.get_or_insert_with(|| now.saturating_add(random::between(times::RECEIPT_DELAY, rng)));
        }
    }

    /// Whether the person wants to talk to them.
    pub(crate) fn is_wanted(&self) -> bool {
        matches!(self.standing, Standing::Added | Standing::Accepted)
    }

    /// A generation that the person has not seen yet: nothing is sent until they have (F9).
    pub(crate) fn unaccepted_generation(&self) -> Option<(Generation, Generation)> {
        let now = self.manifest.as_ref()?.content().generation();
        let accepted = self.accepted_generation?;
        (now > accepted).then_some((accepted, now))
    }

    /// Their devices by the manifest that counts.
    pub(crate) fn devices(&self) -> &[Device] {
        self.manifest.as_ref().map_or(&[], |manifest| manifest.content().devices())
    }

    pub(crate) fn place(&self, device: DeviceId) -> Option<&Place> {
        self.places.iter().find(|place| place.device == device)
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.manifest.as_ref().is_some_and(|manifest| manifest.content().is_final())
    }

    /// The key server to ask: of the manifest, or of the link.
    pub(crate) fn key_server(&self) -> Option<&ServerAddress> {
        let listed = self.manifest.as_ref().and_then(|manifest| manifest.content().key_servers().first());
        listed.or(self.key_servers.first())
    }

    /// By what key a put enters one of their mailboxes.
    pub(crate) fn delivery_key(&self, mailbox: &MailboxId) -> Option<waxwing_wire::delivery::DeliveryKey> {
        let token = || {
            let token = self.token.as_ref()?;
            Some(DeliverySecret::from_bytes(token.as_bytes()).key_for(Grant::Introduction, mailbox))
        };
        let contacts = self.contacts_secret.as_ref().map(|secret| secret.key_for(Grant::Audience, mailbox));
        contacts.or_else(token)
    }

    pub(crate) fn take_link(&mut self, link: &ContactLink) {
        if self.reach_key.is_none() {
            self.reach_key = Some(ReachKey::from_bytes(link.reach_key().as_bytes()));
        }
        self.token = link.token().map(|token| IntroductionToken::from_bytes(token.as_bytes()));
        if self.key_servers.is_empty() {
            self.key_servers = link.key_servers().to_vec();
        }
    }

    /// What the other devices of this account need to talk to them.
    pub(crate) fn copy(&self) -> ContactCopy {
        ContactCopy {
            account: self.account,
            standing: self.standing,
            revision: self.revision,
            recovery_key: self.recovery.as_ref().map(|key| *key.as_bytes()),
            statement: self.statement.as_ref().map(GenerationStatement::encode),
            manifest: self.manifest.as_ref().map(Manifest::encode),
            reach_key: self.reach_key.as_ref().map(|key| ReachKey::from_bytes(key.as_bytes())),
            contacts_secret: self.contacts_secret.as_ref().map(|secret| DeliverySecret::from_bytes(secret.expose())),
            token: self.token.as_ref().map(|token| IntroductionToken::from_bytes(token.as_bytes())),
            key_servers: self.key_servers.clone(),
            notes: self.notes.copy(),
        }
    }

    /// Whether the person compared the safety number in the generation of now. It never changes (DESIGN §3); but a new generation may be the
    /// work of whoever stole the words, and after a fork the root key is in two hands: both ask again.
    pub(crate) fn is_verified(&self) -> bool {
        let now = self.manifest.as_ref().map(|manifest| manifest.content().generation());
        now.is_some() && *self.notes.verified.value() == now && !self.forked
    }

    /// The person has nothing more to do with them. What it takes to read what they write next stays, and our count of what we wrote.
    pub(crate) fn forget(&mut self) {
        self.before_block = None;
        self.token = None;
        self.came_by = 0;
        self.owed = Owed::default();
        self.news_at = None;
        self.notes.clear();
        self.log = IdentityLog::default();
        self.wanted = Wanted::default();
    }

    pub(super) fn record(&self) -> ContactRecord {
        let places = self.places.iter().map(|place| PlaceRecord {
            device: place.device.value().into(),
            server: place.server.to_string(),
            mailbox: place.mailbox.as_bytes().to_vec(),
            number: place.number,
        });
        ContactRecord {
            standing: number(self.standing),
            revision: self.revision,
            recovery_key: self.recovery.as_ref().map(|key| key.as_bytes().to_vec()),
            statement: self.statement.as_ref().map(GenerationStatement::encode),
            manifest: self.manifest.as_ref().map(Manifest::encode),
            reach_key: self.reach_key.as_ref().map(|key| key.as_bytes().to_vec()),
            contacts_secret: self.contacts_secret.as_ref().map(|secret| secret.expose().to_vec()),
            token: self.token.as_ref().map(|token| token.as_bytes().to_vec()),
            key_servers: self.key_servers.iter().map(ServerAddress::to_string).collect(),
            places: places.collect(),
            sequence: self.sequence,
            previous: self.previous.as_bytes().to_vec(),
            heard: self.heard.values().map(Heard::record).collect(),
            last_sent: self.last_sent.0,
            accepted_generation: self.accepted_generation.map(|generation| generation.0),
            told: self.told.map(|told| own::encode_reference(&told)).unwrap_or_default(),
            news_at: self.news_at.map_or(0, |at| at.0),
            accepted_us: self.accepted_us,
            owes_secret: self.owes_secret,
            forked: self.forked,
            before_block: self.before_block.map_or(0, number),
            came_by: self.came_by,
            copied: self.copied.values().map(Heard::record).collect(),
            owed_delivered: ids_to_bytes(&self.owed.delivered),
            owed_read: ids_to_bytes(&self.owed.read),
            owed_at: self.owed.at.map_or(0, |at| at.0),
            notes: self.notes.record(),
            log: self.log.records(),
        }
    }

    /// None: the record is damaged.
    pub(super) fn restore(account: AccountId, record: &ContactRecord) -> Option<Self> {
        let recovery = optional(record.recovery_key.as_deref(), |key| RecoveryPublicKey::from_bytes(key).ok())?;
        let statement = optional(record.statement.as_deref(), |bytes| {
            GenerationStatementIn::decode(bytes).ok()?.verify(recovery.as_ref()?).ok()
        })?;
        let manifest = optional(record.manifest.as_deref(), |bytes| {
            // It was believed when it was stored; the clock may have been set back since.
            ManifestIn::decode(bytes).ok()?.verify(statement.as_ref()?, Timestamp(u64::MAX)).ok()
        })?;
        let secret = |bytes: Option<&[u8]>| optional(bytes, own::seed);
        let key_servers: Option<Vec<ServerAddress>> = record.key_servers.iter().map(|text| text.parse().ok()).collect();
        let places: Option<Vec<Place>> = record.places.iter().map(Place::restore).collect();
        let heard = |records: &[HeardRecord]| -> Option<BTreeMap<_, _>> {
            let heard = records.iter().map(Heard::restore);
            heard.map(|heard| heard.map(|heard| (heard.device, heard))).collect()
        };
        Some(Self {
            standing: standing(record.standing)?,
            revision: record.revision,
            recovery,
            statement,
            manifest,
            accepted_generation: record.accepted_generation.map(Generation),
            reach_key: secret(record.reach_key.as_deref())?.map(|key| ReachKey::from_bytes(&key)),
            contacts_secret: secret(record.contacts_secret.as_deref())?.map(|key| DeliverySecret::from_bytes(&key)),
            token: secret(record.token.as_deref())?.map(|key| IntroductionToken::from_bytes(&key)),
            key_servers: key_servers?,
            places: places?,
            sequence: record.sequence,
            previous: ChainHash::from_bytes(record.previous.as_slice().try_into().ok()?),
            last_sent: Timestamp(record.last_sent),
            heard: heard(&record.heard)?,
            copied: heard(&record.copied)?,
            told: own::decode_reference(&record.told),
            news_at: (record.news_at != 0).then_some(Timestamp(record.news_at)),
            accepted_us: record.accepted_us,
            owes_secret: record.owes_secret,
            forked: record.forked,
            before_block: standing(record.before_block),
            came_by: record.came_by,
            notes: Notes::restore(record.notes.as_ref())?,
            log: IdentityLog::restore(&record.log)?,
            owed: Owed {
                delivered: ids_of_bytes(&record.owed_delivered)?,
                read: ids_of_bytes(&record.owed_read)?,
                at: (record.owed_at != 0).then_some(Timestamp(record.owed_at)),
            },
            ..Self::new(account, Standing::Added)
        })
    }
}

impl Place {
    fn restore(record: &PlaceRecord) -> Option<Self> {
        Some(Self {
            device: DeviceId::try_from(record.device).ok()?,
            server: record.server.parse().ok()?,
            mailbox: MailboxId::try_from(record.mailbox.as_slice()).ok()?,
            number: record.number,
        })
    }
}

impl core::fmt::Debug for Contact {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Contact")
            .field("account", &self.account)
            .field("standing", &self.standing)
            .finish_non_exhaustive()
    }
}

/// Some(None) if there is nothing, None if there is something and it is damaged.
fn optional<T>(bytes: Option<&[u8]>, restore: impl FnOnce(&[u8]) -> Option<T>) -> Option<Option<T>> {
    match bytes {
        None => Some(None),
        Some(bytes) => restore(bytes).map(Some),
    }
}

fn ids_to_bytes(ids: &[MessageId]) -> Vec<u8> {
    ids.iter().flat_map(|id| *id.as_bytes()).collect()
}

fn ids_of_bytes(bytes: &[u8]) -> Option<Vec<MessageId>> {
    let (ids, rest) = bytes.as_chunks::<16>();
    rest.is_empty().then(|| ids.iter().map(|id| MessageId::from_bytes(*id)).collect())
}

/// By their stored numbers, from 1.
const STANDINGS: [Standing; 6] =
    [Standing::Added, Standing::Asking, Standing::Accepted, Standing::Ignored, Standing::Blocked, Standing::Removed];

fn number(standing: Standing) -> u32 {
    STANDINGS.iter().zip(1..).find_map(|(known, number)| (*known == standing).then_some(number)).unwrap_or(0)
}

fn standing(number: u32) -> Option<Standing> {
    STANDINGS.into_iter().zip(1..).find_map(|(standing, known)| (known == number).then_some(standing))
}
