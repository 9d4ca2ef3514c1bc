//! What a log may say of a failed database. Implements the last sentence of spec/19-keyserver.md §19.9.
//!
//! Invariants: an error is told by its kind and number. What SQLite and sqlx say in words stays here: a text may quote a value, a
//! row's or a statement's, and one that doesn't today may tomorrow.
use std::fmt;

use crate::store::Unavailable;

/// A kind of error, without its words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Kind(Of);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Of {
    /// SQLite's extended result code.
    Sqlite(u32),
    System(std::io::ErrorKind),
    Other(&'static str),
}

impl Kind {
    /// Of an error of the database.
    pub(super) fn of(error: &sqlx::Error) -> Self {
        Self(match error {
            sqlx::Error::Database(error) => {
                let code = error.code().and_then(|code| code.parse().ok());
                code.map_or(Of::Other("an error without a number"), Of::Sqlite)
            }
            sqlx::Error::Io(error) => Of::System(error.kind()),
            sqlx::Error::RowNotFound => Of::Other("a row that should be there is not"),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
                Of::Other("a row that was not written by us")
            }
            sqlx::Error::PoolTimedOut => Of::Other("no connection is free"),
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Of::Other("a connection is closed"),
            _ => Of::Other("something else"),
        })
    }
}

impl From<&sqlx::Error> for Kind {
    fn from(error: &sqlx::Error) -> Self {
        Self::of(error)
    }
}

impl From<&rusqlite::Error> for Kind {
    fn from(error: &rusqlite::Error) -> Self {
        use rusqlite::Error;
        Self(match error {
            Error::SqliteFailure(code, _) => {
                let code = u32::try_from(code.extended_code);
                code.map_or(Of::Other("an error without a number"), Of::Sqlite)
            }
            Error::FromSqlConversionFailure(..) | Error::IntegralValueOutOfRange(..) | Error::InvalidColumnType(..) => {
                Of::Other("a row that was not written by us")
            }
            _ => Of::Other("something else"),
        })
    }
}

impl From<std::io::ErrorKind> for Kind {
    fn from(kind: std::io::ErrorKind) -> Self {
        Self(Of::System(kind))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Of::Sqlite(code) => write!(f, "{} (SQLite {code})", words(code)),
            Of::System(kind) => write!(f, "{kind}"),
            Of::Other(words) => f.write_str(words),
        }
    }
}

/// Says that the database failed, and how.
pub(super) fn unavailable<'e, E>(error: &'e E) -> Unavailable
where
    Kind: From<&'e E>,
{
    tracing::error!(kind = %Kind::from(error), "the database failed");
    Unavailable
}

/// What an operator does something about; the low eight bits say which kind it is.
const fn words(code: u32) -> &'static str {
    match code & 0xff {
        5 | 6 => "locked by another",
        8 => "read-only",
        10 => "the disk failed",
        11 => "damaged",
        13 => "the disk is full",
        14 => "it cannot be opened",
        19 => "a rule of a table is broken",
        26 => "not a database",
        _ => "an error",
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "a panic is the report")]
mod tests {
    use std::sync::{Arc, Mutex};

    use sqlx::{Connection as _, SqliteConnection};

    use super::*;

    /// Everything that is logged while it is the subscriber.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<String>>);

    impl tracing::Subscriber for Log {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }

        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}

        fn event(&self, event: &tracing::Event<'_>) {
            struct Fields<'l>(&'l mut String);
            impl tracing::field::Visit for Fields<'_> {
                fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
                    use fmt::Write as _;
                    write!(self.0, "{field}={value:?} ").unwrap();
                }
            }
            event.record(&mut Fields(&mut self.0.lock().unwrap()));
        }
    }

    const SECRET: &str = "alice-vole";

    /// Errors of SQLite whose texts quote what somebody asked for, each provoked.
    async fn quoting() -> Vec<sqlx::Error> {
        let mut connection = SqliteConnection::connect(":memory:").await.unwrap();
        let mut errors = Vec::new();
        for sql in [
            format!("SELECT \"{SECRET}\" FROM nowhere"),
            format!("SELECT * FROM \"{SECRET}\""),
            format!("SELECT json('{{') -- {SECRET}"),
            format!("SELECT 1 '{SECRET}' 2"),
        ] {
            errors.push(sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap_err());
        }
        let raised = format!(
            "CREATE TABLE t (a); CREATE TRIGGER r BEFORE INSERT ON t BEGIN SELECT RAISE(ABORT, '{SECRET}'); END"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(raised)).execute(&mut connection).await.unwrap();
        errors.push(sqlx::query("INSERT INTO t VALUES (1)").execute(&mut connection).await.unwrap_err());
        let row = sqlx::query("SELECT ?").bind(SECRET).fetch_one(&mut connection).await.unwrap();
        let text: String = sqlx::Row::try_get(&row, 0).unwrap();
        errors.push(super::super::number::damaged(0, text.parse::<i64>().unwrap_err()));
        errors.push(sqlx::Error::ColumnNotFound(SECRET.into()));
        errors.push(sqlx::Error::Io(std::io::Error::other(SECRET)));
        errors.push(sqlx::Error::Protocol(SECRET.into()));
        errors.push(sqlx::Error::Configuration(SECRET.into()));
        errors
    }

    /// The same of the library that fetches use.
    fn quoting_directly() -> Vec<rusqlite::Error> {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let mut errors = Vec::new();
        for sql in [format!("SELECT * FROM \"{SECRET}\""), format!("SELECT 1 '{SECRET}' 2")] {
            errors.push(connection.execute_batch(&sql).unwrap_err());
        }
        let raised = format!("SELECT '{SECRET}'");
        errors.push(connection.query_row(&raised, [], |row| row.get::<_, i64>(0)).unwrap_err());
        connection.execute_batch("CREATE TABLE t (a CHECK (a <> 1)); INSERT INTO t VALUES (2)").unwrap();
        errors.push(connection.execute_batch("INSERT INTO t VALUES (1)").unwrap_err());
        errors
    }

    #[tokio::test]
    async fn a_failure_is_logged_by_its_kind_whatever_its_words_quote() {
        let errors = quoting().await;
        let quoted = errors.iter().filter(|error| error.to_string().contains(SECRET)).count();
        assert!(quoted >= 5, "{quoted} of them would have told");
        let log = Log::default();
        for error in &errors {
            tracing::subscriber::with_default(log.clone(), || unavailable(error));
        }
        let directly = quoting_directly();
        assert!(
            directly.iter().filter(|error| error.to_string().contains(SECRET)).count() >= 2,
            "some would have told"
        );
        for error in &directly {
            tracing::subscriber::with_default(log.clone(), || unavailable(error));
        }
        let said = log.0.lock().unwrap().clone();
        assert_eq!(said.matches("the database failed").count(), errors.len() + directly.len(), "{said}");
        assert!(!said.contains("alice") && !said.contains("vole"), "{said}");
        assert!(said.contains("kind=a rule of a table is broken (SQLite 1811)"), "{said}");
        assert!(said.contains("kind=a rule of a table is broken (SQLite 275)"), "{said}");
        assert!(said.contains("kind=a row that was not written by us"), "{said}");
    }

    #[test]
    fn an_operator_reads_what_to_do_something_about() {
        for (code, expected) in [
            (13, "the disk is full (SQLite 13)"),
            (5 | 2 << 8, "locked by another (SQLite 517)"),
            (10 | 12 << 8, "the disk failed (SQLite 3082)"),
            (11, "damaged (SQLite 11)"),
            (26, "not a database (SQLite 26)"),
            (21, "an error (SQLite 21)"),
        ] {
            assert_eq!(Kind(Of::Sqlite(code)).to_string(), expected);
        }
    }
}
