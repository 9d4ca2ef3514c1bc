//! A message as columns, and back. Implements spec/21-client-store.md §21.4.
//!
//! Invariants: what was saved is what is read, but for numbers above 2^63 - 1, which become that; a text that stands in its encoded
//! content is stored once.
use memchr::memmem;
use sqlx::{Row as _, sqlite::SqliteRow};
use waxwing_engine::{FailReason, State, store::StoredMessage};
use waxwing_wire::{
    content::MessageId,
    id::{AccountId, DeviceId},
    time::Timestamp,
};

use super::StoreError;

/// The columns of one of [`super::statements`]' messages.
pub(super) fn message(row: &SqliteRow) -> Result<StoredMessage, StoreError> {
    let text: String = row.try_get("text")?;
    let content = join(row.try_get("content")?, &text, row.try_get("cut")?)?;
    Ok(StoredMessage {
        conversation: account(row, "peer")?,
        id: MessageId::try_from(row.try_get::<&[u8], _>("id")?).map_err(|_| StoreError::Damaged)?,
        author: account(row, "author")?,
        device: device(row.try_get("device")?)?,
        sequence: unsigned(row.try_get("sequence")?),
        sent: Timestamp(unsigned(row.try_get("sent")?)),
        stored: Timestamp(unsigned(row.try_get("stored")?)),
        state: state(row.try_get("state")?).ok_or(StoreError::Damaged)?,
        text,
        content,
    })
}

pub(super) fn account(row: &SqliteRow, column: &str) -> Result<AccountId, StoreError> {
    AccountId::try_from(row.try_get::<&[u8], _>(column)?).map_err(|_| StoreError::Damaged)
}

pub(super) fn device(number: i64) -> Result<DeviceId, StoreError> {
    let number = u32::try_from(number).map_err(|_| StoreError::Damaged)?;
    DeviceId::try_from(number).map_err(|_| StoreError::Damaged)
}

/// A number as SQLite has them; a peer chooses some of these, and none shall stop the store.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// The first eight bytes of an id as a number that is ordered as they are.
pub(super) fn rank(account: &AccountId) -> i64 {
    let first = account.as_bytes().first_chunk().copied().unwrap_or_default();
    // With the highest bit turned, the negative numbers come first.
    i64::from_be_bytes(first) ^ i64::MIN
}

/// The number that is stored for a state; it never changes its meaning.
pub(super) fn state_number(state: State) -> i64 {
    STATES.iter().zip(0..).find_map(|(of, number)| (*of == state).then_some(number)).unwrap_or_default()
}

fn state(number: i64) -> Option<State> {
    STATES.get(usize::try_from(number).ok()?).copied()
}

/// The content without its text, and where that stood.
pub(super) fn split(content: &[u8], text: &str) -> (Vec<u8>, i64) {
    let found = if text.is_empty() { None } else { memmem::find(content, text.as_bytes()) };
    let Some(at) = found else { return (content.to_vec(), NOWHERE) };
    let (before, rest) = content.split_at_checked(at).unwrap_or((content, &[]));
    let after = rest.get(text.len()..).unwrap_or_default();
    ([before, after].concat(), i64::try_from(at).unwrap_or(NOWHERE))
}

fn join(rest: &[u8], text: &str, at: i64) -> Result<Vec<u8>, StoreError> {
    if at == NOWHERE {
        return Ok(rest.to_vec());
    }
    let at = usize::try_from(at).map_err(|_| StoreError::Damaged)?;
    let (before, after) = rest.split_at_checked(at).ok_or(StoreError::Damaged)?;
    Ok([before, text.as_bytes(), after].concat())
}

const STATES: [State; 8] = [
    State::Queued,
    State::Failed(FailReason::AccountDeleted),
    State::Failed(FailReason::Blocked),
    State::Sent,
    State::MayHaveExpired,
    State::Delivered,
    State::Read,
    State::Failed(FailReason::Removed),
];
const NOWHERE: i64 = -1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_number_of_its_own_and_comes_back() {
        for each in STATES {
            // A state that is new stops the build here until it has its number.
            match each {
                State::Queued | State::Sent | State::MayHaveExpired | State::Delivered | State::Read => {}
                State::Failed(FailReason::AccountDeleted | FailReason::Blocked | FailReason::Removed) => {}
            }
            assert_eq!(state(state_number(each)), Some(each));
        }
        assert_eq!(state(8), None);
        assert_eq!(state(-1), None);
    }

    #[test]
    fn ranks_are_ordered_as_ids_are() {
        let ids = [0x00_u8, 0x01, 0x7f, 0x80, 0xff].map(|first| AccountId::from_bytes([first; 32]));
        let ranks = ids.map(|id| rank(&id));
        assert!(ids.is_sorted() && ranks.is_sorted());
        assert!(ranks.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_content_is_whole_again_wherever_its_text_stands() {
        for (content, text, stored) in [
            (&b"\x0a\x05hello\x10"[..], "hello", 3),
            (b"hello", "hello", 0),
            (b"hellohello", "hello", 5),
            (b"", "hello", 0),
            (b"another", "hello", 7),
            (b"empty", "", 5),
        ] {
            let (rest, at) = split(content, text);
            assert_eq!(rest.len(), stored, "{text:?} in {content:?}");
            assert_eq!(join(&rest, text, at).unwrap(), content);
        }
        assert_eq!(join(b"abc", "x", 4), Err(StoreError::Damaged));
    }
}
