//! Many rows in one: a list of numbers with commas between them, or bytes one after another. Implements reading for
//! spec/19-keyserver.md §19.10.
//!
//! A row crosses from the database's thread to ours, and that costs more than looking it up; a fetch reads fourteen.
//! Invariants: a list that does not say what we wrote is an error of the database, not a panic and not a shorter answer.
use sqlx::{Row as _, sqlite::SqliteRow};

use super::number::damaged;

/// Columns that hold many values. No row at all is an empty list.
pub(super) trait Packed {
    fn numbers(&self, column: usize) -> Result<Numbers<'_>, sqlx::Error>;
    fn pieces(&self, column: usize) -> Result<Pieces<'_>, sqlx::Error>;
}

impl Packed for SqliteRow {
    fn numbers(&self, column: usize) -> Result<Numbers<'_>, sqlx::Error> {
        let text: Option<&str> = self.try_get(column)?;
        Ok(Numbers { rest: text.filter(|text| !text.is_empty()), column })
    }

    fn pieces(&self, column: usize) -> Result<Pieces<'_>, sqlx::Error> {
        let bytes: Option<&[u8]> = self.try_get(column)?;
        Ok(Pieces { rest: bytes.unwrap_or_default(), column })
    }
}

/// What is left of a list.
pub(super) struct Numbers<'r> {
    rest: Option<&'r str>,
    column: usize,
}

impl Numbers<'_> {
    /// The next number; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<i64>, sqlx::Error> {
        let Some(rest) = self.rest else { return Ok(None) };
        let (number, rest) = match rest.split_once(',') {
            Some((number, rest)) => (number, Some(rest)),
            None => (rest, None),
        };
        self.rest = rest;
        number.parse().map(Some).map_err(|_| damaged(self.column, Unreadable))
    }

    /// The next number, which has to be there.
    pub(super) fn one(&mut self) -> Result<i64, sqlx::Error> {
        self.next()?.ok_or_else(|| damaged(self.column, Unreadable))
    }
}

/// What is left of bytes.
pub(super) struct Pieces<'r> {
    rest: &'r [u8],
    column: usize,
}

impl Pieces<'_> {
    /// The next so many bytes.
    pub(super) fn piece(&mut self, length: i64) -> Result<Vec<u8>, sqlx::Error> {
        let piece = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let (piece, rest) = piece.ok_or_else(|| damaged(self.column, Unreadable))?;
        self.rest = rest;
        Ok(piece.to_vec())
    }

    /// The next `N` bytes.
    pub(super) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], sqlx::Error> {
        let (piece, rest) = self.rest.split_first_chunk().ok_or_else(|| damaged(self.column, Unreadable))?;
        self.rest = rest;
        Ok(*piece)
    }
}

/// What stands there was not written by us.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a list of ours")]
pub(super) struct Unreadable;
