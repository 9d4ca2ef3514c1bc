//! Prekeys in and out. Implements spec/19-keyserver.md §19.6.
//!
//! Invariants: every prekey that is stored was signed by the device that uploads it; a limit on a target's one-time keys never
//! refuses a bundle, it only takes the one-time keys out of it (attack A6).
use waxwing_wire::{
    frame::ErrorCode,
    keyserver::{FetchBundles, KeyserverReply, UploadPrekeys, batch_hash},
    prekey::{Prekey, PrekeyIn, PrekeyKind},
    time::Timestamp,
};

use super::{Session, device::Asking, failure::Failure};
use crate::store::{Batch, BundlesError, Store, Take};

impl<S: Store> Session<S> {
    /// §19.6.1
    pub(super) async fn upload_prekeys(
        &self,
        asking: Asking,
        request: UploadPrekeys,
        prekeys: Vec<Vec<u8>>,
        now: Timestamp,
    ) -> Result<KeyserverReply, Failure> {
        let server = self.server();
        let device = asking.device;
        server.buckets.upload.take(device, now).map_err(Failure::rate)?;
        // A batch is some milliseconds of signatures: not on a thread that others' packets wait for.
        let hash = request.batch;
        let verified = tokio::task::spawn_blocking(move || verify(&asking, &hash, &prekeys)).await;
        let prekeys = verified.map_err(|_| ErrorCode::Overloaded)??;
        let batch = Batch { device, hash, prekeys, most: server.settings.one_time_prekeys };
        Ok(KeyserverReply::PrekeyState(server.store.upload(batch).await?))
    }

    /// §19.6.4
    pub(super) async fn fetch_bundles(&self, request: FetchBundles, now: Timestamp) -> Result<KeyserverReply, Failure> {
        let server = self.server();
        let account = request.account();
        let take = self.take(&request, now);
        let bundles = server.store.bundles(&account, request.devices(), take).await;
        if let (Take::OneTime, Err(BundlesError::NoAccount | BundlesError::Deleted | BundlesError::NoPrekeys)) =
            (take, &bundles)
        {
            server.buckets.one_time_by_source.give_back(&(self.source, account));
            server.buckets.one_time.give_back(&account);
        }
        let bundles = bundles?;
        server.counters.count_handed(&bundles.bundles);
        Ok(KeyserverReply::Bundles(bundles))
    }

    /// Whether this fetch may have one-time keys: first what this source had of them, then what everybody had.
    fn take(&self, request: &FetchBundles, now: Timestamp) -> Take {
        let buckets = &self.server().buckets;
        let account = request.account();
        if buckets.one_time_by_source.take((self.source, account), now).is_err() {
            return Take::LastResort;
        }
        if buckets.one_time.take(account, now).is_err() {
            buckets.one_time_by_source.give_back(&(self.source, account));
            return Take::LastResort;
        }
        Take::OneTime
    }
}

fn verify(asking: &Asking, hash: &[u8; 32], prekeys: &[Vec<u8>]) -> Result<Vec<Prekey>, Failure> {
    if batch_hash(prekeys) != *hash {
        return Err(ErrorCode::InvalidSignature.into());
    }
    let mut verified: Vec<Prekey> = Vec::with_capacity(prekeys.len());
    for bytes in prekeys {
        let prekey = PrekeyIn::decode(bytes)?.verify(&asking.manifest)?;
        let again = |kind: PrekeyKind| verified.iter().any(|other| other.facts().kind == kind);
        let kind = prekey.facts().kind;
        if prekey.signer() != asking.device || (!kind.is_one_time() && again(kind)) {
            return Err(ErrorCode::InvalidPrekey.into());
        }
        verified.push(prekey);
    }
    Ok(verified)
}
