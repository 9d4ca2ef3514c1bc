//! The one task that writes. Implements spec/17-relay.md §17.5.
//!
//! ```text
//! segment ──▶ BEGIN; changes; rows; what is forgotten; COMMIT (one fsync) ──▶ settle: ledgers follow ──▶ promise
//!                    one text, one hop to SQLite's thread, if there is nothing but up to 256 rows
//! ```
//! Invariants: a promise is kept after its ledgers are settled; after an error nothing of the transaction is left and the next is tried
//! anew; while SQLite works on a transaction, the one before is settled.
use std::{collections::HashMap, fmt::Write as _, sync::Arc, sync::Mutex};

use sqlx::{
    Arguments as _, Connection as _, Executor as _,
    sqlite::{SqliteArguments, SqliteConnection},
};

use super::{
    checkpoint::Checkpoints,
    queue::{Job, Later, Queue, Segment, Work},
    rows::{self, Bound},
    statements::{self, Part, ROWS, Texts, padded},
};
use crate::store::{
    Unavailable,
    disk::{Insert, Spot},
    lock,
};

/// How many envelopes refer to a body that was fanned out.
pub(super) type Shares = Arc<Mutex<HashMap<u64, u32>>>;

/// Writes until the queue ends.
pub(super) struct Writer {
    pub(super) queue: Arc<Queue>,
    pub(super) connection: SqliteConnection,
    pub(super) checkpoints: Arc<Checkpoints>,
    pub(super) shares: Shares,
    pub(super) texts: Texts,
}

impl Writer {
    pub(super) async fn run(mut self) {
        let mut before: Option<(Segment, Result<(), Unavailable>)> = None;
        loop {
            // Nobody waits for the next transaction longer than for this one's word.
            let next = match before.take() {
                None => self.queue.next().await,
                Some((segment, outcome)) => match self.queue.ready() {
                    Some(next) => {
                        let (queue, shares) = (Arc::clone(&self.queue), Arc::clone(&self.shares));
                        let settling = async move { settle(&queue, &shares, segment, outcome) };
                        let (written, ()) = tokio::join!(self.write(&next.work), settling);
                        before = Some((next, written));
                        continue;
                    }
                    None => {
                        settle(&self.queue, &self.shares, segment, outcome);
                        self.queue.next().await
                    }
                },
            };
            let Some(next) = next else { break };
            let written = self.write(&next.work).await;
            before = Some((next, written));
        }
        self.checkpoints.end();
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "the store's connection did not close");
        }
    }

    async fn write(&mut self, work: &Work) -> Result<(), Unavailable> {
        if self.checkpoints.asks_writer() {
            self.checkpoints.run(&mut self.connection).await;
        }
        let written = self.transaction(work).await;
        match written {
            Ok(bytes) => {
                self.checkpoints.wrote(bytes);
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "a transaction failed; nothing of it was accepted");
                // It may have rolled back by itself.
                let _ = self.connection.execute(statements::ROLLBACK).await;
                Err(Unavailable)
            }
        }
    }

    /// One transaction; about how many bytes it wrote.
    async fn transaction(&mut self, work: &Work) -> Result<usize, sqlx::Error> {
        let forgotten = self.forgotten(work);
        let mut inserts = Vec::with_capacity(work.jobs.len());
        let mut begun = false;
        for job in &work.jobs {
            match job {
                Job::Insert { place, insert } => inserts.push((*place, insert)),
                Job::Change(change) => {
                    for bound in rows::of_change(change)? {
                        self.begin(&mut begun).await?;
                        self.hop(bound).await?;
                    }
                }
            }
        }
        for bound in rows::of_tokens(&inserts)? {
            self.begin(&mut begun).await?;
            self.hop(bound).await?;
        }
        let mut chunks = inserts.chunks(ROWS).peekable();
        loop {
            let chunk = chunks.next().unwrap_or_default();
            let part = Part { begins: !begun, rows: chunk.len(), commits: chunks.peek().is_none() };
            begun = true;
            let mut arguments = SqliteArguments::default();
            arguments.reserve(padded(chunk.len()).saturating_mul(13).saturating_add(2), 0);
            insert_arguments(&mut arguments, chunk)?;
            if part.commits {
                arguments.add(forgotten.envelopes.as_str()).map_err(sqlx::Error::Encode)?;
                arguments.add(forgotten.bodies.as_str()).map_err(sqlx::Error::Encode)?;
            }
            let text = self.texts.of(part).ok_or(sqlx::Error::RowNotFound)?;
            self.hop(Bound { text, arguments }).await?;
            if part.commits {
                break;
            }
        }
        let bodies: usize = inserts.iter().map(|(_, insert)| insert.envelope.size().bytes()).sum();
        Ok(bodies.saturating_add(forgotten.count.saturating_mul(PAGE)).saturating_add(PAGE))
    }

    async fn begin(&mut self, begun: &mut bool) -> Result<(), sqlx::Error> {
        if !*begun {
            *begun = true;
            self.connection.execute("BEGIN IMMEDIATE").await?;
        }
        Ok(())
    }

    async fn hop(&mut self, bound: Bound) -> Result<(), sqlx::Error> {
        let Bound { text, arguments } = bound;
        sqlx::query_with(text, arguments).execute(&mut self.connection).await.map(drop)
    }

    /// The places to delete, as JSON arrays.
    fn forgotten(&self, work: &Work) -> Forgotten {
        let mut shares = lock(&self.shares);
        let mut forgotten = Forgotten { envelopes: String::from("["), bodies: String::from("["), count: 0 };
        for spot in work.forgotten() {
            push(&mut forgotten.envelopes, spot.place);
            forgotten.count = forgotten.count.saturating_add(1);
            let body = spot.place.saturating_sub(spot.back.into());
            let last = if spot.back == 0 { true } else { leave(&mut shares, body) };
            if last {
                push(&mut forgotten.bodies, body);
            }
        }
        forgotten.envelopes.push(']');
        forgotten.bodies.push(']');
        forgotten
    }
}

struct Forgotten {
    envelopes: String,
    bodies: String,
    count: usize,
}

fn push(array: &mut String, place: u64) {
    let comma = if array.len() > 1 { "," } else { "" };
    // Writing to a String cannot fail.
    let _ = write!(array, "{comma}{place}");
}

/// One envelope less refers to a shared body; whether it was the last.
fn leave(shares: &mut HashMap<u64, u32>, body: u64) -> bool {
    let Some(count) = shares.get_mut(&body) else { return true };
    *count = count.saturating_sub(1);
    let last = *count == 0;
    if last {
        shares.remove(&body);
    }
    last
}

/// What [`leave`] took away for a transaction that failed.
fn rejoin(shares: &mut HashMap<u64, u32>, spots: impl Iterator<Item = Spot>) {
    for spot in spots.filter(|spot| spot.back > 0) {
        let count = shares.entry(spot.place.saturating_sub(spot.back.into())).or_default();
        *count = count.saturating_add(1);
    }
}

fn insert_arguments(arguments: &mut SqliteArguments, chunk: &[(u64, &Insert)]) -> Result<(), sqlx::Error> {
    if chunk.is_empty() {
        return Ok(());
    }
    let left_over = padded(chunk.len()).saturating_sub(chunk.len());
    for (place, insert) in chunk {
        rows::bind_body(arguments, *place, insert)?;
    }
    rows::bind_nothing(arguments, left_over.saturating_mul(2))?;
    for (place, insert) in chunk {
        rows::bind_envelope(arguments, *place, insert)?;
    }
    rows::bind_nothing(arguments, left_over.saturating_mul(11))
}

fn settle(queue: &Queue, shares: &Shares, segment: Segment, outcome: Result<(), Unavailable>) {
    let Segment { work, settles, promise, .. } = segment;
    for job in &work.jobs {
        if let Job::Insert { insert, .. } = job {
            insert.mailbox.settle(insert.sequence, outcome);
        }
    }
    settles.into_iter().for_each(|settle| settle(outcome));
    if outcome.is_err() {
        rejoin(&mut lock(shares), work.forgotten());
        queue.owe(work.forgotten());
    }
    promise.keep(outcome);
    work.later.into_iter().filter_map(|Later { promise, .. }| promise).for_each(|promise| promise.keep(outcome));
}

const PAGE: usize = 8_192;
