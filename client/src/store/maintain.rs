//! Deleting what is old, and looking for damage. Implements spec/21-client-store.md §21.6 and §21.8.
use sqlx::{Connection as _, Row as _, SqliteConnection};
use waxwing_wire::{id::AccountId, time::Timestamp};

use super::{EncryptedStore, StoreError, checking, open, packing, row, sieve::Sieve, statements};

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
    /// A block of texts cannot be unpacked, or has others than those of its messages, or a message's text is nowhere.
    Text,
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
        let findings = check(self.writer.connection().await?, &self.reader.sieve).await?;
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
        let mut transaction = connection.begin_with(statements::BEGIN).await?;
        let numbers = old(&mut transaction, moment, conversation).await?;
        if numbers.is_empty() {
            transaction.rollback().await?;
            break;
        }
        packing::remove(&mut transaction, &numbers).await?;
        transaction.commit().await?;
        forgotten = forgotten.saturating_add(u64::try_from(numbers.len()).unwrap_or_default());
    }
    if forgotten > 0 {
        sqlx::query(statements::CHECKPOINT).execute(&mut *connection).await?;
    }
    Ok(forgotten)
}

/// Some of the messages that came here before a moment.
async fn old(
    connection: &mut SqliteConnection,
    moment: Timestamp,
    conversation: Option<&AccountId>,
) -> Result<Vec<i64>, StoreError> {
    let moment = row::signed(moment.0);
    if let Some(conversation) = conversation {
        let numbers = sqlx::query_scalar(statements::OLD_IN).bind(moment).bind(PIECE);
        return Ok(numbers.bind(conversation.as_bytes().as_slice()).fetch_all(connection).await?);
    }
    let numbers: Vec<i64> =
        sqlx::query_scalar(statements::OLD).bind(moment).bind(PIECE).fetch_all(&mut *connection).await?;
    if !numbers.is_empty() {
        return Ok(numbers);
    }
    Ok(sqlx::query_scalar(statements::OLD_LOOSE).bind(moment).bind(PIECE).fetch_all(connection).await?)
}

async fn check(connection: &mut SqliteConnection, sieve: &Sieve) -> Result<Vec<Finding>, StoreError> {
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
    findings.extend(checking::texts(connection, sieve).await?);
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
