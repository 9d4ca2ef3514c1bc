//! A message as columns, and back. Implements spec/21-client-store.md §21.4.
//!
//! Invariants: what was saved is what is read, but for numbers above 2^63 - 1, which become that; what stands in columns is not stored
//! again in the content.
use core::cmp::Ordering;

use memchr::memmem;
use sqlx::{Row as _, sqlite::SqliteRow};
use waxwing_engine::{FailReason, State, store::StoredMessage};
use waxwing_wire::{
    content::MessageId,
    id::{AccountId, DeviceId},
    time::Timestamp,
};

use super::{StoreError, frame, texts::Texts};

/// The columns of one of [`super::statements`]' messages.
pub(super) fn message(row: &SqliteRow, texts: &mut Texts) -> Result<StoredMessage, StoreError> {
    message_with(row, texts.of(row)?)
}

/// Those of several, that were read together.
pub(super) fn messages(rows: &[SqliteRow]) -> Result<Vec<StoredMessage>, StoreError> {
    let mut texts = Texts::default();
    rows.iter().map(|row| message(row, &mut texts)).collect()
}

/// The columns of one whose text is known.
pub(super) fn message_with(row: &SqliteRow, text: String) -> Result<StoredMessage, StoreError> {
    let sent: i64 = row.try_get("sent")?;
    let mut message = StoredMessage {
        conversation: account(row, "peer")?,
        id: MessageId::try_from(row.try_get::<&[u8], _>("id")?).map_err(|_| StoreError::Damaged)?,
        author: account(row, "author")?,
        device: device(row.try_get("device")?)?,
        sequence: unsigned(row.try_get("sequence")?),
        sent: Timestamp(unsigned(sent)),
        stored: Timestamp(unsigned(sent.saturating_add(row.try_get("waited")?))),
        state: state(row.try_get("state")?).ok_or(StoreError::Damaged)?,
        text,
        content: Vec::new(),
    };
    let rest = row.try_get("rest")?;
    message.content = match row.try_get::<&[u8], _>("frame")? {
        b"" => join(rest, &message.text, row.try_get("cut")?)?,
        frame => frame::put_together(frame, rest, &message)?,
    };
    Ok(message)
}

/// Which side of a conversation an author is on, so that sides are ordered as authors' ids are: there are but the peer, whose is 1, and this
/// account, before or after it.
pub(super) fn side(author: &AccountId, peer: &AccountId) -> i64 {
    match author.cmp(peer) {
        Ordering::Less => 0,
        Ordering::Equal => THEIRS,
        Ordering::Greater => 2,
    }
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

/// The number that is stored for a state; it never changes its meaning.
pub(super) fn state_number(state: State) -> i64 {
    STATES.iter().zip(0..).find_map(|(of, number)| (*of == state).then_some(number)).unwrap_or_default()
}

fn state(number: i64) -> Option<State> {
    STATES.get(usize::try_from(number).ok()?).copied()
}

/// A content without its text, and one more than where that stood; 0 if it did not.
pub(super) fn split(content: &[u8], text: &str) -> (Vec<u8>, i64) {
    let found = if text.is_empty() { None } else { memmem::find(content, text.as_bytes()) };
    let Some(at) = found else { return (content.to_vec(), NOWHERE) };
    let (before, rest) = content.split_at_checked(at).unwrap_or((content, &[]));
    let after = rest.get(text.len()..).unwrap_or_default();
    let place = i64::try_from(at).unwrap_or_default().saturating_add(1);
    ([before, after].concat(), place)
}

fn join(rest: &[u8], text: &str, at: i64) -> Result<Vec<u8>, StoreError> {
    if at == NOWHERE {
        return Ok(rest.to_vec());
    }
    let at = usize::try_from(at.saturating_sub(1)).map_err(|_| StoreError::Damaged)?;
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
const NOWHERE: i64 = 0;
/// The peer's own.
pub(super) const THEIRS: i64 = 1;

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
    fn sides_are_ordered_as_ids_are() {
        let ids = [0x00_u8, 0x7f, 0xff].map(|first| AccountId::from_bytes([first; 32]));
        assert_eq!(ids.map(|author| side(&author, &ids[1])), [0, THEIRS, 2]);
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
        assert_eq!(join(b"abc", "x", 5), Err(StoreError::Damaged));
    }
}
