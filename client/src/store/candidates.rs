//! Texts that may have what is looked for: those that are loose, and blocks, from the newest on. Implements spec/21-client-store.md §21.5.
use std::collections::{HashSet, VecDeque};

use sqlx::SqliteConnection;

use super::{Search, StoreError, block::Block, read::count, row, statements, statements::find};

/// Which index says where to look, and its query.
#[derive(Debug)]
pub(super) enum Source {
    Words(String),
    Grams(String),
    /// None: every block that has texts of scripts without spaces.
    Unspaced,
}

/// What a search is limited to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Narrow {
    pub(super) conversation: Option<i64>,
    author: Option<i64>,
    since: i64,
    /// Numbers below this.
    before: i64,
    pub(super) limit: usize,
}

impl Narrow {
    /// None if it is limited to somebody who never wrote, or was written to.
    pub(super) async fn of(connection: &mut SqliteConnection, search: &Search<'_>) -> Result<Option<Self>, StoreError> {
        let mut numbers = [None; 2];
        for (number, account) in numbers.iter_mut().zip([search.conversation, search.from]) {
            let Some(account) = account else { continue };
            let look = sqlx::query_scalar(statements::ACCOUNT).bind(account.as_bytes().to_vec());
            *number = look.fetch_optional(&mut *connection).await?;
            if number.is_none() {
                return Ok(None);
            }
        }
        let [conversation, author] = numbers;
        let since = search.since.map_or(0, |since| row::signed(since.0));
        let before = search.before.map_or(i64::MAX, |hit| hit.number);
        Ok(Some(Self { conversation, author, since, before, limit: search.limit }))
    }
}

/// Goes through texts, newest first.
#[derive(Debug)]
pub(super) struct Candidates<'n> {
    source: Source,
    narrow: &'n Narrow,
    /// Read and not yet looked at.
    waiting: VecDeque<Candidate>,
    /// Blocks below this are still to be read; none if loose texts are.
    below: Option<i64>,
    piece: usize,
    /// Of the texts that were given last, the numbers that are meant; none if all are.
    allowed: Option<HashSet<i64>>,
}

/// First number, the block, and the numbers that are meant.
type Candidate = (i64, Vec<u8>, Option<String>);

impl<'n> Candidates<'n> {
    pub(super) fn new(source: Source, narrow: &'n Narrow) -> Self {
        Self { source, narrow, waiting: VecDeque::new(), below: None, piece: FEW, allowed: None }
    }

    /// The next texts; none if there are no more.
    pub(super) async fn next(&mut self, connection: &mut SqliteConnection) -> Result<Option<Block>, StoreError> {
        if self.below.is_none() {
            self.below = Some(self.narrow.before);
            return Ok(Some(self.loose(connection).await?));
        }
        loop {
            if self.waiting.is_empty() && self.below != Some(i64::MIN) {
                self.read(connection).await?;
            }
            let Some((first, packed, allowed)) = self.waiting.pop_front() else { return Ok(None) };
            self.allowed = allowed.map(|numbers| numbers.split(',').filter_map(|number| number.parse().ok()).collect());
            if self.allowed.as_ref().is_none_or(|allowed| !allowed.is_empty()) {
                return Block::unpack(first, &packed).map(Some);
            }
        }
    }

    /// Of these texts those that the search is not narrowed away from, newest first.
    pub(super) fn meant<'b>(&self, texts: &'b Block) -> impl Iterator<Item = (i64, &'b str)> {
        texts.iter().rev().filter(|(number, _)| {
            *number < self.narrow.before && self.allowed.as_ref().is_none_or(|allowed| allowed.contains(number))
        })
    }

    async fn loose(&self, connection: &mut SqliteConnection) -> Result<Block, StoreError> {
        let Narrow { conversation, author, since, before, .. } = *self.narrow;
        let loose = sqlx::query_as(find::LOOSE).bind(before).bind(conversation).bind(author).bind(since);
        Ok(Block::of_texts(&loose.fetch_all(connection).await?))
    }

    /// The next piece: a few blocks, then many.
    async fn read(&mut self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let (statement, query) = match &self.source {
            Source::Words(query) => (find::WORDS, Some(query.as_str())),
            Source::Grams(query) => (find::GRAMS, Some(query.as_str())),
            Source::Unspaced => (find::UNSPACED, None),
        };
        let below = self.below.unwrap_or(i64::MAX);
        let Narrow { conversation, author, since, .. } = *self.narrow;
        let rows = sqlx::query_as(statement).bind(query).bind(below).bind(conversation).bind(author).bind(since);
        let rows: Vec<Candidate> = rows.bind(count(self.piece)).fetch_all(connection).await?;
        // Below the last of them; if they were not as many as asked for, nothing is.
        let is_last = rows.len() < self.piece;
        self.below = rows.last().filter(|_| !is_last).map(|(first, ..)| *first).or(Some(i64::MIN));
        self.piece = MANY;
        self.waiting.extend(rows);
        Ok(())
    }
}

/// Blocks that are read together, first and then.
const FEW: usize = 16;
const MANY: usize = 256;
