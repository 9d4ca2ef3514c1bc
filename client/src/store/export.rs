//! Everything that people wrote, in the clear, for whoever may have it. Implements spec/21-client-store.md §21.7.
//!
//! Invariant: records are not exported. They are keys and sessions: one that is used from two places gives its messages away (B5).
use std::io::Write;

use data_encoding::BASE64;
use serde_json::json;
use sqlx::{Connection as _, Row as _};
use waxwing_engine::store::StoredMessage;

use super::{Reader, StoreError, row, statements};
use crate::state;

impl Reader {
    /// Writes every message and every read marker as a line of JSON, as they are at one moment; returns how many lines. Nothing is
    /// encrypted: the caller decides where it goes.
    ///
    /// # Errors
    /// [`StoreError::Export`]: what is written to refuses. Else as everywhere. What was written is not whole then.
    pub async fn export(&self, out: &mut (impl Write + Send)) -> Result<u64, StoreError> {
        let mut connection = self.pool.acquire().await?;
        // One snapshot, however long it takes.
        let mut snapshot = connection.begin_with(statements::SNAPSHOT).await?;
        let (mut lines, mut last) = (0_u64, 0_i64);
        let mut write = |line: &serde_json::Value| {
            lines = lines.saturating_add(1);
            writeln!(out, "{line}").map_err(|error| StoreError::Export(error.kind()))
        };
        loop {
            let piece = sqlx::query(statements::walk::MESSAGES).bind(last).bind(PIECE);
            let piece = piece.fetch_all(&mut *snapshot).await?;
            let Some(end) = piece.last() else { break };
            last = end.try_get("number")?;
            for message in row::messages(&piece)? {
                write(&line(&message))?;
            }
        }
        for row in sqlx::query(statements::walk::MARKERS).fetch_all(&mut *snapshot).await? {
            let (device, sequence): (i64, i64) = (row.try_get("device")?, row.try_get("sequence")?);
            write(&json!({
                "type": "read",
                "conversation": row::account(&row, "id")?.to_string(),
                "device": device,
                "sequence": sequence,
            }))?;
        }
        out.flush().map_err(|error| StoreError::Export(error.kind()))?;
        Ok(lines)
    }
}

fn line(message: &StoredMessage) -> serde_json::Value {
    let (state, reason) = state::names(message.state);
    json!({
        "type": "message",
        "conversation": message.conversation.to_string(),
        "id": message.id.to_string(),
        "author": message.author.to_string(),
        "device": message.device.value(),
        "sequence": message.sequence,
        "sent": message.sent.0,
        "stored": message.stored.0,
        "state": state,
        "reason": reason,
        "text": message.text,
        "content": BASE64.encode(&message.content),
    })
}

const PIECE: i64 = 500;
