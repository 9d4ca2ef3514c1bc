//! Finding messages by what they say. Implements spec/21-client-store.md §21.5.
//!
//! ```text
//! query ─▶ terms ─┬─ words ─────────────▶ message_words ─┐
//!                 └─ characters in a row ▶ message_grams ─┴▶ blocks, newest first ─▶ texts one by one ─▶ messages
//! loose texts ───────────────────────────────────────────────────────────────────────────┘
//! ```
//! Invariants: what a person types never becomes SQL or a query of FTS5's; a hit has every term; one search sees one state of the database.
use sqlx::{Connection as _, Row as _, SqliteConnection};
use waxwing_engine::store::StoredMessage;
use waxwing_wire::{id::AccountId, time::Timestamp};

use super::{
    Reader, Snippet, StoreError,
    candidates::{Candidates, Narrow, Source},
    letters::Folded,
    matching::{Characters, Words},
    packing,
    query::{Terms, quoted},
    row,
    snippet::MARKS,
    statements::{self, find},
};

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Search<'q> {
    /// Words, or their beginnings; `"several words in a row"`; any characters in a row of scripts without spaces. All of them.
    pub query: &'q str,
    /// In this conversation only.
    pub conversation: Option<AccountId>,
    /// By this author only.
    pub from: Option<AccountId>,
    /// Written then or later only.
    pub since: Option<Timestamp>,
    /// Stored before this hit only: the last one of the page before.
    pub before: Option<&'q Hit>,
    /// At most so many, those stored last first.
    pub limit: usize,
}

/// A message that was found; [`Reader::around`] shows it in its context.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hit {
    /// The message.
    pub message: StoredMessage,
    /// Where in it.
    pub snippet: Snippet,
    pub(super) number: i64,
}

/// A message that has what is looked for.
struct Found {
    number: i64,
    text: String,
    snippet: Snippet,
}

impl Reader {
    /// Finds messages. A query without any letter or digit finds nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn search(&self, search: Search<'_>) -> Result<Vec<Hit>, StoreError> {
        let terms = Terms::parse(search.query);
        if terms.all.is_empty() || search.limit == 0 {
            return Ok(Vec::new());
        }
        let mut connection = self.pool.acquire().await?;
        // What is loose now may be in a block when it is looked at next.
        let mut snapshot = connection.begin_with(statements::SNAPSHOT).await?;
        let Some(narrow) = Narrow::of(&mut snapshot, &search).await? else { return Ok(Vec::new()) };
        let mut found = if terms.unspaced { Vec::new() } else { self.words(&mut snapshot, &terms, &narrow).await? };
        // A word between characters of such scripts is no word to the other index.
        if terms.unspaced || terms.all.iter().any(|term| term.is_gram()) {
            for more in self.characters(&mut snapshot, &terms, &narrow).await? {
                if !found.iter().any(|other| other.number == more.number) {
                    found.push(more);
                }
            }
        }
        found.sort_by_key(|found| std::cmp::Reverse(found.number));
        found.truncate(search.limit);
        hits(&mut snapshot, found).await
    }

    async fn words(
        &self,
        connection: &mut SqliteConnection,
        terms: &Terms,
        narrow: &Narrow,
    ) -> Result<Vec<Found>, StoreError> {
        self.sieve.learn(&terms.texts()).await?;
        let words = Words::of(terms, &self.sieve.letters());
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let place = narrow.conversation.map(|number| format!(" AND {}", quoted(&packing::place(number).to_string())));
        let source = Source::Words(format!("{}{}", words.somewhere(), place.unwrap_or_default()));
        let (mut found, mut folded) = (Vec::new(), Folded::default());
        let (mut candidates, mut matching) = (Candidates::new(source, narrow), Vec::new());
        while let Some(texts) = candidates.next(connection).await? {
            self.sieve.learn(&[texts.all()]).await?;
            let letters = self.sieve.letters();
            let meant = candidates.meant(&texts).filter(|(_, text)| words.match_in(text, &letters, &mut folded));
            matching.extend(meant.map(|(number, text)| (number, text.to_owned())));
            if found.len().saturating_add(matching.len()) >= narrow.limit {
                found.extend(self.confirm(std::mem::take(&mut matching), &words).await?);
                if found.len() >= narrow.limit {
                    return Ok(found);
                }
            }
        }
        found.extend(self.confirm(matching, &words).await?);
        Ok(found)
    }

    /// The tokenizer itself has the last word, and says where in the text.
    async fn confirm(&self, matching: Vec<(i64, String)>, words: &Words) -> Result<Vec<Found>, StoreError> {
        if matching.is_empty() {
            return Ok(Vec::new());
        }
        // What ends a text for SQLite's own functions is between words anyway.
        let texts: Vec<String> = matching.iter().map(|(_, text)| text.replace('\0', " ")).collect();
        let mut matching: Vec<Option<(i64, String)>> = matching.into_iter().map(Some).collect();
        let mut found = Vec::new();
        for (place, snippet) in self.sieve.matching(&texts, &words.exactly(), MARKS).await? {
            let (number, text) = matching.get_mut(place).and_then(Option::take).ok_or(StoreError::Damaged)?;
            found.push(Found { number, text, snippet: Snippet::marked(&snippet) });
        }
        Ok(found)
    }

    async fn characters(
        &self,
        connection: &mut SqliteConnection,
        terms: &Terms,
        narrow: &Narrow,
    ) -> Result<Vec<Found>, StoreError> {
        self.sieve.learn(&terms.texts()).await?;
        let characters = Characters::of(terms, &self.sieve.letters());
        let mut candidates = Candidates::new(characters.somewhere().map_or(Source::Unspaced, Source::Grams), narrow);
        let mut found = Vec::new();
        while let Some(texts) = candidates.next(connection).await? {
            self.sieve.learn(&[texts.all()]).await?;
            let letters = self.sieve.letters();
            for (number, text) in candidates.meant(&texts) {
                if characters.match_in(text, &letters) {
                    found.push(Found { number, text: text.to_owned(), snippet: Snippet::around(text, terms) });
                }
            }
            if found.len() >= narrow.limit {
                break;
            }
        }
        Ok(found)
    }
}

/// The messages of what was found.
async fn hits(connection: &mut SqliteConnection, found: Vec<Found>) -> Result<Vec<Hit>, StoreError> {
    let numbers: Vec<i64> = found.iter().map(|found| found.number).collect();
    let numbers = serde_json::to_string(&numbers).map_err(|_| StoreError::Unavailable)?;
    let rows = sqlx::query(find::MESSAGES).bind(numbers).fetch_all(connection).await?;
    if rows.len() != found.len() {
        return Err(StoreError::Damaged);
    }
    let mut hits = Vec::with_capacity(found.len());
    for (Found { number, text, snippet }, row) in found.into_iter().zip(&rows) {
        if row.try_get::<i64, _>("number")? != number {
            return Err(StoreError::Damaged);
        }
        hits.push(Hit { message: row::message_with(row, text)?, snippet, number });
    }
    Ok(hits)
}
