//! The store in plain Rust: what tests and the fuzzer run on, and the other side of the conformance suite.
//!
//! Invariants: one lock around everything, so that a method is a transaction; nothing outlives the process.
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use waxwing_wire::{
    id::{AccountId, DeviceId, Generation, Sequence},
    keys::ServerPublicKey,
    keyserver::{AccountObjects, Bundle, Bundles, PrekeyIds, PrekeyState},
    listing::Listing,
    manifest::{ContentHash, Manifest},
    name::{Name, Skeleton},
    prekey::PrekeyKind,
    reach::ReachRecord,
    signer::Signer,
    time::Timestamp,
};

use super::{
    Batch, BundlesError, Change, ChangeKind, ClaimError, CreateError, DeviceError, Finding, Invitation,
    InvitationState, InviteId, ListingError, MAX_CONTENTS, MAX_REACH_KEYS, NewAccount, NewInvitation, NewManifest,
    NewName, NumberError, OperatorError, OwnError, PublishError, REST, Stats, Store, StoredAccount, StoredHistory,
    StoredManifest, Take, Unavailable, UploadError,
    check::{self, IdSpace},
};

/// A store that lives as long as its value.
#[derive(Debug)]
pub struct MemoryStore {
    secret: [u8; 32],
    state: Mutex<State>,
}

impl MemoryStore {
    /// An empty one, with the secret that its processes would share.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        Self { secret, state: Mutex::default() }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        // Nothing below panics between two writes, so that a poisoned lock still guards a whole state.
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Debug, Default)]
struct State {
    accounts: HashMap<AccountId, Account>,
    names: HashMap<Skeleton, Held>,
    changes: Vec<Change>,
    /// Where an invitation's hash stands in `invitations`.
    by_hash: HashMap<[u8; 32], usize>,
    invitations: Vec<Invitation>,
}

#[derive(Debug)]
struct Account {
    version: u64,
    recovery_key: [u8; 32],
    current: Manifest,
    statements: BTreeMap<Generation, Vec<u8>>,
    contents: BTreeMap<(Generation, Sequence), (ContentHash, Vec<u8>)>,
    devices: BTreeMap<DeviceId, Device>,
}

#[derive(Debug, Default)]
struct Device {
    signed: Option<(u32, Vec<u8>)>,
    last_resort: Option<(u32, Vec<u8>)>,
    one_time: VecDeque<(u32, Vec<u8>)>,
    one_time_kyber: VecDeque<(u32, Vec<u8>)>,
    used: BTreeSet<(IdSpace, u32)>,
    last_batch: Option<[u8; 32]>,
    /// In the order they were written: reach key, number, record.
    reach: Vec<(u32, u32, Vec<u8>)>,
}

/// A name that somebody has, or had.
#[derive(Debug)]
struct Held {
    name: Name,
    account: AccountId,
    /// Released: until when it belongs to nobody else.
    rests_until: Option<Timestamp>,
    listing: Option<(Signer, Vec<u8>)>,
    /// Of the newest listing ever shown here for the account.
    newest_listing: Option<(Generation, u32)>,
}

impl Held {
    fn is_over(&self, now: Timestamp) -> bool {
        self.rests_until.is_some_and(|until| until <= now)
    }
}

impl State {
    fn log(&mut self, account: AccountId, kind: ChangeKind, now: Timestamp) {
        let number = u64::try_from(self.changes.len()).unwrap_or(u64::MAX).saturating_add(1);
        let at = self.changes.last().map_or(now, |last| last.at.max(now));
        self.changes.push(Change { number, account, kind, at });
    }

    fn device(&mut self, device: Signer) -> Option<&mut Device> {
        let account = self.accounts.get_mut(&device.account)?;
        let lists = account.current.content().generation() == device.generation;
        if lists { account.devices.get_mut(&device.device) } else { None }
    }

    fn is_open(&self, invite: Option<[u8; 32]>) -> bool {
        invite.is_none_or(|hash| {
            let invitation = self.by_hash.get(&hash).and_then(|at| self.invitations.get(*at));
            invitation.is_some_and(|invitation| invitation.state == InvitationState::Open)
        })
    }

    fn spend(&mut self, invite: Option<[u8; 32]>) {
        let at = invite.and_then(|hash| self.by_hash.get(&hash));
        if let Some(invitation) = at.and_then(|at| self.invitations.get_mut(*at)) {
            invitation.state = InvitationState::Spent;
        }
    }

    fn create(&mut self, account: NewAccount, now: Timestamp) -> Result<(), CreateError> {
        let NewAccount { recovery_key, statement, manifest, invite } = account;
        let id = recovery_key.account_id();
        if let Some(known) = self.accounts.get(&id) {
            return if known.current == manifest { Ok(()) } else { Err(CreateError::Taken) };
        }
        if !self.is_open(invite) {
            return Err(CreateError::Invite);
        }
        self.spend(invite);
        let mut account = Account {
            version: 0,
            recovery_key: *recovery_key.as_bytes(),
            statements: BTreeMap::from([(statement.generation(), statement.encode())]),
            contents: BTreeMap::new(),
            devices: BTreeMap::new(),
            current: manifest.clone(),
        };
        account.take(&manifest);
        self.accounts.insert(id, account);
        self.log(id, content_change(&manifest), now);
        Ok(())
    }

    fn publish(&mut self, step: NewManifest, now: Timestamp) -> Result<(), PublishError> {
        let NewManifest { version, statement, manifest } = step;
        let id = manifest.content().account_id();
        let account = self.accounts.get_mut(&id).filter(|account| account.version == version);
        let account = account.ok_or(PublishError::Conflict)?;
        let is_renewal = account.current.content_hash() == manifest.content_hash();
        if let Some(statement) = statement {
            account.statements.insert(statement.generation(), statement.encode());
        }
        account.take(&manifest);
        if is_renewal {
            return Ok(());
        }
        self.log(id, content_change(&manifest), now);
        let gone = manifest.content().is_final();
        let mut released = Vec::new();
        for held in self.names.values_mut().filter(|held| held.account == id) {
            held.listing.take_if(|(signer, _)| !check::lists(&manifest, *signer));
            if gone && held.rests_until.is_none() {
                held.rests_until = Some(now.saturating_add(REST));
                released.push(held.name);
            }
        }
        released.sort_unstable();
        released.into_iter().for_each(|name| self.log(id, ChangeKind::NameReleased(name), now));
        Ok(())
    }

    fn claim(&mut self, claim: &NewName, now: Timestamp) -> Result<(), ClaimError> {
        let NewName { name, account, most, invite } = *claim;
        let known = self.accounts.get(&account).filter(|known| !known.current.content().is_final());
        known.ok_or(ClaimError::NoAccount)?;
        let skeleton = name.skeleton();
        let held = self.names.get(&skeleton).filter(|held| !held.is_over(now));
        let was_its_own = match held {
            Some(held) if held.account != account || held.name != name => return Err(ClaimError::Taken),
            Some(held) if held.rests_until.is_none() => return Ok(()),
            held => held.is_some(),
        };
        let holds = self.names.values().filter(|held| held.account == account && !held.is_over(now)).count();
        if !was_its_own && u32::try_from(holds).unwrap_or(u32::MAX) >= most {
            return Err(ClaimError::Quota);
        }
        if !self.is_open(invite) {
            return Err(ClaimError::Invite);
        }
        self.spend(invite);
        let newest_listing = self.names.remove(&skeleton).filter(|_| was_its_own).and_then(|held| held.newest_listing);
        let held = Held { name, account, rests_until: None, listing: None, newest_listing };
        self.names.insert(skeleton, held);
        self.log(account, ChangeKind::NameClaimed(name), now);
        Ok(())
    }

    fn own(&mut self, by: Signer, name: &Name) -> Result<&mut Held, OwnError> {
        self.device(by).ok_or(OwnError::NotListed)?;
        let held = self.names.get_mut(&name.skeleton()).filter(|held| held.name == *name);
        held.filter(|held| held.account == by.account && held.rests_until.is_none()).ok_or(OwnError::NotYours)
    }

    fn upload(&mut self, batch: Batch) -> Result<PrekeyState, UploadError> {
        let device = self.device(batch.device).ok_or(UploadError::NotListed)?;
        if batch.prekeys.is_empty() || device.last_batch == Some(batch.hash) {
            return Ok(device.ids()?.state());
        }
        let ids = check::ids(&batch.prekeys).ok_or(UploadError::IdUsed)?;
        if !device.used.is_disjoint(&ids) {
            return Err(UploadError::IdUsed);
        }
        let most = usize::try_from(batch.most).unwrap_or(usize::MAX).min(PrekeyIds::MOST);
        let fits = |have: usize, kind| {
            let added = batch.prekeys.iter().filter(|prekey| prekey.facts().kind == kind).count();
            added == 0 || have.saturating_add(added) <= most
        };
        if !fits(device.one_time.len(), PrekeyKind::OneTimeX25519)
            || !fits(device.one_time_kyber.len(), PrekeyKind::OneTimeKyber1024)
        {
            return Err(UploadError::TooMany);
        }
        device.used.extend(ids);
        for prekey in batch.prekeys {
            let entry = (prekey.facts().id, prekey.encode());
            match prekey.facts().kind {
                PrekeyKind::SignedX25519 => device.signed = Some(entry),
                PrekeyKind::LastResortKyber1024 => device.last_resort = Some(entry),
                PrekeyKind::OneTimeX25519 => device.one_time.push_back(entry),
                PrekeyKind::OneTimeKyber1024 => device.one_time_kyber.push_back(entry),
            }
        }
        device.last_batch = Some(batch.hash);
        Ok(device.ids()?.state())
    }

    fn bundles(&mut self, account: &AccountId, devices: &[DeviceId], take: Take) -> Result<Bundles, BundlesError> {
        let account = self.accounts.get_mut(account).ok_or(BundlesError::NoAccount)?;
        if account.current.content().is_final() {
            return Err(BundlesError::Deleted);
        }
        if devices.iter().any(|device| !account.devices.contains_key(device)) {
            return Err(BundlesError::NoPrekeys);
        }
        let objects = account.objects();
        let asked = account.devices.iter_mut().filter(|(id, _)| devices.is_empty() || devices.contains(id));
        let bundles: Vec<_> = asked.filter_map(|(id, device)| device.bundle(*id, take)).collect();
        if bundles.is_empty() { Err(BundlesError::NoPrekeys) } else { Ok(Bundles { account: objects, bundles }) }
    }
}

impl Account {
    fn objects(&self) -> AccountObjects {
        let generation = self.current.content().generation();
        AccountObjects {
            recovery_key: self.recovery_key,
            statement: self.statements.get(&generation).cloned().unwrap_or_default(),
            manifest: self.current.encode(),
        }
    }

    /// Makes a manifest current, with the devices that it lists.
    fn take(&mut self, manifest: &Manifest) {
        let content = manifest.content();
        self.version = self.version.saturating_add(1);
        if content.generation() != self.current.content().generation() {
            self.devices.clear();
        }
        let listed: BTreeSet<_> = content.devices().iter().map(waxwing_wire::manifest::Device::id).collect();
        self.devices.retain(|device, _| listed.contains(device));
        listed.into_iter().for_each(|device| {
            self.devices.entry(device).or_default();
        });
        let place = (content.generation(), content.sequence());
        self.contents.insert(place, (manifest.content_hash(), manifest.encode()));
        while self.contents.len() > usize::try_from(MAX_CONTENTS).unwrap_or(usize::MAX) {
            self.contents.pop_first();
        }
        let oldest = self.contents.keys().next().map_or(content.generation(), |place| place.0);
        self.statements.retain(|generation, _| *generation >= oldest);
        self.current = manifest.clone();
    }
}

impl Device {
    fn ids(&self) -> Result<PrekeyIds, Unavailable> {
        let id = |prekey: &Option<(u32, Vec<u8>)>| prekey.as_ref().map(|(id, _)| *id);
        let ids = |prekeys: &VecDeque<(u32, Vec<u8>)>| prekeys.iter().map(|(id, _)| *id).collect();
        check::prekey_ids(id(&self.signed), id(&self.last_resort), ids(&self.one_time), ids(&self.one_time_kyber))
    }

    fn bundle(&mut self, device: DeviceId, take: Take) -> Option<Bundle> {
        let (_, signed) = self.signed.clone()?;
        let last = self.last_resort.clone().map(|(_, bytes)| bytes);
        let kyber = if take == Take::OneTime { self.one_time_kyber.pop_front() } else { None };
        let last_resort = kyber.is_none();
        let kyber = kyber.map(|(_, bytes)| bytes).or(last)?;
        let one_time = if take == Take::OneTime { self.one_time.pop_front() } else { None };
        Some(Bundle { device, signed, one_time: one_time.map(|(_, bytes)| bytes), kyber, last_resort })
    }
}

fn content_change(manifest: &Manifest) -> ChangeKind {
    let reference = manifest.reference();
    ChangeKind::Content { generation: reference.generation, sequence: reference.sequence, content: reference.content }
}

impl Store for MemoryStore {
    async fn create_account(&self, account: NewAccount, now: Timestamp) -> Result<(), CreateError> {
        self.with(|state| state.create(account, now))
    }

    async fn account(&self, account: &AccountId) -> Result<Option<StoredAccount>, Unavailable> {
        Ok(self.with(|state| {
            let account = state.accounts.get(account)?;
            Some(StoredAccount { version: account.version, objects: account.objects() })
        }))
    }

    async fn publish(&self, step: NewManifest, now: Timestamp) -> Result<(), PublishError> {
        self.with(|state| state.publish(step, now))
    }

    async fn history(
        &self,
        account: &AccountId,
        from: (Generation, Sequence),
        most: u32,
    ) -> Result<Option<StoredHistory>, Unavailable> {
        Ok(self.with(|state| {
            let account = state.accounts.get(account)?;
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let contents = account.contents.range(from..).take(most);
            let manifests: Vec<_> = contents
                .map(|((generation, sequence), (content, bytes))| StoredManifest {
                    generation: *generation,
                    sequence: *sequence,
                    content: *content,
                    bytes: bytes.clone(),
                })
                .collect();
            let shows = |generation| manifests.iter().any(|manifest| manifest.generation == generation);
            let statements = account.statements.iter().filter(|(generation, _)| shows(**generation));
            let statements = statements.map(|(generation, bytes)| (*generation, bytes.clone())).collect();
            Some(StoredHistory { statements, manifests })
        }))
    }

    async fn store_reach(&self, record: &ReachRecord) -> Result<(), NumberError> {
        self.with(|state| {
            let device = state.device(record.signer()).ok_or(NumberError::NotListed)?;
            let known = device.reach.iter().position(|(reach_key, _, _)| *reach_key == record.reach_key());
            if let Some(known) = known {
                if device.reach.get(known).is_some_and(|(_, number, _)| *number >= record.number()) {
                    return Err(NumberError::Stale);
                }
                device.reach.remove(known);
            }
            device.reach.push((record.reach_key(), record.number(), record.encode()));
            if device.reach.len() > MAX_REACH_KEYS {
                device.reach.remove(0);
            }
            Ok(())
        })
    }

    async fn reach(&self, account: &AccountId) -> Result<Option<Vec<Vec<u8>>>, Unavailable> {
        Ok(self.with(|state| {
            let devices = state.accounts.get(account)?.devices.values();
            Some(devices.flat_map(|device| device.reach.iter().map(|(_, _, record)| record.clone())).collect())
        }))
    }

    async fn claim_name(&self, claim: NewName, now: Timestamp) -> Result<(), ClaimError> {
        self.with(|state| state.claim(&claim, now))
    }

    async fn release_name(&self, by: Signer, name: &Name, now: Timestamp) -> Result<(), OwnError> {
        self.with(|state| {
            let held = state.own(by, name)?;
            held.rests_until = Some(now.saturating_add(REST));
            held.listing = None;
            state.log(by.account, ChangeKind::NameReleased(*name), now);
            Ok(())
        })
    }

    async fn set_listing(&self, listing: &Listing) -> Result<(), ListingError> {
        self.with(|state| {
            let held = state.own(listing.signer(), listing.name()).map_err(check::listing_error)?;
            let place = Some((listing.signer().generation, listing.number()));
            if held.newest_listing >= place {
                return Err(ListingError::Stale);
            }
            held.newest_listing = place;
            held.listing = Some((listing.signer(), listing.encode()));
            Ok(())
        })
    }

    async fn unlist(&self, by: Signer, name: &Name) -> Result<(), OwnError> {
        self.with(|state| {
            state.own(by, name)?.listing = None;
            Ok(())
        })
    }

    async fn lookup(&self, name: &Name) -> Result<Option<Vec<u8>>, Unavailable> {
        Ok(self.with(|state| {
            let held = state.names.get(&name.skeleton()).filter(|held| held.name == *name)?;
            held.listing.as_ref().map(|(_, listing)| listing.clone())
        }))
    }

    async fn expire(&self, now: Timestamp) -> Result<(), Unavailable> {
        self.with(|state| state.names.retain(|_, held| !held.is_over(now)));
        Ok(())
    }

    async fn upload(&self, batch: Batch) -> Result<PrekeyState, UploadError> {
        self.with(|state| state.upload(batch))
    }

    async fn prekey_ids(&self, device: Signer) -> Result<PrekeyIds, DeviceError> {
        self.with(|state| Ok(state.device(device).ok_or(DeviceError::NotListed)?.ids()?))
    }

    async fn bundles(&self, account: &AccountId, devices: &[DeviceId], take: Take) -> Result<Bundles, BundlesError> {
        self.with(|state| state.bundles(account, devices, take))
    }

    async fn changes(&self, after: u64, most: u32) -> Result<Vec<Change>, Unavailable> {
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Ok(self.with(|state| state.changes.iter().skip(after).take(most).cloned().collect()))
    }

    async fn secret(&self) -> Result<[u8; 32], Unavailable> {
        Ok(self.secret)
    }

    async fn mint(
        &self,
        invitations: &[NewInvitation],
        below: Option<InviteId>,
        now: Timestamp,
    ) -> Result<Vec<InviteId>, OperatorError> {
        self.with(|state| {
            if let Some(parent) = below {
                let parent = state.invitations.iter().find(|invitation| invitation.id == parent);
                if parent.ok_or(OperatorError::NoInvitation)?.state == InvitationState::Revoked {
                    return Err(OperatorError::Revoked);
                }
            }
            let mut ids = Vec::with_capacity(invitations.len());
            for NewInvitation { hash } in invitations {
                let at = state.invitations.len();
                let id = InviteId(u64::try_from(at).unwrap_or(u64::MAX).saturating_add(1));
                state.by_hash.insert(*hash, at);
                state.invitations.push(Invitation { id, below, minted: now, state: InvitationState::Open });
                ids.push(id);
            }
            Ok(ids)
        })
    }

    async fn revoke(&self, invitation: InviteId) -> Result<u64, OperatorError> {
        self.with(|state| {
            if !state.invitations.iter().any(|known| known.id == invitation) {
                return Err(OperatorError::NoInvitation);
            }
            let (mut below, mut ended) = (BTreeSet::from([invitation]), 0_u64);
            // A parent always has the lower number.
            for known in &mut state.invitations {
                if known.id != invitation && known.below.is_none_or(|parent| !below.contains(&parent)) {
                    continue;
                }
                below.insert(known.id);
                if known.state == InvitationState::Open {
                    known.state = InvitationState::Revoked;
                    ended = ended.saturating_add(1);
                }
            }
            Ok(ended)
        })
    }

    async fn invitations(&self, after: InviteId, most: u32) -> Result<Vec<Invitation>, Unavailable> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Ok(self.with(|state| state.invitations.iter().filter(|known| known.id > after).take(most).copied().collect()))
    }

    async fn stats(&self, now: Timestamp) -> Result<Stats, Unavailable> {
        let count = |many: usize| u64::try_from(many).unwrap_or(u64::MAX);
        Ok(self.with(|state| {
            let deleted = state.accounts.values().filter(|account| account.current.content().is_final()).count();
            let devices = || state.accounts.values().flat_map(|account| account.devices.values());
            let names = state.names.values().filter(|held| held.rests_until.is_none()).count();
            let resting = state.names.values().filter(|held| held.rests_until.is_some() && !held.is_over(now)).count();
            let keys = devices().map(|device| device.one_time.len().saturating_add(device.one_time_kyber.len()));
            let open = state.invitations.iter().filter(|known| known.state == InvitationState::Open).count();
            Stats {
                accounts: count(state.accounts.len().saturating_sub(deleted)),
                deleted: count(deleted),
                devices: count(devices().count()),
                names: count(names),
                resting: count(resting),
                one_time_keys: keys.fold(0, |sum, keys| sum.saturating_add(count(keys))),
                open_invitations: count(open),
                changes: count(state.changes.len()),
            }
        }))
    }

    async fn verify(&self, _: &ServerPublicKey) -> Result<Vec<Finding>, Unavailable> {
        // What is held here was verified when it came, and nothing else can write to it.
        Ok(Vec::new())
    }
}
