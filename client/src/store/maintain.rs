//! Deleting what is old, and looking for damage. Implements spec/21-client-store.md §21.6 and §21.8.
use sqlx::{Row as _, SqliteConnection};
use waxwing_wire::{id::AccountId, time::Timestamp};

use super::{EncryptedStore, StoreError, open, row, statements};

/// Something that is not as it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Finding {
    /// A page that is not what was encrypted: the disk changed it, or somebody did.
    Page(String),
    /// The tables do not hang together.
    Structure(String),
    /// A row names another one that is not there.
    Reference {
        /// Of which table.
        table: String,
    },
    /// An index of the search has not what the messages say.
    Search,
}

impl EncryptedStore {
    /// Deletes messages that came here before a moment, in all conversations or in one; what is still to be sent stays. Returns how
    /// many. What they said is overwritten: in the tables, the indexes of the search and the journal, and copies of older layouts are
    /// removed. Flash memory may keep old blocks all the same; they are encrypted.
    ///
    /// # Errors
    /// [`StoreError`]; some of them may be deleted then, each whole.
    pub async fn forget_before(
        &mut self,
        moment: Timestamp,
        conversation: Option<&AccountId>,
    ) -> Result<u64, StoreError> {
        let forgotten = forget(self.writer.connection().await?, moment, conversation).await;
        let forgotten = self.writer.settle(forgotten)?;
        if forgotten > 0 {
            open::forget_copies(&self.folder).map_err(|_| StoreError::Disk(0))?;
        }
        Ok(forgotten)
    }

    /// Looks at every page and, if those are as they were written, at every row. Nothing found: all is well.
    ///
    /// # Errors
    /// [`StoreError`]: it could not be looked at.
    pub async fn check(&mut self) -> Result<Vec<Finding>, StoreError> {
        let findings = check(self.writer.connection().await?).await?;
        // Whoever read a damaged page reads nothing more through that connection.
        if findings.is_empty() { self.writer.settle(Ok(findings)) } else { Ok(findings) }
    }
}

async fn forget(
    connection: &mut SqliteConnection,
    moment: Timestamp,
    conversation: Option<&AccountId>,
) -> Result<u64, StoreError> {
    let mut forgotten = 0_u64;
    loop {
        // Small transactions: whoever wants to save does not wait for all of it.
        let statement = if conversation.is_some() { statements::FORGET_IN } else { statements::FORGET };
        let mut delete = sqlx::query(statement).bind(row::signed(moment.0)).bind(PIECE);
        if let Some(conversation) = conversation {
            delete = delete.bind(conversation.as_bytes().as_slice());
        }
        match delete.execute(&mut *connection).await?.rows_affected() {
            0 => break,
            some => forgotten = forgotten.saturating_add(some),
        }
    }
    if forgotten > 0 {
        sqlx::query(statements::CHECKPOINT).execute(&mut *connection).await?;
    }
    Ok(forgotten)
}

async fn check(connection: &mut SqliteConnection) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Vec::new();
    // Into the file that this looks at.
    sqlx::query(statements::CHECKPOINT).execute(&mut *connection).await?;
    for text in texts(&mut *connection, statements::check::PAGES).await? {
        findings.push(Finding::Page(text));
    }
    if !findings.is_empty() {
        return Ok(findings);
    }
    for text in texts(&mut *connection, statements::check::STRUCTURE).await? {
        if text != "ok" {
            findings.push(Finding::Structure(text));
        }
    }
    for row in sqlx::query(statements::check::REFERENCES).fetch_all(&mut *connection).await? {
        findings.push(Finding::Reference { table: row.try_get(0)? });
    }
    for statement in [statements::check::WORDS, statements::check::GRAMS] {
        match sqlx::query(statement).execute(&mut *connection).await.map_err(StoreError::from) {
            Ok(_) => {}
            Err(StoreError::Damaged) => findings.push(Finding::Search),
            Err(error) => return Err(error),
        }
    }
    Ok(findings)
}

/// The first column; a database that is too damaged to be looked through is a finding.
async fn texts(connection: &mut SqliteConnection, statement: &'static str) -> Result<Vec<String>, StoreError> {
    match sqlx::query_scalar(statement).fetch_all(connection).await.map_err(StoreError::from) {
        Err(StoreError::Damaged) => Ok(vec!["it cannot be read".to_owned()]),
        texts => texts,
    }
}

const PIECE: i64 = 500;
