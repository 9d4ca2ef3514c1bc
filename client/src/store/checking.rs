//! Whether every message has its text, and the indexes of the search have what the texts say. Implements spec/21-client-store.md §21.8.
use std::collections::HashMap;

use sqlx::SqliteConnection;

use super::{Finding, StoreError, block::Block, packing, packing::Document, sieve::Sieve, statements::check};

/// What an index has of each word: in how many blocks, and the sum of their numbers.
type Tally = HashMap<String, (i64, i64)>;

/// Looks at every block, then at what the indexes have of all.
pub(super) async fn texts(connection: &mut SqliteConnection, sieve: &Sieve) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Vec::new();
    let expected = match blocks(connection, sieve).await {
        Err(StoreError::Damaged) => {
            findings.push(Finding::Text);
            None
        }
        expected => Some(expected?),
    };
    let textless: i64 = sqlx::query_scalar(check::TEXTLESS).fetch_one(&mut *connection).await?;
    if textless > 0 && findings.is_empty() {
        findings.push(Finding::Text);
    }
    match indexes(connection, expected).await {
        Ok(true) => {}
        Ok(false) | Err(StoreError::Damaged) => findings.push(Finding::Search),
        Err(error) => return Err(error),
    }
    Ok(findings)
}

/// What the indexes have to have.
async fn blocks(connection: &mut SqliteConnection, sieve: &Sieve) -> Result<[Tally; 2], StoreError> {
    let (mut tallies, mut after) = ([Tally::new(), Tally::new()], i64::MIN);
    loop {
        let blocks = sqlx::query_as(check::BLOCKS).bind(after).bind(PIECE);
        let blocks: Vec<(i64, i64, i64, bool, Vec<u8>)> = blocks.fetch_all(&mut *connection).await?;
        let Some((last, ..)) = blocks.last() else { return Ok(tallies) };
        after = *last;
        let (mut words, mut grams) = (Vec::new(), Vec::new());
        for (first, last, oldest, is_unspaced, packed) in blocks {
            let block = Block::unpack(first, &packed)?;
            let texts = packing::texts_of(connection, &block, (first, last)).await?;
            let document = Document::of(&texts);
            let is_oldest = texts.iter().map(|text| text.stored).min() == Some(oldest);
            if !is_oldest || is_unspaced != document.grams.is_some() {
                return Err(StoreError::Damaged);
            }
            words.push((first, [document.words, document.places].join("\n")));
            grams.extend(document.grams.map(|grams| (first, grams)));
        }
        let [of_words, of_grams] = &mut tallies;
        sieve.tally_words(&words, of_words).await?;
        sieve.tally_grams(&grams, of_grams).await?;
    }
}

/// Whether they hang together, and have that.
async fn indexes(connection: &mut SqliteConnection, expected: Option<[Tally; 2]>) -> Result<bool, StoreError> {
    for statement in check::INDEXES {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    for (mut expected, [make, read, drop]) in expected.into_iter().flatten().zip(check::TALLIES) {
        sqlx::query(make).execute(&mut *connection).await?;
        let found: Result<Vec<(String, i64, i64)>, _> = sqlx::query_as(read).fetch_all(&mut *connection).await;
        sqlx::query(drop).execute(&mut *connection).await?;
        for (word, blocks, sum) in found? {
            if expected.remove(&word) != Some((blocks, sum)) {
                return Ok(false);
            }
        }
        if !expected.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Blocks that are looked at together.
const PIECE: i64 = 64;
