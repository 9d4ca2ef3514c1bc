//! Accounts and their manifests. Implements spec/19-keyserver.md §19.2.
//!
//! Invariants: a manifest is current only if it verified under a statement of the account and follows what was current by
//! §11.6.2; the store compares and swaps, so of two publishers one is told to look again.
use waxwing_wire::{
    frame::{ErrorCode, ServerError},
    history::{self, Step},
    id::AccountId,
    keys::RecoveryPublicKey,
    keyserver::{
        AccountObjects, CreateAccount, FetchAccount, FetchHistory, FetchReach, History, KeyserverReply,
        PublishManifest, Reach,
    },
    manifest::{Manifest, ManifestError, ManifestIn, SKEW},
    statement::{GenerationStatement, GenerationStatementIn},
    time::Timestamp,
};

use super::{Session, failure::Failure};
use crate::store::{NewAccount, NewManifest, PublishError, Store, StoredAccount, StoredHistory};

impl<S: Store> Session<S> {
    /// §19.2.1
    pub(super) async fn create_account(
        &self,
        request: CreateAccount,
        now: Timestamp,
    ) -> Result<KeyserverReply, Failure> {
        let CreateAccount { recovery_key, statement, manifest, admission } = request;
        let server = self.server();
        let recovery_key = RecoveryPublicKey::from_bytes(&recovery_key).map_err(|_| ErrorCode::InvalidManifest)?;
        let statement = GenerationStatementIn::decode(&statement)?.verify(&recovery_key)?;
        let manifest = verify(ManifestIn::decode(&manifest)?, &statement, now)?;
        history::step(None, &manifest).map_err(|_| ErrorCode::ManifestConflict)?;
        let account = recovery_key.account_id();
        if let Some(known) = server.store.account(&account).await? {
            let same = known.objects.manifest == manifest.encode();
            return if same { Ok(KeyserverReply::Done) } else { Err(ErrorCode::Taken.into()) };
        }
        let at = (&server.challenges, now);
        let invite = server.settings.admission.admit(&admission, &account, false, at)?;
        server.store.create_account(NewAccount { recovery_key, statement, manifest, invite }, now).await?;
        Ok(KeyserverReply::Done)
    }

    /// §19.2.2
    pub(super) async fn publish_manifest(
        &self,
        request: PublishManifest,
        now: Timestamp,
    ) -> Result<KeyserverReply, Failure> {
        let server = self.server();
        let account = ManifestIn::decode(&request.manifest)?.account_id();
        let mut paid = false;
        // Whoever loses the race looks again: what was published meanwhile may be a renewal of what the publisher names.
        for _ in 0..RACES {
            let known = server.store.account(&account).await?.ok_or(ErrorCode::NoSuchAccount)?;
            if known.objects.manifest == request.manifest {
                return Ok(KeyserverReply::Done);
            }
            let Some(step) = self.next(&account, &known, &request, now)? else { return Ok(KeyserverReply::Done) };
            if !paid {
                server.buckets.manifest.take(account, now).map_err(Failure::rate)?;
                paid = true;
            }
            match server.store.publish(step, now).await {
                Ok(()) => return Ok(KeyserverReply::Done),
                Err(PublishError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ErrorCode::ManifestConflict.into())
    }

    /// What is to be stored of a publication; nothing if it is there already.
    fn next(
        &self,
        account: &AccountId,
        known: &StoredAccount,
        request: &PublishManifest,
        now: Timestamp,
    ) -> Result<Option<NewManifest>, Failure> {
        let current = self.server().verified.manifest(account, &known.objects)?;
        if request.current != current.reference() {
            return Err(ErrorCode::ManifestConflict.into());
        }
        let candidate = ManifestIn::decode(&request.manifest)?;
        if candidate.generation() < current.content().generation() {
            return Err(ErrorCode::ManifestConflict.into());
        }
        let begins = candidate.generation() > current.content().generation();
        if begins != request.statement.is_some() {
            return Err(ErrorCode::InvalidManifest.into());
        }
        let recovery_key =
            RecoveryPublicKey::from_bytes(&known.objects.recovery_key).map_err(|_| ErrorCode::InvalidManifest)?;
        let bytes = request.statement.as_ref().unwrap_or(&known.objects.statement);
        let statement = GenerationStatementIn::decode(bytes)?.verify(&recovery_key)?;
        let manifest = verify(candidate, &statement, now)?;
        match history::step(Some(&current), &manifest).map_err(|_| ErrorCode::ManifestConflict)? {
            Step::Same => Ok(None),
            Step::First | Step::Renewal | Step::Next | Step::Generation => {
                let statement = Some(statement).filter(|_| begins);
                Ok(Some(NewManifest { version: known.version, statement, manifest }))
            }
        }
    }

    /// §19.2.3
    pub(super) async fn fetch_account(&self, request: FetchAccount) -> Result<KeyserverReply, Failure> {
        let known = self.server().store.account(&request.account).await?.ok_or(ErrorCode::NoSuchAccount)?;
        Ok(KeyserverReply::Account(known.objects))
    }

    /// §19.2.4
    pub(super) async fn fetch_history(&self, request: FetchHistory) -> Result<KeyserverReply, Failure> {
        let from = (request.generation, request.sequence);
        // One more than a page has, so that its end is known.
        let most = PAGE.saturating_add(1);
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let stored = self.server().store.history(&request.account, from, most).await?;
        Ok(KeyserverReply::History(page(stored.ok_or(ErrorCode::NoSuchAccount)?)))
    }

    /// §19.3.2
    pub(super) async fn fetch_reach(&self, request: FetchReach) -> Result<KeyserverReply, Failure> {
        let store = &self.server().store;
        let records = store.reach(&request.account).await?.ok_or(ErrorCode::NoSuchAccount)?;
        if records.is_empty() {
            // Only a tombstone is told apart from an account that has stored nothing yet.
            let known = store.account(&request.account).await?.ok_or(ErrorCode::NoSuchAccount)?;
            self.alive(&request.account, &known.objects)?;
        }
        Ok(KeyserverReply::Reach(Reach { records }))
    }

    /// The verified manifest of an account that is not deleted.
    pub(super) fn alive(
        &self,
        account: &AccountId,
        objects: &AccountObjects,
    ) -> Result<std::sync::Arc<Manifest>, Failure> {
        let manifest = self.server().verified.manifest(account, objects)?;
        if manifest.content().is_final() { Err(ErrorCode::AccountDeleted.into()) } else { Ok(manifest) }
    }
}

/// A manifest that is not due yet comes with the time when it will be.
fn verify(manifest: ManifestIn, statement: &GenerationStatement, now: Timestamp) -> Result<Manifest, Failure> {
    manifest.verify(statement, now).map_err(|error| match error {
        ManifestError::NotYet { issued } => {
            let wait = issued.since(now.saturating_add(SKEW));
            let retry_after = Some(wait).filter(|wait| *wait <= LONGEST_WAIT);
            ServerError { code: ErrorCode::InvalidManifest, retry_after }.into()
        }
        error => error.into(),
    })
}

/// As many manifests as fit a frame, with the statements of their generations.
fn page(stored: StoredHistory) -> History {
    let StoredHistory { statements, manifests } = stored;
    let (mut page, mut bytes) = (History { statements: Vec::new(), manifests: Vec::new(), more: false }, 0_usize);
    for manifest in manifests {
        let missing = statements.iter().find(|(generation, _)| *generation == manifest.generation);
        let missing = missing.map(|(_, statement)| statement).filter(|statement| !page.statements.contains(statement));
        let cost = manifest.bytes.len().saturating_add(missing.map_or(0, Vec::len)).saturating_add(FRAMING);
        let full = page.manifests.len() >= PAGE || (missing.is_some() && page.statements.len() >= PAGE_STATEMENTS);
        if full || bytes.saturating_add(cost) > PAGE_BYTES {
            page.more = true;
            break;
        }
        bytes = bytes.saturating_add(cost);
        page.statements.extend(missing.cloned());
        page.manifests.push(manifest.bytes);
    }
    page
}

/// How often a publication is tried against others of the same account.
const RACES: usize = 4;
/// Most manifests and statements of a page (spec §15.2.4), and bytes that leave room in a frame of 262,144.
const PAGE: usize = 64;
const PAGE_STATEMENTS: usize = 16;
const PAGE_BYTES: usize = 240_000;
const FRAMING: usize = 8;
/// What `retry_after` can say (spec §13.5).
const LONGEST_WAIT: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 60 * 60);
