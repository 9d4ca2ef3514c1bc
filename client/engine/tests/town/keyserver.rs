//! A key server that keeps what it is given.
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use waxwing_wire::{
    frame::{Admission, ErrorCode, Price, ServerError},
    id::{AccountId, DeviceId},
    keyserver::{
        AccountObjects, Bound, Bundle, Bundles, DeviceRequest, FetchBundles, Info, KeyserverReply, KeyserverRequest,
        LookedUp, PrekeyIds, PublishManifest, Reach,
    },
    listing::ListingIn,
    name::Name,
    prekey::{PrekeyIn, PrekeyKind},
    request::{BoundRequestIn, Exporter},
    time::Timestamp,
};

pub struct Keyserver {
    /// Who has a name, and what is shown under it.
    pub names: BTreeMap<Name, (AccountId, Option<Vec<u8>>)>,
    /// What it says to the next requests about names instead of doing them.
    pub refusals: VecDeque<ErrorCode>,
    /// By what right names were asked for.
    pub admissions: Vec<Admission>,
    /// The listings that came, also those that were refused.
    pub listings: Vec<ListingIn>,
    /// How it admits names to whom it does not give them for nothing.
    pub price: Price,
    accounts: BTreeMap<AccountId, AccountObjects>,
    reach: BTreeMap<(AccountId, DeviceId), Vec<u8>>,
    prekeys: BTreeMap<(AccountId, DeviceId), Prekeys>,
    /// The device had signed what was refused: it counts.
    refused_inside: bool,
}

/// Encoded prekeys by their ids.
#[derive(Default)]
struct Prekeys {
    signed: Option<(u32, Vec<u8>)>,
    last_resort: Option<(u32, Vec<u8>)>,
    one_time: BTreeMap<u32, Vec<u8>>,
    kyber: BTreeMap<u32, Vec<u8>>,
    /// Ids that were there once.
    used: BTreeSet<(PrekeyKind, u32)>,
    /// What was uploaded last, which may come again.
    last: Vec<Vec<u8>>,
}

impl Keyserver {
    pub(super) const fn new(price: Price) -> Self {
        Self {
            names: BTreeMap::new(),
            refusals: VecDeque::new(),
            admissions: Vec::new(),
            listings: Vec::new(),
            price,
            accounts: BTreeMap::new(),
            reach: BTreeMap::new(),
            prekeys: BTreeMap::new(),
            refused_inside: false,
        }
    }

    /// It has these from now on.
    pub fn replace(&mut self, account: AccountId, objects: AccountObjects) {
        self.accounts.insert(account, objects);
    }

    pub(super) fn objects_of(&self, account: &AccountId) -> AccountObjects {
        self.accounts[account].clone()
    }

    /// The answer, and whether it was a bound request that was accepted.
    pub(super) fn answer(
        &mut self,
        request: KeyserverRequest,
        number: u32,
        now: Timestamp,
    ) -> (Result<KeyserverReply, ServerError>, bool) {
        let is_bound = matches!(request, KeyserverRequest::Bound(_));
        let answer = self.take(request, number, now);
        let accepted = is_bound && (answer.is_ok() || core::mem::take(&mut self.refused_inside));
        (answer, accepted)
    }

    fn take(&mut self, request: KeyserverRequest, number: u32, now: Timestamp) -> Result<KeyserverReply, ServerError> {
        match request {
            KeyserverRequest::Info => {
                Ok(KeyserverReply::Info(Info { time: now, price: self.price, one_time_prekeys: 200, moved: None }))
            }
            KeyserverRequest::CreateAccount(create) => {
                let objects = AccountObjects {
                    recovery_key: create.recovery_key,
                    statement: create.statement,
                    manifest: create.manifest,
                };
                let key = waxwing_wire::keys::RecoveryPublicKey::from_bytes(&objects.recovery_key).expect("a key");
                self.accounts.insert(key.account_id(), objects);
                Ok(KeyserverReply::Done)
            }
            KeyserverRequest::PublishManifest(publish) => self.publish(&publish, now),
            KeyserverRequest::FetchAccount(fetch) => {
                let objects = self.accounts.get(&fetch.account).cloned();
                objects.map(KeyserverReply::Account).ok_or(ErrorCode::NoSuchAccount.into())
            }
            KeyserverRequest::FetchReach(fetch) => {
                let of = self.reach.iter().filter(|((account, _), _)| *account == fetch.account);
                Ok(KeyserverReply::Reach(Reach { records: of.map(|(_, record)| record.clone()).collect() }))
            }
            KeyserverRequest::Lookup(lookup) => {
                let listing = self.names.get(&lookup.name).and_then(|(_, listing)| listing.clone());
                Ok(KeyserverReply::LookedUp(LookedUp { listing }))
            }
            KeyserverRequest::FetchBundles(fetch) => self.bundles(&fetch),
            KeyserverRequest::Bound(bound) => self.bound(bound, number, now),
            _ => Err(ErrorCode::Unexpected.into()),
        }
    }

    /// Whatever verifies takes the place of what was there; devices that are gone take what was theirs with them.
    fn publish(&mut self, publish: &PublishManifest, now: Timestamp) -> Result<KeyserverReply, ServerError> {
        for (account, objects) in &mut self.accounts {
            let mut changed = objects.clone();
            if let Some(statement) = &publish.statement {
                changed.statement.clone_from(statement);
            }
            changed.manifest.clone_from(&publish.manifest);
            let Ok(verified) = changed.verify(account, now) else { continue };
            *objects = changed;
            let listed = |(of, device): &(AccountId, DeviceId)| {
                of != account || publish.statement.is_none() && verified.manifest.device(*device).is_some()
            };
            self.reach.retain(|key, _| listed(key));
            self.prekeys.retain(|key, _| listed(key));
            return Ok(KeyserverReply::Done);
        }
        Err(ErrorCode::Refused.into())
    }

    fn bundles(&mut self, fetch: &FetchBundles) -> Result<KeyserverReply, ServerError> {
        let account = self.accounts.get(&fetch.account()).ok_or(ErrorCode::Refused)?.clone();
        let mut bundles = Vec::new();
        for ((of, device), prekeys) in &mut self.prekeys {
            if *of != fetch.account() || !fetch.devices().is_empty() && !fetch.devices().contains(device) {
                continue;
            }
            let one_time_kyber = prekeys.kyber.pop_first().map(|(_, key)| key);
            bundles.push(Bundle {
                device: *device,
                signed: prekeys.signed.as_ref().expect("it was uploaded").1.clone(),
                one_time: prekeys.one_time.pop_first().map(|(_, key)| key),
                last_resort: one_time_kyber.is_none(),
                kyber: one_time_kyber.unwrap_or(prekeys.last_resort.as_ref().expect("it was uploaded").1.clone()),
            });
        }
        Ok(KeyserverReply::Bundles(Bundles { account, bundles }))
    }

    fn bound(&mut self, bound: Bound, number: u32, now: Timestamp) -> Result<KeyserverReply, ServerError> {
        let request = BoundRequestIn::decode(&bound.request).map_err(|_| ErrorCode::Unexpected)?;
        let signer = request.signer();
        let objects = self.accounts.get(&signer.account).ok_or(ErrorCode::Refused)?;
        let verified = objects.verify(&signer.account, now).map_err(|_| ErrorCode::Unexpected)?;
        let exporter = Exporter::from_bytes([9; 32]);
        let request = request.verify(&verified.manifest, &exporter, number).map_err(|_| ErrorCode::Refused)?;
        let key = (signer.account, signer.device);
        let request = DeviceRequest::decode(request.request()).map_err(|_| ErrorCode::Unexpected)?;
        let prekeys = self.prekeys.entry(key).or_default();
        match request {
            DeviceRequest::ClaimName(_)
            | DeviceRequest::ReleaseName(_)
            | DeviceRequest::SetListing(_)
            | DeviceRequest::Unlist(_) => {
                let done = self.about_name(signer.account, request);
                self.refused_inside = done.is_err();
                done.map(|()| KeyserverReply::Done).map_err(ServerError::from)
            }
            DeviceRequest::StoreReach(reach) => {
                self.reach.insert(key, reach.record);
                Ok(KeyserverReply::Done)
            }
            DeviceRequest::UploadPrekeys(_) => {
                if bound.prekeys == prekeys.last {
                    return Ok(KeyserverReply::PrekeyState(prekeys.ids().state()));
                }
                let mut verify = |bytes: &Vec<u8>| {
                    let prekey = PrekeyIn::decode(bytes).and_then(|prekey| prekey.verify(&verified.manifest));
                    prekey.map_err(|_| ErrorCode::Unexpected)
                };
                let uploaded = bound.prekeys.iter().map(&mut verify).collect::<Result<Vec<_>, _>>()?;
                if uploaded.iter().any(|one| prekeys.used.contains(&(one.facts().kind, one.facts().id))) {
                    return Err(ErrorCode::PrekeyIdUsed.into());
                }
                prekeys.last.clone_from(&bound.prekeys);
                for (prekey, bytes) in uploaded.into_iter().zip(bound.prekeys) {
                    let id = prekey.facts().id;
                    prekeys.used.insert((prekey.facts().kind, id));
                    match prekey.facts().kind {
                        PrekeyKind::SignedX25519 => prekeys.signed = Some((id, bytes)),
                        PrekeyKind::LastResortKyber1024 => prekeys.last_resort = Some((id, bytes)),
                        PrekeyKind::OneTimeX25519 => drop(prekeys.one_time.insert(id, bytes)),
                        PrekeyKind::OneTimeKyber1024 => drop(prekeys.kyber.insert(id, bytes)),
                    }
                }
                Ok(KeyserverReply::PrekeyState(prekeys.ids().state()))
            }
            DeviceRequest::PrekeyState => Ok(KeyserverReply::PrekeyState(prekeys.ids().state())),
            DeviceRequest::PrekeyIds => Ok(KeyserverReply::PrekeyIds(prekeys.ids())),
        }
    }
}

impl Keyserver {
    fn about_name(&mut self, by: AccountId, request: DeviceRequest) -> Result<(), ErrorCode> {
        let refusal = self.refusals.pop_front();
        match request {
            DeviceRequest::ClaimName(claim) => {
                self.admissions.push(claim.admission);
                refusal.map_or(Ok(()), Err)?;
                let has = &mut self.names.entry(claim.name).or_insert((by, None)).0;
                if *has == by { Ok(()) } else { Err(ErrorCode::NameTaken) }
            }
            DeviceRequest::SetListing(set) => {
                let listing = ListingIn::decode(&set.listing).map_err(|_| ErrorCode::Unexpected)?;
                let name = *listing.name();
                self.listings.push(listing);
                refusal.map_or(Ok(()), Err)?;
                self.own(by, &name)?.1 = Some(set.listing);
                Ok(())
            }
            DeviceRequest::Unlist(unlist) => {
                refusal.map_or(Ok(()), Err)?;
                self.own(by, &unlist.name)?.1 = None;
                Ok(())
            }
            DeviceRequest::ReleaseName(release) => {
                refusal.map_or(Ok(()), Err)?;
                self.own(by, &release.name)?;
                self.names.remove(&release.name);
                Ok(())
            }
            _ => Err(ErrorCode::Unexpected),
        }
    }

    fn own(&mut self, by: AccountId, name: &Name) -> Result<&mut (AccountId, Option<Vec<u8>>), ErrorCode> {
        self.names.get_mut(name).filter(|(of, _)| *of == by).ok_or(ErrorCode::NotYourName)
    }
}

impl Prekeys {
    fn ids(&self) -> PrekeyIds {
        let id = |prekey: &Option<(u32, Vec<u8>)>| prekey.as_ref().map(|(id, _)| *id);
        let ids = |prekeys: &BTreeMap<u32, Vec<u8>>| prekeys.keys().copied().collect();
        PrekeyIds::new(id(&self.signed), id(&self.last_resort), ids(&self.one_time), ids(&self.kyber)).expect("a few")
    }
}
