//! What is asked of blobs.
use core::sync::atomic::Ordering;
use std::sync::Arc;

use futures_util::future::join_all;
use waxwing_wire::{
    id::BlobId,
    relay::{BlobState, Capability, TransferBlob, VerifierKind},
    time::Timestamp,
};

use super::{
    Blob, BlobCreateError, BlobError, BlobReadError, BlobWriteError, Blobs, Download, NewBlob, Upload, Verifiers,
};
use crate::store::{
    Mailboxes, Unavailable,
    disk::{Access, Change, Disk},
    lock,
};

impl<D: Disk> Blobs for Mailboxes<D> {
    type Upload = Upload<D>;
    type Download = Download<D>;

    async fn create_blob(&self, new: NewBlob, now: Timestamp) -> Result<BlobState, BlobCreateError> {
        let shared = &self.shared;
        let bytes = u64::from(new.chunk.bytes()).saturating_mul(new.count.into());
        if new.count == 0 || new.count > MOST_CHUNKS || bytes > shared.rules.blobs.bytes {
            return Err(BlobCreateError::Size);
        }
        let turn = shared.turn(new.blob.as_bytes()).await?;
        if let Some(found) = shared.blobs.find(&new.blob) {
            match (found.is_over(now), found.is_as(&new)) {
                (false, true) => return Ok(found.state()),
                (false, false) => return Err(BlobCreateError::Taken),
                // Past its time, and nobody has looked yet.
                (true, _) => self.remove_blob(&found).await?,
            }
        }
        let invite = new.invite;
        if invite.is_some_and(|invite| !lock(&shared.invites).can_serve(&invite)) {
            return Err(BlobCreateError::Invite);
        }
        if shared.blobs.usage().1 >= shared.rules.blobs.total {
            return Err(Unavailable.into());
        }
        let invite = match invite.map(|hash| lock(&shared.invites).take(&hash)) {
            None => None,
            Some(taken) => Some(taken.ok_or(BlobCreateError::Invite)?),
        };
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let verifiers = Verifiers { write: new.write_verifier, read: new.read_verifier };
        let ends = now.saturating_add(shared.rules.blobs.empty);
        let blob = Arc::new(Blob::new((number, new.blob), verifiers, (new.chunk, new.count), (0, ends)));
        let state = blob.state();
        let (keeping, row) =
            (Arc::clone(shared), Change::CreateBlob { blob: Arc::clone(&blob), invite: invite.map(|taken| taken.id) });
        let commit = shared.disk.change(
            row,
            Box::new(move |outcome| {
                match (outcome, invite) {
                    (Ok(()), _) => keeping.blobs.insert(blob),
                    (Err(Unavailable), Some(taken)) => lock(&keeping.invites).give_back(taken),
                    (Err(Unavailable), None) => {}
                }
                drop(turn);
            }),
        );
        commit.await?;
        Ok(state)
    }

    fn blob_state(&self, blob: &BlobId, capability: &Capability, now: Timestamp) -> Result<BlobState, BlobError> {
        let either = [VerifierKind::WriteBlob, VerifierKind::ReadBlob];
        let found = self.shared.blobs.admitted(blob, capability, &either, now);
        Ok(found.ok_or(BlobError::Refused)?.state())
    }

    async fn write_blob(&self, transfer: &TransferBlob, now: Timestamp) -> Result<Upload<D>, BlobWriteError> {
        let TransferBlob { blob, capability, first, count } = transfer;
        let blob = self.shared.blobs.admitted(blob, capability, &[VerifierKind::WriteBlob], now);
        let blob = blob.ok_or(BlobWriteError::Refused)?;
        let end = end(&blob, *first, *count).ok_or(BlobWriteError::Range)?;
        let (claim, turn) = blob.claim().await;
        if blob.is_over(now) {
            return Err(BlobWriteError::Refused);
        }
        if blob.is_superseded(claim) {
            return Err(BlobWriteError::Superseded);
        }
        if blob.state().written != *first {
            return Err(BlobWriteError::Range);
        }
        Ok(Upload::begin(&self.shared, blob, (claim, turn), (*first, end)).await?)
    }

    async fn read_blob(
        &self,
        transfer: &TransferBlob,
        now: Timestamp,
    ) -> Result<(BlobState, Download<D>), BlobReadError> {
        let TransferBlob { blob, capability, first, count } = transfer;
        let blob = self.shared.blobs.admitted(blob, capability, &[VerifierKind::ReadBlob], now);
        let blob = blob.ok_or(BlobReadError::Refused)?;
        let end = end(&blob, *first, *count).ok_or(BlobReadError::Range)?;
        let state = blob.state();
        if end > state.written {
            return Err(BlobReadError::Incomplete);
        }
        let file = match self.shared.disk.open_blob(blob.number, Access::Read).await {
            // It went meanwhile.
            Err(Unavailable) if blob.is_gone() => return Err(BlobReadError::Refused),
            file => file?,
        };
        let (at, end) = (blob.bytes_before(*first), blob.bytes_before(end));
        Ok((state, Download { blob, file, at, end }))
    }

    async fn delete_blob(&self, blob: &BlobId, capability: &Capability, now: Timestamp) -> Result<(), BlobError> {
        let found = self.shared.blobs.admitted(blob, capability, &[VerifierKind::WriteBlob], now);
        Ok(self.remove_blob(&found.ok_or(BlobError::Refused)?).await?)
    }
}

impl<D: Disk> Mailboxes<D> {
    /// Whoever writes it is told and waited for; then the row goes, and then the file.
    async fn remove_blob(&self, blob: &Arc<Blob>) -> Result<(), Unavailable> {
        let (_, turn) = blob.claim().await;
        if blob.is_gone() {
            return Ok(());
        }
        let (shared, blob) = (Arc::clone(&self.shared), Arc::clone(blob));
        let row = Change::DeleteBlob { blob: blob.number };
        let commit = self.shared.disk.change(
            row,
            Box::new(move |outcome| {
                if outcome.is_ok() {
                    shared.blobs.remove(&blob);
                    shared.disk.remove_blob(blob.number);
                }
                drop(turn);
            }),
        );
        commit.await
    }

    /// Removes what is past its time, at most so many; whether there is more.
    pub(crate) async fn expire_blobs(&self, now: Timestamp, most: usize) -> Result<bool, Unavailable> {
        let blobs = &self.shared.blobs;
        let (due, more) = blobs.due(now, most);
        let over = due.into_iter().filter_map(|id| {
            let blob = blobs.find(&id)?;
            let ends = blob.state().ends;
            if ends > now {
                blobs.look_at(ends, id);
                return None;
            }
            Some(async move {
                let removed = self.remove_blob(&blob).await;
                if removed.is_err() {
                    self.shared.blobs.look_at(ends, blob.id);
                }
                removed
            })
        });
        join_all(over).await.into_iter().collect::<Result<(), _>>()?;
        Ok(more)
    }
}

/// The chunk behind the last of `count` from `first` on; none if there are no such chunks.
fn end(blob: &Blob, first: u32, count: u32) -> Option<u32> {
    first.checked_add(count).filter(|end| count > 0 && *end <= blob.count)
}

/// §14.8.1.
const MOST_CHUNKS: u32 = 262_144;
