//! What the index of words takes for words, and which texts have some of them in a row: the index itself says only which messages have a word.
//! Implements spec/21-client-store.md §21.5.
//!
//! ```text
//! terms ──────▶ the same tokenizer, in a database in memory ─▶ words
//! candidates ─▶ an index of them alone, with places of words ─▶ those that match, and where
//! ```
//! Invariants: nothing of it is ever in a file; what was put in is gone when the answer is there.
use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use super::{StoreError, folder::Folder, statements, statements::sieve};

/// A small database in memory, made when it is first needed; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Sieve {
    pool: SqlitePool,
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
        Self { pool: pool.connect_lazy_with(options) }
    }

    /// The words of each text, in their order, as the index has them.
    pub(super) async fn words(&self, texts: &[&str]) -> Result<Vec<Vec<String>>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        // Never committed.
        let mut filled = connection.begin_with(statements::SNAPSHOT).await?;
        fill(&mut filled, texts).await?;
        let found: Vec<(i64, String)> = sqlx::query_as(sieve::WORDS).fetch_all(&mut *filled).await?;
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
        texts: &[&str],
        query: &str,
        marks: (&str, &str),
    ) -> Result<Vec<(usize, String)>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let mut filled = connection.begin_with(statements::SNAPSHOT).await?;
        fill(&mut filled, texts).await?;
        let matching = sqlx::query_as(sieve::MATCHING).bind(query).bind(marks.0).bind(marks.1);
        let matching: Vec<(i64, String)> = matching.fetch_all(&mut *filled).await?;
        filled.rollback().await?;
        let place = |(number, snippet)| Ok((usize::try_from(number).map_err(|_| StoreError::Damaged)?, snippet));
        matching.into_iter().map(place).collect()
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

/// Numbers them from 0 on.
async fn fill(connection: &mut SqliteConnection, texts: &[&str]) -> Result<(), StoreError> {
    let texts = serde_json::to_string(texts).map_err(|_| StoreError::Unavailable)?;
    sqlx::query(sieve::FILL).bind(texts).execute(connection).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::store::{EncryptedStore, Protection};

    #[tokio::test]
    async fn words_are_those_of_the_tokenizer_and_nothing_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = EncryptedStore::create(folder.path(), Protection::None).await.unwrap();
        let sieve = &store.reader.sieve;
        let words = sieve.words(&["Don't panic", "", "Café-42", "☺", "a\0b"]).await.unwrap();
        let expected: [&[&str]; 5] = [&["don", "t", "panic"], &[], &["cafe", "42"], &[], &["a", "b"]];
        assert_eq!(words, expected);
        assert_eq!(sieve.words(&["other"]).await.unwrap(), [["other"]], "nothing is left of those before");
        let found = sieve.matching(&["b a", "a, b!", "a x b"], "\"a b\"", ("<", ">")).await.unwrap();
        assert_eq!(found, [(1, "<a, b>!".to_owned())]);
    }
}
