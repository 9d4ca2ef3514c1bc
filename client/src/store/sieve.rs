//! What the tokenizers of the search make of characters, and where in a text is what was looked for: the indexes themselves say only which
//! blocks have a word. Implements spec/21-client-store.md §21.5.
//!
//! ```text
//! characters ─▶ the same tokenizers, in a database in memory ─▶ letters, once each
//! hits ───────▶ an index of them alone, with places of words ─▶ snippets
//! ```
//! Invariants: nothing of it is ever in a file; what was put in is gone when the answer is there.
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use super::{
    StoreError,
    folder::Folder,
    letters::{Letter, Letters, Role},
    statements,
    statements::sieve,
};

/// A small database in memory, made when it is first needed; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Sieve {
    pool: SqlitePool,
    letters: Arc<RwLock<Arc<Letters>>>,
}

impl Sieve {
    pub(super) fn new(folder: &Folder) -> Self {
        let threads = folder.threads;
        let options = SqliteConnectOptions::new()
            .in_memory(true)
            .disable_statement_logging()
            .thread_name(move |_| threads.name())
            .pragma("temp_store", "MEMORY");
        let pool = SqlitePoolOptions::new().max_connections(1).min_connections(0).idle_timeout(None);
        let pool = pool.max_lifetime(None).test_before_acquire(false).after_connect(|connection, _| {
            Box::pin(async {
                for statement in sieve::TABLES {
                    sqlx::query(*statement).execute(&mut *connection).await?;
                }
                Ok(())
            })
        });
        Self { pool: pool.connect_lazy_with(options), letters: Arc::default() }
    }

    /// What is known of characters.
    pub(super) fn letters(&self) -> Arc<Letters> {
        Arc::clone(&self.letters.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks the tokenizers, all at once, about characters of texts that nothing is known of yet, together with those beside them in Unicode: whoever
    /// writes one of them will write others.
    pub(super) async fn learn(&self, texts: &[&str]) -> Result<(), StoreError> {
        let unknown = self.letters().unknown(texts);
        if unknown.is_empty() {
            return Ok(());
        }
        let characters: BTreeSet<char> = unknown.into_iter().flat_map(beside).collect();
        let characters: Vec<char> = characters.into_iter().collect();
        for some in characters.chunks(TOGETHER) {
            let letters = self.asked(some).await?;
            let mut known = self.letters.write().unwrap_or_else(PoisonError::into_inner);
            Arc::make_mut(&mut known).add(letters);
        }
        Ok(())
    }

    /// What the tokenizers make of each: after a letter, before one, and between two.
    async fn asked(&self, characters: &[char]) -> Result<Vec<(char, Letter)>, StoreError> {
        let probes: Vec<String> =
            characters.iter().flat_map(|character| [format!("a{character}a"), format!("{character}a")]).collect();
        let words = self.parts(&probes, (sieve::FILL, sieve::WORDS)).await?;
        let probes: Vec<String> = characters.iter().map(|character| format!("x{character}y")).collect();
        let grams = self.parts(&probes, (sieve::FILL_GRAMS, sieve::GRAMS)).await?;
        let letter = |((character, words), grams): ((&char, &[Vec<String>]), &Vec<String>)| {
            let gram = grams.first().and_then(|gram| gram.chars().nth(1));
            (*character, Letter { word: role(words), gram })
        };
        Ok(characters.iter().zip(words.chunks(2)).zip(&grams).map(letter).collect())
    }

    /// The parts of each text, in their order, as an index has them.
    async fn parts(
        &self,
        texts: &[String],
        (add, read): (&'static str, &'static str),
    ) -> Result<Vec<Vec<String>>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        // Never committed.
        let mut filled = connection.begin_with(statements::SNAPSHOT).await?;
        fill(&mut filled, texts, add).await?;
        let found: Vec<(i64, String)> = sqlx::query_as(read).fetch_all(&mut *filled).await?;
        filled.rollback().await?;
        let mut words = vec![Vec::new(); texts.len()];
        for (number, word) in found {
            let text = usize::try_from(number).ok().and_then(|number| words.get_mut(number));
            text.ok_or(StoreError::Damaged)?.push(word);
        }
        Ok(words)
    }

    /// Which of the texts match a query of FTS5's, and a snippet of each with marks in it.
    pub(super) async fn matching(
        &self,
        texts: &[String],
        query: &str,
        marks: (&str, &str),
    ) -> Result<Vec<(usize, String)>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let mut filled = connection.begin_with(statements::SNAPSHOT).await?;
        fill(&mut filled, texts, sieve::FILL).await?;
        let matching = sqlx::query_as(sieve::MATCHING).bind(query).bind(marks.0).bind(marks.1);
        let matching: Vec<(i64, String)> = matching.fetch_all(&mut *filled).await?;
        filled.rollback().await?;
        let place = |(number, snippet)| Ok((usize::try_from(number).map_err(|_| StoreError::Damaged)?, snippet));
        matching.into_iter().map(place).collect()
    }

    /// Adds to each word of some texts, which have numbers, in how many it is and the sum of their numbers.
    pub(super) async fn tally_words(
        &self,
        texts: &[(i64, String)],
        tally: &mut HashMap<String, (i64, i64)>,
    ) -> Result<(), StoreError> {
        self.tally(texts, (sieve::FILL, sieve::TALLY_WORDS), tally).await
    }

    /// The same of characters in a row.
    pub(super) async fn tally_grams(
        &self,
        texts: &[(i64, String)],
        tally: &mut HashMap<String, (i64, i64)>,
    ) -> Result<(), StoreError> {
        self.tally(texts, (sieve::FILL_GRAMS, sieve::TALLY_GRAMS), tally).await
    }

    async fn tally(
        &self,
        texts: &[(i64, String)],
        (add, read): (&'static str, &'static str),
        tally: &mut HashMap<String, (i64, i64)>,
    ) -> Result<(), StoreError> {
        let all: Vec<&str> = texts.iter().map(|(_, text)| text.as_str()).collect();
        let mut connection = self.pool.acquire().await?;
        let mut filled = connection.begin_with(statements::SNAPSHOT).await?;
        fill(&mut filled, &all, add).await?;
        let found: Vec<(String, i64)> = sqlx::query_as(read).fetch_all(&mut *filled).await?;
        filled.rollback().await?;
        for (word, place) in found {
            let (number, _) =
                usize::try_from(place).ok().and_then(|place| texts.get(place)).ok_or(StoreError::Damaged)?;
            let (count, sum) = tally.entry(word).or_default();
            (*count, *sum) = (count.saturating_add(1), sum.saturating_add(*number));
        }
        Ok(())
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

/// Numbers them from 0 on.
async fn fill(
    connection: &mut SqliteConnection,
    texts: &[impl serde::Serialize],
    statement: &'static str,
) -> Result<(), StoreError> {
    let texts = serde_json::to_string(texts).map_err(|_| StoreError::Unavailable)?;
    sqlx::query(statement).bind(texts).execute(connection).await?;
    Ok(())
}

/// A character after and before a letter, as words.
fn role(words: &[Vec<String>]) -> Role {
    let [within, first] = words else { return Role::Between };
    let [within] = within.as_slice() else { return Role::Between };
    let folded = within.strip_prefix('a').and_then(|rest| rest.strip_suffix('a')).and_then(|rest| rest.chars().next());
    match folded {
        Some(letter) if *first != ["a"] => Role::Letter(letter),
        mark => Role::Mark(mark),
    }
}

/// A character of the first 2^16 with those whose numbers differ in the last byte only. Others by themselves: nobody writes many of them but to
/// have us look at a million.
fn beside(character: char) -> Vec<char> {
    if u32::from(character) > BASIC {
        return vec![character];
    }
    let first = u32::from(character) & !LAST_BYTE;
    (first..=first | LAST_BYTE).filter_map(char::from_u32).filter(|character| !character.is_ascii()).collect()
}

const BASIC: u32 = 0xffff;
/// Characters that are asked about together.
const TOGETHER: usize = 4_096;
const LAST_BYTE: u32 = 0xff;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        EncryptedStore, Protection,
        letters::{Folded, Letters},
    };

    async fn store() -> (tempfile::TempDir, EncryptedStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = EncryptedStore::create(folder.path(), Protection::None).await.unwrap();
        (folder, store)
    }

    #[tokio::test]
    async fn nothing_stays_of_what_was_looked_at() {
        let (_folder, store) = store().await;
        let sieve = &store.reader.sieve;
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let words =
            sieve.parts(&texts(&["Don't panic", "", "Café-42", "☺", "a\0b"]), (sieve::FILL, sieve::WORDS)).await;
        let expected: [&[&str]; 5] = [&["don", "t", "panic"], &[], &["cafe", "42"], &[], &["a", "b"]];
        assert_eq!(words.unwrap(), expected);
        let other = sieve.parts(&texts(&["other"]), (sieve::FILL, sieve::WORDS)).await.unwrap();
        assert_eq!(other, [["other"]], "nothing is left of those before");
        let found = sieve.matching(&texts(&["b a", "a, b!", "a x b"]), "\"a b\"", ("<", ">")).await.unwrap();
        assert_eq!(found, [(1, "<a, b>!".to_owned())]);
    }

    /// A peer writes what it likes, and a search looks at it: what is asked follows what was written, not all of Unicode.
    #[tokio::test]
    async fn a_text_of_characters_from_everywhere_is_learned_at_once() {
        let (_folder, store) = store().await;
        let sieve = &store.reader.sieve;
        let everywhere: String =
            (0..0x11_0000).step_by(0x100).filter_map(|first| char::from_u32(first + 0xe9)).collect();
        sieve.learn(&[everywhere.as_str()]).await.unwrap();
        let known = sieve.letters();
        assert!(known.unknown(&[everywhere.as_str()]).is_empty());
        // 248 rows of the first 2^16 are no surrogates' halves; one character of every other row.
        assert!(known.len() <= 248 * 0x100 + 0x1000, "{}", known.len());
    }

    /// All characters that there are, in texts of many: as the tokenizers take them apart, so do their letters.
    #[tokio::test]
    async fn letters_take_texts_apart_as_the_tokenizers_do() {
        let (_folder, store) = store().await;
        let sieve = &store.reader.sieve;
        let some = |from: u32, to: u32| (from..to).filter_map(char::from_u32).collect::<Vec<char>>();
        // Scripts of all kinds, marks, private use, what is no character, and the first beyond 16 bits.
        let mut all = some(1, 0x3100);
        all.extend(some(0x4e00, 0x4f00));
        all.extend(some(0xac00, 0xad00));
        all.extend(some(0xe000, 0xe100));
        all.extend(some(0xf900, 0x1_0500));
        all.extend(some(0x1_f600, 0x1_f700));
        let texts: Vec<String> = all.chunks(7).map(|some| some.iter().flat_map(|one| [*one, 'b']).collect()).collect();
        let alone: Vec<String> = all.chunks(9).map(|some| some.iter().collect()).collect();
        let mut folded = Folded::default();
        for texts in [texts, alone] {
            sieve.learn(&texts.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap();
            let letters: Arc<Letters> = sieve.letters();
            let words = sieve.parts(&texts, (sieve::FILL, sieve::WORDS)).await.unwrap();
            let grams = sieve.parts(&texts, (sieve::FILL_GRAMS, sieve::GRAMS)).await.unwrap();
            for ((text, words), grams) in texts.iter().zip(&words).zip(&grams) {
                letters.fold(text, &mut folded);
                assert_eq!(folded.words().collect::<Vec<_>>(), *words, "{text:?}");
                let row: Vec<char> = letters.row(text).chars().collect();
                let rows: Vec<String> = row.windows(3).map(|some| some.iter().collect()).collect();
                assert_eq!(rows, *grams, "{text:?}");
            }
        }
    }
}
