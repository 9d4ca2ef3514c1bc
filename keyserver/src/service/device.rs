//! Requests of devices: verified, counted, done in turn. Implements spec/19-keyserver.md §19.3 to §19.5.
use std::sync::Arc;

use waxwing_wire::{
    frame::ErrorCode,
    keyserver::{Bound, ClaimName, DeviceRequest, KeyserverReply, LookedUp, Lookup, SetListing, StoreReach},
    listing::ListingIn,
    manifest::Manifest,
    name::Name,
    reach::ReachRecordIn,
    request::BoundRequestIn,
    signer::Signer,
    time::Timestamp,
};

use super::{Session, failure::Failure};
use crate::store::{NewName, Store};

/// A device whose signature on a request was checked.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) device: Signer,
    /// Lists it.
    pub(super) manifest: Arc<Manifest>,
}

impl<S: Store> Session<S> {
    /// §19.5
    pub(super) async fn bound(&self, request: Bound, now: Timestamp) -> Result<KeyserverReply, Failure> {
        let Bound { request, prekeys } = request;
        let request = BoundRequestIn::decode(&request)?;
        let device = request.signer();
        // Held until the request is done, so that what a device asked first happens first.
        let mut accepted = self.accepted.lock().await;
        let known = self.server().store.account(&device.account).await?.ok_or(ErrorCode::NoSuchAccount)?;
        let manifest = self.alive(&device.account, &known.objects)?;
        let request = request.verify(&manifest, &self.exporter, *accepted)?;
        *accepted = accepted.checked_add(1).ok_or_else(Failure::malformed)?;
        let request = DeviceRequest::decode(request.request()).map_err(|_| Failure::malformed())?;
        let asking = Asking { device, manifest };
        if !prekeys.is_empty() && !matches!(request, DeviceRequest::UploadPrekeys(_)) {
            return Err(Failure::malformed());
        }
        match request {
            DeviceRequest::StoreReach(request) => self.store_reach(&asking, &request).await,
            DeviceRequest::ClaimName(request) => self.claim_name(&asking, request, now).await,
            DeviceRequest::ReleaseName(Lookup { name }) => {
                self.server().store.release_name(device, &name, now).await?;
                Ok(KeyserverReply::Done)
            }
            DeviceRequest::SetListing(request) => self.set_listing(&asking, &request).await,
            DeviceRequest::Unlist(Lookup { name }) => {
                self.server().store.unlist(device, &name).await?;
                Ok(KeyserverReply::Done)
            }
            DeviceRequest::UploadPrekeys(request) => self.upload_prekeys(asking, request, prekeys, now).await,
            DeviceRequest::PrekeyState => {
                Ok(KeyserverReply::PrekeyState(self.server().store.prekey_ids(device).await?.state()))
            }
            DeviceRequest::PrekeyIds => Ok(KeyserverReply::PrekeyIds(self.server().store.prekey_ids(device).await?)),
        }
    }

    /// §19.3.1
    async fn store_reach(&self, asking: &Asking, request: &StoreReach) -> Result<KeyserverReply, Failure> {
        let record = ReachRecordIn::decode(&request.record)?.verify(&asking.manifest)?;
        if record.signer() != asking.device {
            return Err(ErrorCode::InvalidSignature.into());
        }
        self.server().store.store_reach(&record).await?;
        Ok(KeyserverReply::Done)
    }

    /// §19.4.1
    async fn claim_name(&self, asking: &Asking, request: ClaimName, now: Timestamp) -> Result<KeyserverReply, Failure> {
        let ClaimName { name, admission } = request;
        let server = self.server();
        let settings = &server.settings;
        if name.is_reserved() {
            return Err(ErrorCode::InvalidName.into());
        }
        let account = asking.device.account;
        let at = (&server.challenges, now);
        let invite = settings.admission.admit(&admission, &account, settings.names_included > 0, at)?;
        let own = matches!(admission, waxwing_wire::frame::Admission::Owner);
        let most = if own { settings.names_included.min(settings.names) } else { settings.names };
        server.store.claim_name(NewName { name, account, most, invite }, now).await?;
        Ok(KeyserverReply::Done)
    }

    /// §19.4.4
    async fn set_listing(&self, asking: &Asking, request: &SetListing) -> Result<KeyserverReply, Failure> {
        let listing = ListingIn::decode(&request.listing)?;
        let (name, signer): (Name, Signer) = (*listing.name(), listing.signer());
        let listing = listing.verify(&name, &self.server().key, &asking.manifest)?;
        if signer != asking.device {
            return Err(ErrorCode::InvalidSignature.into());
        }
        self.server().store.set_listing(&listing).await?;
        Ok(KeyserverReply::Done)
    }

    /// §19.4.5
    pub(super) async fn lookup(&self, request: Lookup) -> Result<KeyserverReply, Failure> {
        let listing = self.server().store.lookup(&request.name).await?;
        Ok(KeyserverReply::LookedUp(LookedUp { listing }))
    }
}
