//! A copy of the store at one moment, beside its work. Implements spec/17-relay.md §17.24.
use std::{fs::File, os::unix::fs::OpenOptionsExt as _, path::Path};

use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{SqliteStore, files, open, rows, statements::COPY};
use crate::store::{Unavailable, disk::Disk as _, disk::Urgency};

impl SqliteStore {
    /// Writes everything that is accepted by now into a store's file in `folder`, which is there and empty. Puts go on; the log grows until it
    /// is done. The caller syncs the file.
    ///
    /// # Errors
    /// [`Unavailable`], with the reason in the log.
    pub async fn copy_to(&self, folder: &Path) -> Result<(), Unavailable> {
        // What a sender heard of is there already; what waits for its word now comes along.
        self.shared.disk.forget(Vec::new(), Urgency::Now).await?;
        // What a row of the copy speaks of stays until it is copied.
        let _hold = self.shared.disk.files.hold();
        let failed = |error| {
            tracing::error!(%error, "the store was not copied");
            Unavailable
        };
        let target = folder.join(open::FILE);
        self.copy(&target).await.map_err(failed)?;
        let blobs = blobs_of(&target).await.map_err(failed)?;
        self.shared.disk.files.copy(blobs, folder.join(files::FOLDER)).await
    }

    async fn copy(&self, target: &Path) -> Result<(), sqlx::Error> {
        let name = target.to_str().ok_or_else(|| sqlx::Error::Protocol("a name that is not UTF-8".into()))?;
        // SQLite takes an empty file as it is, and nobody else may read it.
        File::options().write(true).create_new(true).mode(0o600).open(target)?;
        let mut connection = self.reading().await?;
        sqlx::query(COPY).bind(name).execute(&mut connection).await?;
        connection.close().await
    }

    /// A connection of its own, so that no subscription waits for a reader.
    pub(super) async fn reading(&self) -> Result<SqliteConnection, sqlx::Error> {
        SqliteConnection::connect_with(&open::options(&self.shared.disk.file).read_only(true)).await
    }
}

/// The numbers of a store's blobs, and how many bytes each has.
async fn blobs_of(file: &Path) -> Result<Vec<(u64, u64)>, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(file).read_only(true).immutable(true);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let blobs = rows::blobs(&mut connection).await?;
    connection.close().await?;
    Ok(blobs)
}
