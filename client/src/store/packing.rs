//! Texts on their way into blocks, and out of them. Implements spec/21-client-store.md §21.4.7 and §21.6.
//!
//! ```text
//! save ───▶ loose texts ──enough for a block──▶ block, and its entry in the indexes of the search
//! delete ─▶ the block without it, and another entry instead of the old one
//! ```
//! Invariants: a message has its text loose or in one block; an index has of a block what stands in it, no more and no less; whoever deletes
//! messages does it by [`remove`].
use std::{
    borrow::Cow,
    collections::{BTreeSet, HashSet},
};

use sqlx::SqliteConnection;

use super::{
    StoreError,
    block::{self, Block},
    scripts,
    statements::pack as statements,
};

/// A message's text, and what its block has to know of it.
#[derive(Debug)]
pub(super) struct Text<'t> {
    pub(super) number: i64,
    pub(super) conversation: i64,
    /// When it came here.
    pub(super) stored: i64,
    pub(super) text: Cow<'t, str>,
}

/// What is loose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loose {
    pub(super) texts: i64,
    pub(super) bytes: i64,
}

/// Keeps the texts of messages that are newer than all others: whole blocks of them, the rest loose.
pub(super) async fn add(connection: &mut SqliteConnection, loose: Loose, new: Vec<Text<'_>>) -> Result<(), StoreError> {
    let bytes = new.iter().fold(size(loose.bytes), |sum, text| sum.saturating_add(text.text.len()));
    if size(loose.texts).saturating_add(new.len()) < MOST_TEXTS && bytes < MOST_BYTES {
        return add_loose(connection, &new).await;
    }
    let first = new.first().map_or(i64::MAX, |text| text.number);
    let mut texts = load(connection).await?;
    texts.extend(new);
    let left = add_blocks(connection, &texts).await?;
    let left: Vec<&Text<'_>> = left.iter().filter(|text| text.number >= first).collect();
    add_loose(connection, &left).await
}

/// Packs what is loose, as far as it is enough for blocks.
pub(super) async fn settle(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    loop {
        let texts = load(connection).await?;
        if add_blocks(connection, &texts).await?.len() == texts.len() {
            return Ok(());
        }
    }
}

/// Deletes messages, with whatever they said.
pub(super) async fn remove(connection: &mut SqliteConnection, numbers: &[i64]) -> Result<(), StoreError> {
    let gone: HashSet<i64> = numbers.iter().copied().collect();
    let json = serde_json::to_string(numbers).map_err(|_| StoreError::Unavailable)?;
    let blocks: Vec<(i64, i64, Vec<u8>)> =
        sqlx::query_as(statements::BLOCKS_OF).bind(&json).fetch_all(&mut *connection).await?;
    let mut replaced = Vec::new();
    for (first, last, packed) in blocks {
        if numbers.iter().any(|number| (first..=last).contains(number)) {
            let block = Block::unpack(first, &packed)?;
            let mut texts = texts_of(connection, &block, (first, last)).await?;
            take_out(connection, first, &Document::of(&texts)).await?;
            texts.retain(|text| !gone.contains(&text.number));
            if !texts.is_empty() {
                // Under its old number, where its messages' numbers still find it.
                replaced.push(Packed::of(first, &texts, bytes(first, &texts)));
            }
        }
    }
    // FTS5 forgets other rows if one is deleted and added again while both are still in its memory.
    for flush in statements::FLUSH {
        sqlx::query(flush).execute(&mut *connection).await?;
    }
    add_packed(connection, &replaced).await?;
    sqlx::query(statements::DELETE_MESSAGES).bind(&json).execute(connection).await?;
    Ok(())
}

/// A block goes, and what the indexes have of it.
async fn take_out(connection: &mut SqliteConnection, first: i64, document: &Document) -> Result<(), StoreError> {
    let forget = sqlx::query(statements::FORGET_WORDS).bind(first);
    forget.bind(document.words.as_str()).bind(document.places.as_str()).execute(&mut *connection).await?;
    if let Some(grams) = &document.grams {
        sqlx::query(statements::FORGET_GRAMS).bind(first).bind(grams).execute(&mut *connection).await?;
    }
    sqlx::query(statements::DELETE_BLOCK).bind(first).execute(connection).await?;
    Ok(())
}

/// A block's texts, with what the rows of their messages say.
pub(super) async fn texts_of<'b>(
    connection: &mut SqliteConnection,
    block: &'b Block,
    (first, last): (i64, i64),
) -> Result<Vec<Text<'b>>, StoreError> {
    let rows: Vec<(i64, i64, i64)> =
        sqlx::query_as(statements::ROWS).bind(first).bind(last).fetch_all(connection).await?;
    let mut texts = Vec::with_capacity(rows.len());
    for ((number, conversation, stored), (of, text)) in rows.iter().zip(block.iter()) {
        if *number != of {
            return Err(StoreError::Damaged);
        }
        texts.push(Text { number: of, conversation: *conversation, stored: *stored, text: text.into() });
    }
    if rows.len() == block.iter().count() { Ok(texts) } else { Err(StoreError::Damaged) }
}

async fn load(connection: &mut SqliteConnection) -> Result<Vec<Text<'static>>, StoreError> {
    let rows: Vec<(i64, i64, i64, String)> =
        sqlx::query_as(statements::LOOSE).bind(PIECE).fetch_all(connection).await?;
    let text = |(number, conversation, stored, text): (_, _, _, String)| Text {
        number,
        conversation,
        stored,
        text: text.into(),
    };
    Ok(rows.into_iter().map(text).collect())
}

/// Makes blocks of texts, as many as they are enough for; what is left of them.
async fn add_blocks<'a, 't>(
    connection: &mut SqliteConnection,
    texts: &'a [Text<'t>],
) -> Result<&'a [Text<'t>], StoreError> {
    let (mut blocks, mut left) = (Vec::new(), texts);
    while let Some((block, rest)) = next(left) {
        blocks.push(block);
        left = rest;
    }
    add_packed(connection, &blocks).await?;
    if let Some(last) = blocks.last() {
        sqlx::query(statements::DELETE_LOOSE).bind(last.last).execute(connection).await?;
    }
    Ok(left)
}

async fn add_loose<'t>(
    connection: &mut SqliteConnection,
    texts: &[impl core::borrow::Borrow<Text<'t>>],
) -> Result<(), StoreError> {
    for some in texts.chunks(TOGETHER) {
        let add = sqlx::query(statements::add_loose(some.len()));
        let add = some
            .iter()
            .map(core::borrow::Borrow::borrow)
            .fold(add, |add, text| add.bind(text.number).bind(text.text.as_ref()));
        add.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn add_packed(connection: &mut SqliteConnection, blocks: &[Packed]) -> Result<(), StoreError> {
    for some in blocks.chunks(TOGETHER) {
        let add = sqlx::query(statements::add_blocks(some.len()));
        let add = some.iter().fold(add, |add, block| {
            let is_unspaced = block.document.grams.is_some();
            add.bind(block.first).bind(block.last).bind(block.oldest).bind(is_unspaced).bind(block.bytes.as_slice())
        });
        add.execute(&mut *connection).await?;
        let index = sqlx::query(statements::index_words(some.len()));
        let index = some.iter().fold(index, |index, Packed { first, document, .. }| {
            index.bind(first).bind(document.words.as_str()).bind(document.places.as_str())
        });
        index.execute(&mut *connection).await?;
        for block in some {
            if let Some(grams) = &block.document.grams {
                sqlx::query(statements::INDEX_GRAMS).bind(block.first).bind(grams).execute(&mut *connection).await?;
            }
        }
    }
    Ok(())
}

/// A block, and what the indexes have of it.
struct Packed {
    first: i64,
    last: i64,
    oldest: i64,
    bytes: Vec<u8>,
    document: Document,
}

impl Packed {
    fn of(first: i64, texts: &[Text<'_>], bytes: Vec<u8>) -> Self {
        Self {
            first,
            last: texts.last().map_or(first, |text| text.number),
            oldest: texts.iter().map(|text| text.stored).min().unwrap_or(i64::MAX),
            bytes,
            document: Document::of(texts),
        }
    }
}

fn bytes(first: i64, texts: &[Text<'_>]) -> Vec<u8> {
    block::pack(first, &texts.iter().map(|text| (text.number, text.text.as_ref())).collect::<Vec<_>>())
}

/// The first block of texts, if they are enough for one, and those after it. As many as a quarter of a page takes: what does not fit to the
/// byte stays empty there.
fn next<'a, 't>(texts: &'a [Text<'t>]) -> Option<(Packed, &'a [Text<'t>])> {
    let mut count = enough(texts)?;
    let first = texts.first()?.number;
    loop {
        let (some, rest) = texts.split_at_checked(count)?;
        let bytes = bytes(first, some);
        if bytes.len() <= QUARTER || count == 1 {
            return Some((Packed::of(first, some, bytes), rest));
        }
        // As if it were as dense everywhere.
        let sum = some.iter().fold(0_usize, |sum, text| sum.saturating_add(text.text.len()));
        let mut room = sum.saturating_mul(QUARTER).checked_div(bytes.len())?;
        let fitting = some.iter().take_while(|text| {
            let fits = text.text.len() <= room;
            room = room.saturating_sub(text.text.len());
            fits
        });
        count = fitting.count().clamp(1, count.saturating_sub(1));
    }
}

/// How many of the first are enough for a block.
fn enough(texts: &[Text<'_>]) -> Option<usize> {
    let mut sum = 0_usize;
    let is_enough = |(place, text): (usize, &Text<'_>)| {
        sum = sum.saturating_add(text.text.len());
        place.saturating_add(1) >= MOST_TEXTS || sum >= MOST_BYTES
    };
    texts.iter().enumerate().position(is_enough).map(|place| place.saturating_add(1))
}

/// What the indexes have of a block.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Document {
    pub(super) words: String,
    /// Characters that stand for the conversations.
    pub(super) places: String,
    /// Texts in scripts without spaces, if there are any.
    pub(super) grams: Option<String>,
}

impl Document {
    pub(super) fn of(texts: &[Text<'_>]) -> Self {
        let all: Vec<&str> = texts.iter().map(|text| text.text.as_ref()).collect();
        let places: BTreeSet<char> = texts.iter().map(|text| place(text.conversation)).collect();
        let places: Vec<String> = places.iter().map(char::to_string).collect();
        let unspaced: Vec<&str> = all.iter().copied().filter(|text| scripts::has_unspaced(text)).collect();
        // For the tokenizer of characters a NUL may be the end.
        let grams = (!unspaced.is_empty()).then(|| unspaced.join(BETWEEN).replace('\0', BETWEEN));
        Self { words: all.join(BETWEEN), places: places.join(BETWEEN), grams }
    }
}

/// The character that stands for a conversation in the index of words, and for others whose numbers are as many apart as there are
/// such characters: whoever asks for it compares the conversation as well.
pub(super) fn place(number: i64) -> char {
    let offset = u32::try_from(number.rem_euclid(PLACES)).unwrap_or_default();
    char::from_u32(FIRST_PLACE.saturating_add(offset)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn size(number: i64) -> usize {
    usize::try_from(number).unwrap_or_default()
}

/// What is loose is less than this; a search looks at it text by text.
const MOST_TEXTS: usize = 32;
const MOST_BYTES: usize = 3_000;
/// Bytes of a block, so that a page of the database takes four: 4,096 less what `SQLCipher` needs, the page's head, and each row's head and columns.
/// A search for two words that seldom meet unpacks the more for nothing the larger blocks are.
const QUARTER: usize = 975;
/// No word goes over a line's end.
const BETWEEN: &str = "\n";
/// The private use area of the basic plane: characters that the tokenizer takes for a word, and no text has but by agreement.
const FIRST_PLACE: u32 = 0xe000;
pub(super) const PLACES: i64 = 6_400;
/// Rows of one statement.
const TOGETHER: usize = 16;
/// Loose texts that are looked at together; there are more only in a change of layout and in a repair.
const PIECE: i64 = 1_024;

#[cfg(test)]
mod tests;
