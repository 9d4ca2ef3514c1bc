//! Chunks on their way out.
use std::sync::Arc;

use super::{Blob, BlobError, Downloading};
use crate::store::disk::{BlobFile as _, Disk};

/// Chunks of a blob on a disk, on their way out.
pub struct Download<D: Disk> {
    pub(super) blob: Arc<Blob>,
    pub(super) file: D::Blob,
    pub(super) at: u64,
    pub(super) end: u64,
}

impl<D: Disk> Downloading for Download<D> {
    async fn next(&mut self, most: usize) -> Result<Option<Vec<u8>>, BlobError> {
        let left = self.end.saturating_sub(self.at);
        if left == 0 {
            return Ok(None);
        }
        if self.blob.is_gone() {
            return Err(BlobError::Refused);
        }
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(most.max(1));
        let bytes = self.file.read(self.at, count).await?;
        self.at = self.at.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(Some(bytes))
    }
}

impl<D: Disk> core::fmt::Debug for Download<D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Download").field("blob", &self.blob).finish_non_exhaustive()
    }
}
