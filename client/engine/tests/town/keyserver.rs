//! A key server that keeps what it is given.
use std::collections::{BTreeMap, BTreeSet};

use waxwing_wire::{
    frame::{ErrorCode, ServerError},
    id::{AccountId, DeviceId},
    keyserver::{
        AccountObjects, Bound, Bundle, Bundles, DeviceRequest, FetchBundles, Info, KeyserverReply, KeyserverRequest,
        PrekeyIds, PublishManifest, Reach,
    },
    prekey::{PrekeyIn, PrekeyKind},
    request::{BoundRequestIn, Exporter},
    time::Timestamp,
};

use super::price;

#[derive(Default)]
pub(super) struct Keyserver {
    accounts: BTreeMap<AccountId, AccountObjects>,
    reach: BTreeMap<(AccountId, DeviceId), Vec<u8>>,
    prekeys: BTreeMap<(AccountId, DeviceId), Prekeys>,
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
        let accepted = is_bound && answer.is_ok();
        (answer, accepted)
    }

    fn take(&mut self, request: KeyserverRequest, number: u32, now: Timestamp) -> Result<KeyserverReply, ServerError> {
        match request {
            KeyserverRequest::Info => {
                Ok(KeyserverReply::Info(Info { time: now, price: price(), one_time_prekeys: 200, moved: None }))
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
                objects.map(KeyserverReply::Account).ok_or(ErrorCode::Refused.into())
            }
            KeyserverRequest::FetchReach(fetch) => {
                let of = self.reach.iter().filter(|((account, _), _)| *account == fetch.account);
                Ok(KeyserverReply::Reach(Reach { records: of.map(|(_, record)| record.clone()).collect() }))
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
        let prekeys = self.prekeys.entry(key).or_default();
        match DeviceRequest::decode(request.request()).map_err(|_| ErrorCode::Unexpected)? {
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
            _ => Err(ErrorCode::Unexpected.into()),
        }
    }
}

impl Prekeys {
    fn ids(&self) -> PrekeyIds {
        let id = |prekey: &Option<(u32, Vec<u8>)>| prekey.as_ref().map(|(id, _)| *id);
        let ids = |prekeys: &BTreeMap<u32, Vec<u8>>| prekeys.keys().copied().collect();
        PrekeyIds::new(id(&self.signed), id(&self.last_resort), ids(&self.one_time), ids(&self.kyber)).expect("a few")
    }
}
