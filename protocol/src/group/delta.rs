//! What the caller must persist before it commits (spec §7.6).

use alloc::vec::Vec;

use crate::session::RecordKey;
use crate::session::record_parts::Write;

/// What must be on disk, in one transaction, before `commit` and before anything leaves because of it.
#[derive(Debug)]
#[must_use = "apply it in one transaction"]
pub struct GroupDelta {
    pub(super) writes: Vec<Write>,
}

impl GroupDelta {
    /// The records to put (`Some`) and to delete (`None`), each key at most once. Values are secret: store them encrypted.
    ///
    /// A message in order writes one record: 89 bytes for the sender, 98 for a receiver and 76 more for each older chain
    /// of that sender.
    pub fn writes(&self) -> impl Iterator<Item = (RecordKey, Option<&[u8]>)> {
        self.writes.iter().map(|write| (write.key, write.value.as_ref().map(|value| value.as_slice())))
    }
}
