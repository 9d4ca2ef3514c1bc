//! What a message says: loose, or in a block. Implements spec/21-client-store.md §21.4.7.
use std::collections::VecDeque;

use sqlx::{Row as _, sqlite::SqliteRow};

use super::{StoreError, block::Block};

/// Reads the texts of rows that are read one after another: messages that came together lie in one block, which is unpacked once.
#[derive(Debug, Default)]
pub(super) struct Texts {
    recent: VecDeque<(i64, Block)>,
}

impl Texts {
    /// The text of a row of [`super::statements`]' messages.
    pub(super) fn of(&mut self, row: &SqliteRow) -> Result<String, StoreError> {
        if let Some(text) = row.try_get("text")? {
            return Ok(text);
        }
        let first: i64 = row.try_get::<Option<_>, _>("first")?.ok_or(StoreError::Damaged)?;
        if !self.recent.iter().any(|(of, _)| *of == first) {
            self.recent.truncate(RECENT);
            self.recent.push_front((first, Block::unpack(first, row.try_get("bytes")?)?));
        }
        let block = self.recent.iter().find(|(of, _)| *of == first);
        let text = block.and_then(|(_, block)| Some(block.text(row.try_get("number").ok()?)?.to_owned()));
        text.ok_or(StoreError::Damaged)
    }
}

/// Messages lie in the order in which they came here, and are shown in that of their authors' clocks.
const RECENT: usize = 4;
