//! The one task that writes. Implements spec/17-relay.md §17.5.
//!
//! ```text
//! segment ──▶ BEGIN; changes; rows; what is forgotten; COMMIT (one fsync) ──▶ settle: ledgers follow ──▶ promise
//!                    one text, one hop to SQLite's thread, if there is nothing but up to 256 rows
//! ```
//! Invariants: a promise is kept after its ledgers are settled; after an error nothing of the transaction is left and the next is tried
//! anew; while SQLite works on a transaction, the one before is settled.
use std::{fmt::Write as _, sync::Arc, time::Instant};

use sqlx::{
    Arguments as _, Connection as _, Executor as _,
    sqlite::{SqliteArguments, SqliteConnection},
};

use super::{
    checkpoint::Checkpoints,
    measures::Measures,
    queue::{Job, Later, Queue, Segment, Work},
    rows::{self, Bound},
    shares::{Left, Shares},
    statements::{self, Part, ROWS, Texts, padded},
};
use crate::store::{
    Unavailable,
    disk::{Content, Insert, Spot},
};

/// Writes until the queue ends.
pub(super) struct Writer {
    pub(super) queue: Arc<Queue>,
    pub(super) connection: SqliteConnection,
    pub(super) checkpoints: Arc<Checkpoints>,
    pub(super) shares: Shares,
    pub(super) texts: Texts,
    pub(super) measures: Arc<Measures>,
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
                        let (queue, shares) = (Arc::clone(&self.queue), self.shares.clone());
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
        let begun = Instant::now();
        let written = self.transaction(work).await;
        match written {
            Ok(bytes) => {
                let rows = work.jobs.len().saturating_add(work.forgotten().count());
                self.measures.committed(rows, begun.elapsed());
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
        let (chunks, shared) = Chunk::all(&inserts, &self.shares);
        let (mut chunks, mut bytes) = (chunks.into_iter().peekable(), PAGE);
        loop {
            let chunk = chunks.next().unwrap_or_default();
            let commits = chunks.peek().is_none();
            let (bodies, envelopes) = (chunk.bodies.len(), chunk.envelopes.len());
            let text = self.texts.of(Part { begins: !begun, bodies, envelopes, commits });
            begun = true;
            let mut arguments = chunk.arguments()?;
            if commits {
                arguments.add(forgotten.envelopes.as_str()).map_err(sqlx::Error::Encode)?;
                arguments.add(forgotten.bodies.as_str()).map_err(sqlx::Error::Encode)?;
            }
            bytes = chunk.bodies.iter().fold(bytes, |bytes, (_, body)| bytes.saturating_add(body.len()));
            self.hop(Bound { text, arguments }).await?;
            if commits {
                break;
            }
        }
        shared.iter().for_each(|body| self.shares.written(*body));
        Ok(bytes.saturating_add(forgotten.count.saturating_mul(PAGE)))
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
        let mut forgotten = Forgotten { envelopes: String::from("["), bodies: String::from("["), count: 0 };
        for spot in work.forgotten() {
            push(&mut forgotten.envelopes, spot.place);
            forgotten.count = forgotten.count.saturating_add(1);
            let body = spot.place.saturating_sub(spot.back.into());
            if spot.back == 0 || self.shares.leave(body) == Left::Nobody {
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

/// Envelopes of one text, and the bodies that come with them: of each its own, and those shared ones that are not in the file.
#[derive(Default)]
struct Chunk<'w> {
    bodies: Vec<(u64, &'w [u8])>,
    envelopes: Vec<(u64, &'w Insert)>,
}

impl<'w> Chunk<'w> {
    /// All of a transaction's, and the shared bodies among them.
    fn all(inserts: &[(u64, &'w Insert)], shares: &Shares) -> (Vec<Self>, Vec<u64>) {
        let mut shared = Vec::new();
        let chunks = inserts.chunks(ROWS).map(|part| {
            let mut chunk = Self { bodies: Vec::with_capacity(part.len()), envelopes: part.to_vec() };
            for (place, insert) in part {
                match &insert.content {
                    Content::Whole(envelope) => chunk.bodies.push((*place, envelope.as_bytes())),
                    Content::Part { shared: bytes, body, .. } => {
                        if !shared.contains(body) && !shares.is_written(*body) {
                            shared.push(*body);
                            chunk.bodies.push((*body, bytes.as_bytes()));
                        }
                    }
                }
            }
            chunk
        });
        (chunks.collect(), shared)
    }

    fn arguments(&self) -> Result<SqliteArguments, sqlx::Error> {
        let (bodies, envelopes) = (padded(self.bodies.len()), padded(self.envelopes.len()));
        let mut arguments = SqliteArguments::default();
        let values = bodies.saturating_mul(2).saturating_add(envelopes.saturating_mul(11)).saturating_add(2);
        arguments.reserve(values, 0);
        for (place, bytes) in &self.bodies {
            rows::bind_body(&mut arguments, *place, bytes)?;
        }
        rows::bind_nothing(&mut arguments, bodies.saturating_sub(self.bodies.len()).saturating_mul(2))?;
        for (place, insert) in &self.envelopes {
            rows::bind_envelope(&mut arguments, *place, insert)?;
        }
        rows::bind_nothing(&mut arguments, envelopes.saturating_sub(self.envelopes.len()).saturating_mul(11))?;
        Ok(arguments)
    }
}

fn settle(queue: &Queue, shares: &Shares, segment: Segment, outcome: Result<(), Unavailable>) {
    let Segment { work, settles, promise, .. } = segment;
    for job in &work.jobs {
        if let Job::Insert { insert, .. } = job {
            insert.mailbox.settle(insert.sequence, outcome);
            if let (Err(Unavailable), Content::Part { body, .. }) = (outcome, &insert.content)
                && shares.leave(*body) == Left::Nobody
            {
                // An envelope that was the first may have brought it and be gone by now.
                queue.owe([Spot { place: *body, back: 0 }]);
            }
        }
    }
    settles.into_iter().for_each(|settle| settle(outcome));
    if outcome.is_err() {
        let parts = work.forgotten().filter(|spot| spot.back > 0);
        parts.for_each(|spot| shares.enter(spot.place.saturating_sub(spot.back.into())));
        queue.owe(work.forgotten());
    }
    promise.keep(outcome);
    work.later.into_iter().filter_map(|Later { promise, .. }| promise).for_each(|promise| promise.keep(outcome));
}

const PAGE: usize = 8_192;
