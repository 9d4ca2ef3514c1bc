//! This device's prekeys: made, uploaded, rotated, deleted. Implements spec/20-client.md §20.9.
//!
//! ```text
//! made ──uploaded──▶ handed out by the server ──a first message names it──▶ deleted          one-time
//!                         └─ listed no more, and nobody wrote ──30 days──▶ deleted
//! made ──uploaded──▶ current ──2 days──▶ replaced ──30 days──▶ deleted                       signed, last resort
//! ```
//! Invariants: ids are random and used once; private halves are saved before their public halves leave; when and how many are looked
//! after does not follow from when they are used (A6).
use std::collections::BTreeMap;

use rand_core::CryptoRng;
use waxwing_protocol::{
    Consumed, KyberPrekey, KyberPrekeyId, KyberPrekeyRef, KyberSecretKey, LastResortKey, LastResortUse, LastResortUses,
    OneTimePrekey, OneTimePrekeyId, PreKeySignalMessage, PrivatePrekeys, Signature, SignedPrekey, SignedPrekeyId,
};
use waxwing_wire::{
    keyserver::PrekeyIds,
    prekey::{PrekeyFacts, PrekeyKind},
    signature::Signature as WireSignature,
    time::Timestamp,
};

use crate::{
    interface::PrekeyCounts,
    own::{self, Own},
    records::{self, PrekeyRecord},
    stage::Stage,
    store::{Record, Table},
    times,
};

/// Prekeys of one kind and when they were made, uploaded and replaced.
#[derive(Debug)]
struct Kept<K> {
    key: K,
    made: Timestamp,
    /// One-time: listed by the server no more. Others: another took its place.
    replaced: Option<Timestamp>,
    uploaded: bool,
}

#[derive(Debug)]
pub(crate) struct Prekeys {
    signed: BTreeMap<u32, Kept<SignedPrekey>>,
    one_time: BTreeMap<u32, Kept<OneTimePrekey>>,
    one_time_kyber: BTreeMap<u32, Kept<KyberPrekey>>,
    last_resort: BTreeMap<u32, Kept<KyberPrekey>>,
    uses: LastResortUses,
    /// How many one-time keys of each kind the server is to have.
    pool: usize,
    /// In memory: how many one-time keys of each kind the server had when it was last asked or given some.
    listed: Option<(usize, usize)>,
    /// In memory: which keys the upload that is being asked brings.
    uploading: Vec<(PrekeyKind, u32)>,
    /// In memory: that upload was refused because some of them were there before. What the server has is asked before anything else is uploaded.
    is_unsure: bool,
}

/// A batch holds so many prekeys (spec §15.4.2).
const BATCH: usize = 202;

impl Prekeys {
    pub(crate) const fn new(pool: usize) -> Self {
        Self {
            signed: BTreeMap::new(),
            one_time: BTreeMap::new(),
            one_time_kyber: BTreeMap::new(),
            last_resort: BTreeMap::new(),
            uses: LastResortUses::new(),
            pool,
            listed: None,
            uploading: Vec::new(),
            is_unsure: false,
        }
    }

    /// Makes the first keys.
    pub(crate) fn begin(&mut self, own: &Own, now: Timestamp, stage: &mut Stage, rng: &mut impl CryptoRng) {
        self.rotate(own, now, stage, rng);
        self.refill(own, (0, 0), now, stage, rng);
    }

    /// Replaces what is two days old, and deletes what was replaced thirty days ago (A7).
    pub(crate) fn rotate(&mut self, own: &Own, now: Timestamp, stage: &mut Stage, rng: &mut impl CryptoRng) {
        let current = self.signed.values().filter(|kept| kept.replaced.is_none()).map(|kept| kept.made).max();
        if current.is_none_or(|made| now.since(made) >= times::PREKEY_ROTATION) {
            replace(&mut self.signed, PrekeyKind::SignedX25519, now, stage);
            replace(&mut self.last_resort, PrekeyKind::LastResortKyber1024, now, stage);
            let id = unused(&self.signed, rng);
            let key = SignedPrekey::generate(SignedPrekeyId(id), &own.identity, rng);
            add(&mut self.signed, PrekeyKind::SignedX25519, id, key, now, stage);
            let id = unused(&self.last_resort, rng);
            let key = KyberPrekey::generate(KyberPrekeyId(id), &own.identity, rng);
            add(&mut self.last_resort, PrekeyKind::LastResortKyber1024, id, key, now, stage);
        }
        delete_old(&mut self.signed, PrekeyKind::SignedX25519, now, stage);
        delete_old(&mut self.one_time, PrekeyKind::OneTimeX25519, now, stage);
        delete_old(&mut self.one_time_kyber, PrekeyKind::OneTimeKyber1024, now, stage);
        for id in delete_old(&mut self.last_resort, PrekeyKind::LastResortKyber1024, now, stage) {
            let key = LastResortKey::Kyber(KyberPrekeyId(id));
            for gone in self.uses.iter().filter(|one| one.key() == key) {
                stage.delete(Table::LastResortUse, gone.to_bytes().to_vec());
            }
            self.uses.forget(key);
        }
    }

    /// When the current keys are to be replaced.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let current = self.signed.values().filter(|kept| kept.replaced.is_none()).map(|kept| kept.made).max();
        current.map(|made| made.saturating_add(times::PREKEY_ROTATION))
    }

    /// Makes as many one-time keys as the server lacks, which has so many of each kind.
    fn refill(
        &mut self,
        own: &Own,
        (listed, listed_kyber): (usize, usize),
        now: Timestamp,
        stage: &mut Stage,
        rng: &mut impl CryptoRng,
    ) {
        let waiting = self.one_time.values().filter(|kept| !kept.uploaded).count();
        for _ in listed.saturating_add(waiting)..self.pool {
            let id = unused(&self.one_time, rng);
            add(
                &mut self.one_time,
                PrekeyKind::OneTimeX25519,
                id,
                OneTimePrekey::generate(OneTimePrekeyId(id), rng),
                now,
                stage,
            );
        }
        let waiting = self.one_time_kyber.values().filter(|kept| !kept.uploaded).count();
        for _ in listed_kyber.saturating_add(waiting)..self.pool {
            let id = unused(&self.one_time_kyber, rng);
            let key = KyberPrekey::generate(KyberPrekeyId(id), &own.identity, rng);
            add(&mut self.one_time_kyber, PrekeyKind::OneTimeKyber1024, id, key, now, stage);
        }
    }

    /// What the server still lists: what it handed out begins to age, and what it lacks is made.
    pub(crate) fn compare(
        &mut self,
        ids: &PrekeyIds,
        own: &Own,
        now: Timestamp,
        stage: &mut Stage,
        rng: &mut impl CryptoRng,
    ) {
        age(&mut self.one_time, PrekeyKind::OneTimeX25519, ids.one_time(), now, stage);
        age(&mut self.one_time_kyber, PrekeyKind::OneTimeKyber1024, ids.one_time_kyber(), now, stage);
        let listed = (ids.one_time().len(), ids.one_time_kyber().len());
        self.listed = Some(listed);
        let state = ids.state();
        if core::mem::take(&mut self.is_unsure) {
            self.settle_refused(ids, now, stage);
            self.rotate(own, now, stage, rng);
        }
        self.refill(own, listed, now, stage, rng);
        // The server may have lost what it had: then the current ones are uploaded again.
        restore_missing(&mut self.signed, state.signed);
        restore_missing(&mut self.last_resort, state.last_resort);
    }

    /// The last upload was refused: an earlier one of some of its keys had come, and nobody heard of it (spec §20.9.2). What the server lists, it has;
    /// what it does not list may have been handed out, and is uploaded no more.
    fn settle_refused(&mut self, ids: &PrekeyIds, now: Timestamp, stage: &mut Stage) {
        let state = ids.state();
        for (kind, id) in core::mem::take(&mut self.uploading) {
            match kind {
                PrekeyKind::SignedX25519 => settle(&mut self.signed, kind, id, state.signed == Some(id), now, stage),
                PrekeyKind::LastResortKyber1024 => {
                    settle(&mut self.last_resort, kind, id, state.last_resort == Some(id), now, stage);
                }
                PrekeyKind::OneTimeX25519 => {
                    settle(&mut self.one_time, kind, id, ids.one_time().contains(&id), now, stage);
                }
                PrekeyKind::OneTimeKyber1024 => {
                    settle(&mut self.one_time_kyber, kind, id, ids.one_time_kyber().contains(&id), now, stage);
                }
            }
        }
        // The two are replaced together.
        if self.last_resort.values().all(|kept| kept.replaced.is_some()) {
            replace(&mut self.signed, PrekeyKind::SignedX25519, now, stage);
        }
    }

    /// The server refused the upload, since ids of it were there before, or since it would have too many.
    pub(crate) const fn refused(&mut self) {
        self.is_unsure = true;
    }

    /// Whether the server has to be asked what it has before anything is uploaded.
    pub(crate) const fn is_unsure(&self) -> bool {
        self.is_unsure
    }

    /// The next batch to upload, each prekey signed by the device; none if everything was.
    pub(crate) fn batch(&mut self, own: &Own) -> Option<Vec<Vec<u8>>> {
        let mut facts: Vec<PrekeyFacts> = Vec::new();
        facts.extend(self.signed.values().filter(|kept| is_new(kept)).map(|kept| PrekeyFacts {
            kind: PrekeyKind::SignedX25519,
            id: kept.key.id().0,
            key: kept.key.public_key().to_bytes().to_vec(),
            identity_signature: Some(WireSignature::from_bytes(*kept.key.signature().as_bytes())),
        }));
        let kyber = |kind, kept: &Kept<KyberPrekey>| PrekeyFacts {
            kind,
            id: kept.key.id().0,
            key: kept.key.public_key().to_bytes().to_vec(),
            identity_signature: Some(WireSignature::from_bytes(*kept.key.signature().as_bytes())),
        };
        let last = self.last_resort.values().filter(|kept| is_new(kept));
        facts.extend(last.map(|kept| kyber(PrekeyKind::LastResortKyber1024, kept)));
        facts.extend(self.one_time.values().filter(|kept| is_new(kept)).map(|kept| PrekeyFacts {
            kind: PrekeyKind::OneTimeX25519,
            id: kept.key.id().0,
            key: kept.key.public_key().to_bytes().to_vec(),
            identity_signature: None,
        }));
        let one_time = self.one_time_kyber.values().filter(|kept| is_new(kept));
        // Kyber keys are what fills a frame.
        facts.extend(
            one_time.take(BATCH.checked_div(2).unwrap_or(0)).map(|kept| kyber(PrekeyKind::OneTimeKyber1024, kept)),
        );
        facts.truncate(BATCH);
        if facts.is_empty() {
            return None;
        }
        self.uploading = facts.iter().map(|facts| (facts.kind, facts.id)).collect();
        let signed =
            facts.iter().map(|facts| own.signing.sign_prekey(own.signer(), facts).map(|prekey| prekey.encode()));
        signed.collect::<Result<_, _>>().ok()
    }

    /// Whether something waits to be uploaded.
    pub(crate) fn has_batch(&self) -> bool {
        self.signed.values().any(is_new)
            || self.last_resort.values().any(is_new)
            || self.one_time.values().any(is_new)
            || self.one_time_kyber.values().any(is_new)
    }

    /// Whether somebody can open a session with this device: the signed and the last-resort key were uploaded.
    pub(crate) fn are_ready(&self) -> bool {
        self.signed.values().any(|kept| kept.uploaded) && self.last_resort.values().any(|kept| kept.uploaded)
    }

    /// The server has the batch.
    pub(crate) fn uploaded(&mut self, stage: &mut Stage) {
        for (kind, id) in core::mem::take(&mut self.uploading) {
            match (kind, &mut self.listed) {
                (PrekeyKind::OneTimeX25519, Some((listed, _))) => *listed = listed.saturating_add(1),
                (PrekeyKind::OneTimeKyber1024, Some((_, listed))) => *listed = listed.saturating_add(1),
                _ => {}
            }
            match kind {
                PrekeyKind::SignedX25519 => mark(&mut self.signed, kind, id, stage),
                PrekeyKind::OneTimeX25519 => mark(&mut self.one_time, kind, id, stage),
                PrekeyKind::OneTimeKyber1024 => mark(&mut self.one_time_kyber, kind, id, stage),
                PrekeyKind::LastResortKyber1024 => mark(&mut self.last_resort, kind, id, stage),
            }
        }
    }

    /// How many there are.
    pub(crate) fn counts(&self) -> PrekeyCounts {
        // What was used here, the server handed out before.
        let (most, most_kyber) = (on_server(&self.one_time), on_server(&self.one_time_kyber));
        let (listed, listed_kyber) = self
            .listed
            .map_or((most, most_kyber), |(listed, listed_kyber)| (listed.min(most), listed_kyber.min(most_kyber)));
        PrekeyCounts {
            one_time: self.one_time.len(),
            one_time_kyber: self.one_time_kyber.len(),
            listed,
            listed_kyber,
            last_resort_in_use: self.are_ready() && listed_kyber == 0,
        }
    }

    /// The private halves that a first message names; none if one of them is gone or never was.
    pub(crate) fn of(&self, message: &PreKeySignalMessage) -> Option<PrivatePrekeys<'_>> {
        let signed = &self.signed.get(&message.signed_prekey_id().0)?.key;
        let one_time = match message.one_time_prekey_id() {
            None => None,
            Some(id) => Some(&self.one_time.get(&id.0)?.key),
        };
        let kyber = match message.kyber_prekey_id() {
            None => None,
            Some(id) => {
                let one_time = self.one_time_kyber.get(&id.0).map(|kept| KyberPrekeyRef::OneTime(&kept.key));
                let last = || self.last_resort.get(&id.0).map(|kept| KyberPrekeyRef::LastResort(&kept.key));
                Some(one_time.or_else(last)?)
            }
        };
        Some(PrivatePrekeys { signed, one_time, kyber, uses: &self.uses })
    }

    /// Deletes what a first message used up, and remembers what it may not use again (A5).
    pub(crate) fn consume(&mut self, consumed: Consumed, stage: &mut Stage) {
        if let Some(OneTimePrekeyId(id)) = consumed.one_time_prekey {
            self.one_time.remove(&id);
            stage.delete(Table::Prekey, key(PrekeyKind::OneTimeX25519, id));
        }
        if let Some(KyberPrekeyId(id)) = consumed.kyber_prekey {
            self.one_time_kyber.remove(&id);
            stage.delete(Table::Prekey, key(PrekeyKind::OneTimeKyber1024, id));
        }
        if let Some(used) = consumed.last_resort_use {
            self.uses.insert(used);
            stage.put(Table::LastResortUse, used.to_bytes().to_vec(), crate::store::SecretBytes::default());
        }
    }

    /// Every record, as if all had changed.
    #[cfg(feature = "conformance")]
    pub(crate) fn save_all(&self, stage: &mut Stage) {
        self.signed.iter().for_each(|(id, kept)| save(kept, PrekeyKind::SignedX25519, *id, stage));
        self.one_time.iter().for_each(|(id, kept)| save(kept, PrekeyKind::OneTimeX25519, *id, stage));
        self.one_time_kyber.iter().for_each(|(id, kept)| save(kept, PrekeyKind::OneTimeKyber1024, *id, stage));
        self.last_resort.iter().for_each(|(id, kept)| save(kept, PrekeyKind::LastResortKyber1024, *id, stage));
        for used in self.uses.iter() {
            stage.put(Table::LastResortUse, used.to_bytes().to_vec(), crate::store::SecretBytes::default());
        }
    }

    pub(crate) fn restore(&mut self, own: &Own, record: &Record) -> Option<()> {
        if record.table == Table::LastResortUse {
            self.uses.insert(LastResortUse::from_bytes(&record.key).ok()?);
            return Some(());
        }
        let (kind, id) = record.key.split_first()?;
        let id = u32::from_be_bytes(id.try_into().ok()?);
        let facts: PrekeyRecord = records::decode(&record.value)?;
        let signature = || Some(Signature::from_bytes(facts.signature.as_slice().try_into().ok()?));
        let kyber = || KyberPrekey::restore(KyberPrekeyId(id), &facts.private, signature()?, &own.identity).ok();
        match u32::from(*kind) {
            1 => {
                let private = own::seed(&facts.private)?;
                let key = SignedPrekey::restore(SignedPrekeyId(id), &private, signature()?, &own.identity).ok()?;
                self.signed.insert(id, kept(key, &facts));
            }
            2 => {
                let key = OneTimePrekey::restore(OneTimePrekeyId(id), &*own::seed(&facts.private)?);
                self.one_time.insert(id, kept(key, &facts));
            }
            3 => {
                self.one_time_kyber.insert(id, kept(kyber()?, &facts));
            }
            4 => {
                self.last_resort.insert(id, kept(kyber()?, &facts));
            }
            _ => return None,
        }
        Some(())
    }
}

/// A private prekey as it is stored.
trait Stored {
    fn record(&self) -> PrekeyRecord;
}

impl Stored for SignedPrekey {
    fn record(&self) -> PrekeyRecord {
        stored(self.private_key().to_vec(), Some(self.signature()))
    }
}

impl Stored for OneTimePrekey {
    fn record(&self) -> PrekeyRecord {
        stored(self.private_key().to_vec(), None)
    }
}

impl Stored for KyberPrekey {
    fn record(&self) -> PrekeyRecord {
        let secret: &KyberSecretKey = self.secret_key();
        stored(secret.to_bytes().to_vec(), Some(self.signature()))
    }
}

fn stored(private: Vec<u8>, signature: Option<&Signature>) -> PrekeyRecord {
    let signature = signature.map(|signature| signature.as_bytes().to_vec()).unwrap_or_default();
    PrekeyRecord { private, signature, made: 0, replaced: 0, uploaded: false }
}

fn kept<K>(key: K, facts: &PrekeyRecord) -> Kept<K> {
    Kept {
        key,
        made: Timestamp(facts.made),
        replaced: (facts.replaced != 0).then_some(Timestamp(facts.replaced)),
        uploaded: facts.uploaded,
    }
}

fn save<K: Stored>(kept: &Kept<K>, kind: PrekeyKind, id: u32, stage: &mut Stage) {
    let mut record = kept.key.record();
    record.made = kept.made.0;
    record.replaced = kept.replaced.map_or(0, |at| at.0);
    record.uploaded = kept.uploaded;
    stage.put_message(Table::Prekey, key(kind, id), &record);
}

fn add<K: Stored>(
    all: &mut BTreeMap<u32, Kept<K>>,
    kind: PrekeyKind,
    id: u32,
    key: K,
    made: Timestamp,
    stage: &mut Stage,
) {
    let kept = Kept { key, made, replaced: None, uploaded: false };
    save(&kept, kind, id, stage);
    all.insert(id, kept);
}

/// Those that count no more begin to age.
fn replace<K: Stored>(all: &mut BTreeMap<u32, Kept<K>>, kind: PrekeyKind, now: Timestamp, stage: &mut Stage) {
    for (id, kept) in all.iter_mut().filter(|(_, kept)| kept.replaced.is_none()) {
        kept.replaced = Some(now);
        save(kept, kind, *id, stage);
    }
}

/// One-time keys that were uploaded and that the server lists no more begin to age.
fn age<K: Stored>(
    all: &mut BTreeMap<u32, Kept<K>>,
    kind: PrekeyKind,
    listed: &[u32],
    now: Timestamp,
    stage: &mut Stage,
) {
    let handed_out =
        all.iter_mut().filter(|(id, kept)| kept.uploaded && kept.replaced.is_none() && !listed.contains(id));
    for (id, kept) in handed_out {
        kept.replaced = Some(now);
        save(kept, kind, *id, stage);
    }
}

fn delete_old<K>(all: &mut BTreeMap<u32, Kept<K>>, kind: PrekeyKind, now: Timestamp, stage: &mut Stage) -> Vec<u32> {
    let is_old = |kept: &Kept<K>| kept.replaced.is_some_and(|at| now.since(at) >= times::PREKEY_RETENTION);
    let old: Vec<u32> = all.iter().filter(|(_, kept)| is_old(kept)).map(|(id, _)| *id).collect();
    for id in &old {
        all.remove(id);
        stage.delete(Table::Prekey, key(kind, *id));
    }
    old
}

fn on_server<K>(all: &BTreeMap<u32, Kept<K>>) -> usize {
    all.values().filter(|kept| kept.uploaded && kept.replaced.is_none()).count()
}

fn restore_missing<K>(all: &mut BTreeMap<u32, Kept<K>>, listed: Option<u32>) {
    for (id, kept) in all.iter_mut().filter(|(_, kept)| kept.replaced.is_none()) {
        kept.uploaded &= listed == Some(*id);
    }
}

fn mark<K: Stored>(all: &mut BTreeMap<u32, Kept<K>>, kind: PrekeyKind, id: u32, stage: &mut Stage) {
    if let Some(kept) = all.get_mut(&id) {
        kept.uploaded = true;
        save(kept, kind, id, stage);
    }
}

/// A key that was in a refused upload: the server lists it, or it begins to age.
fn settle<K: Stored>(
    all: &mut BTreeMap<u32, Kept<K>>,
    kind: PrekeyKind,
    id: u32,
    is_listed: bool,
    now: Timestamp,
    stage: &mut Stage,
) {
    if let Some(kept) = all.get_mut(&id) {
        kept.uploaded = true;
        if !is_listed {
            kept.replaced.get_or_insert(now);
        }
        save(kept, kind, id, stage);
    }
}

fn is_new<K>(kept: &Kept<K>) -> bool {
    !kept.uploaded && kept.replaced.is_none()
}

/// A random id from 1 that no key has.
fn unused<K>(all: &BTreeMap<u32, Kept<K>>, rng: &mut impl CryptoRng) -> u32 {
    loop {
        let id = rng.next_u32();
        if id != 0 && !all.contains_key(&id) {
            return id;
        }
    }
}

fn key(kind: PrekeyKind, id: u32) -> Vec<u8> {
    let kind = u8::try_from(kind.number()).unwrap_or(0);
    core::iter::once(kind).chain(id.to_be_bytes()).collect()
}
