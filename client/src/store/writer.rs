//! The one connection that writes. Implements spec/21-client-store.md §21.4.
//!
//! Invariant: a connection that failed is never used again. After an error of the disk SQLite has rolled back what sqlx still takes for a
//! transaction, so that everything later would fail.
use std::fmt;

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{OpenError, StoreError, statements};

/// A connection, and how to get another one.
pub(super) struct Writer {
    options: SqliteConnectOptions,
    connection: SqliteConnection,
    /// The last thing that was done with it failed, or was given up in the middle.
    is_doubtful: bool,
}

impl Writer {
    pub(super) async fn open(options: SqliteConnectOptions) -> Result<Self, OpenError> {
        let connection = connect(&options).await?;
        Ok(Self { options, connection, is_doubtful: false })
    }

    /// The connection, for one piece of work; what came of it is said to [`Self::settle`], or another connection comes next.
    pub(super) async fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        if self.is_doubtful {
            let fresh = connect(&self.options).await?;
            // It has nothing to say any more.
            let _ = std::mem::replace(&mut self.connection, fresh).close().await;
        }
        self.is_doubtful = true;
        Ok(&mut self.connection)
    }

    /// What came of the last piece of work.
    pub(super) fn settle<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        self.is_doubtful = result.is_err();
        result
    }

    pub(super) async fn close(self) -> Result<(), StoreError> {
        Ok(self.connection.close().await?)
    }
}

async fn connect(options: &SqliteConnectOptions) -> Result<SqliteConnection, StoreError> {
    let mut connection = options.connect().await?;
    sqlx::query(statements::WAL).execute(&mut connection).await?;
    Ok(connection)
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The options hold the key.
        let Self { options: _, connection: _, is_doubtful } = self;
        f.debug_struct("Writer").field("is_doubtful", is_doubtful).finish_non_exhaustive()
    }
}
