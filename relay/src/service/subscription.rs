//! Pushing to the owner. Implements spec/17-relay.md §17.14.
//!
//! ```text
//! subscribe ─▶ store.watch ─▶ reply ─┬─ backlog: read, push … backlog_end ─▶ backlog stream
//!                                    └─ live: queue, or read when it fell behind ─▶ control stream
//! ```
//! Invariants: nothing of a subscription is sent before its reply, and nothing of the one before after that; both parts wait for
//! the outbox, so that a slow client slows itself.
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{self, Either};
use waxwing_wire::{
    frame::ErrorCode,
    relay::{
        Ack, BacklogEnd, Delivery, LaneFull, OnlineDelivery, RelayPush, RelayReply, RequestId, Sequence, ServerFrame,
        Subscribe, Subscribed,
    },
};

use super::{
    Gone, Outbox, RequestKind, Session,
    failure::Failure,
    feed::{BacklogStep, End, Feed, LiveStep, Range},
};
use crate::store::{MailboxError, Store, StoredEnvelope, Watcher};

/// A session's subscription, if it has one.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    feed: Mutex<Option<Arc<Feed>>>,
    /// Held while a feed is emptied: the next one waits for it.
    pumping: tokio::sync::Mutex<()>,
}

impl Subscription {
    fn feed(&self) -> Option<Arc<Feed>> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, feed: Arc<Feed>) {
        *self.feed.lock().unwrap_or_else(PoisonError::into_inner) = Some(feed);
    }

    /// Nothing more is pushed.
    pub(super) fn stop(&self) {
        if let Some(feed) = self.feed() {
            feed.stop(End::Replaced);
        }
    }

    /// What the store knows it by.
    pub(super) fn watcher(&self) -> Option<Arc<dyn Watcher>> {
        let feed: Arc<dyn Watcher> = self.feed()?;
        Some(feed)
    }
}

impl<S: Store, O: Outbox> Session<S, O> {
    /// Answers, and then pushes until the subscription is over.
    pub(super) async fn subscribe(&self, subscribe: Subscribe, id: RequestId) {
        let turn = self.turn().await;
        self.subscription.stop();
        let pumping = self.subscription.pumping.lock().await;
        let begun = self.watch(subscribe).await;
        let (outcome, feed) = match begun {
            Ok((subscribed, feed)) => (Ok(RelayReply::Subscribed(subscribed)), Some(feed)),
            Err(failure) => (Err(failure), None),
        };
        self.answer(id, RequestKind::Subscribe, outcome).await;
        drop(turn);
        if let Some(feed) = feed {
            self.pump(&feed).await;
        }
        drop(pumping);
    }

    async fn watch(&self, subscribe: Subscribe) -> Result<(Subscribed, Arc<Feed>), Failure> {
        let Subscribe { after, window } = subscribe;
        let (mailbox, server) = (self.owned()?, self.server());
        let window = window.min(server.settings.limits.push_window).max(1);
        let feed = Arc::new(Feed::new(after, window));
        let watcher: Arc<dyn Watcher> = feed.clone();
        // Known to the session first: dropped in the middle, it takes the watcher away.
        self.subscription.replace(Arc::clone(&feed));
        let watched = server.store.watch(&mailbox, after, watcher, server.now()).await?;
        feed.begin(watched);
        Ok((Subscribed { newest: watched.newest, waiting: watched.waiting }, feed))
    }

    /// §17.14.5: frees the window at once, and answers after the commit.
    pub(super) async fn ack(&self, ack: &Ack) -> Result<RelayReply, Failure> {
        let commit = {
            let _turn = self.turn().await;
            let (mailbox, server) = (self.owned()?, self.server());
            server.store.ack(&mailbox, ack, server.now()).await?
        };
        commit.await?;
        Ok(RelayReply::Done)
    }

    async fn pump(&self, feed: &Feed) {
        let (live, backlog) = (std::pin::pin!(self.live(feed)), std::pin::pin!(self.backlog(feed)));
        let over = match future::select(live, backlog).await {
            Either::Left((over, _)) => over,
            Either::Right((Ok(()), live)) => live.await,
            Either::Right((Err(over), _)) => over,
        };
        match over {
            Over::Ended(End::Superseded) => {
                let _ = self.outbox.control(&ServerFrame::Push(RelayPush::Superseded)).await;
            }
            Over::Ended(End::Ended) => self.outbox.end(ErrorCode::Refused),
            // The client comes back and finds what it had not got.
            Over::Unavailable => self.outbox.end(ErrorCode::StoreUnavailable),
            Over::Ended(End::Replaced) | Over::Gone => {}
        }
    }

    /// Pushes what comes from now on. Ends with the subscription.
    async fn live(&self, feed: &Feed) -> Over {
        let mut piece = Piece::default();
        loop {
            let mut changed = std::pin::pin!(feed.changed());
            changed.as_mut().enable();
            let pushed = match feed.live() {
                LiveStep::Push(envelope) => self.push_live(feed, envelope).await,
                LiveStep::Online(lane, envelope) => {
                    let envelope = Arc::unwrap_or_clone(envelope);
                    let push = RelayPush::OnlineDelivery(OnlineDelivery { lane, envelope });
                    self.send(feed, self.outbox.control(&ServerFrame::Push(push))).await
                }
                LiveStep::LaneFull(lane, turned_away) => {
                    let push = RelayPush::LaneFull(LaneFull { lane, turned_away });
                    self.send(feed, self.outbox.control(&ServerFrame::Push(push))).await
                }
                LiveStep::Read(range) => self.catch_up(feed, range, &mut piece).await,
                LiveStep::Wait => {
                    changed.await;
                    Ok(())
                }
                LiveStep::End(end) => Err(Over::Ended(end)),
            };
            if let Err(over) = pushed {
                return over;
            }
        }
    }

    async fn catch_up(&self, feed: &Feed, range: Range, piece: &mut Piece) -> Result<(), Over> {
        let (envelopes, whole) = self.read(range, piece).await?;
        for envelope in envelopes {
            if feed.take_live(envelope.sequence) {
                self.server().counters.count_read_back();
                self.push_live(feed, envelope).await?;
            }
        }
        if whole {
            feed.read_live(range.up_to);
        }
        Ok(())
    }

    async fn push_live(&self, feed: &Feed, envelope: StoredEnvelope) -> Result<(), Over> {
        self.server().counters.count_pushed();
        let frame = delivery(envelope);
        self.send(feed, self.outbox.control(&frame)).await
    }

    /// Pushes what had waited. Ends when that is through.
    async fn backlog(&self, feed: &Feed) -> Result<(), Over> {
        let mut piece = Piece::default();
        loop {
            let mut changed = std::pin::pin!(feed.changed());
            changed.as_mut().enable();
            match feed.backlog() {
                BacklogStep::Read(range) => {
                    let (envelopes, whole) = self.read(range, &mut piece).await?;
                    for envelope in envelopes {
                        if feed.take_backlog(envelope.sequence) {
                            self.server().counters.count_pushed();
                            self.server().counters.count_read_back();
                            let frame = delivery(envelope);
                            self.send(feed, self.outbox.backlog(&frame)).await?;
                        }
                    }
                    if whole {
                        feed.read_backlog(range.up_to);
                    }
                }
                BacklogStep::Through(sequence) => {
                    let push = RelayPush::BacklogEnd(BacklogEnd { sequence });
                    self.send(feed, self.outbox.backlog(&ServerFrame::Push(push))).await?;
                }
                BacklogStep::Wait => changed.await,
                BacklogStep::End => return Ok(()),
            }
        }
    }

    /// A piece of a range, and whether the range ends with it: only if it is empty, because what was acked or expired meanwhile
    /// makes a piece shorter too.
    async fn read(&self, range: Range, piece: &mut Piece) -> Result<(Vec<StoredEnvelope>, bool), Over> {
        let (Some(mailbox), server) = (self.owner.get(), self.server()) else { return Err(Over::Gone) };
        let most = range.room.min(piece.most());
        match server.store.read(mailbox, range.after, range.up_to, most, server.now()).await {
            Ok(envelopes) => {
                piece.saw(&envelopes);
                let whole = envelopes.is_empty();
                Ok((envelopes, whole))
            }
            Err(MailboxError::Refused) => Err(Over::Ended(End::Ended)),
            Err(MailboxError::Unavailable(_)) => Err(Over::Unavailable),
        }
    }

    /// Waits for room, but not beyond the end of the subscription.
    async fn send(&self, feed: &Feed, sending: impl Future<Output = Result<(), Gone>>) -> Result<(), Over> {
        let mut sending = std::pin::pin!(sending);
        loop {
            let mut changed = std::pin::pin!(feed.changed());
            changed.as_mut().enable();
            if let Some(end) = feed.ended() {
                return Err(Over::Ended(end));
            }
            match future::select(sending.as_mut(), changed).await {
                Either::Left((sent, _)) => return sent.map_err(|Gone| Over::Gone),
                Either::Right(((), _)) => {}
            }
        }
    }
}

/// Why pushing ends.
#[derive(Clone, Copy, Debug)]
enum Over {
    Ended(End),
    Unavailable,
    Gone,
}

fn delivery(envelope: StoredEnvelope) -> ServerFrame {
    let StoredEnvelope { sequence, lane, delivery, envelope } = envelope;
    let envelope = Arc::unwrap_or_clone(envelope);
    ServerFrame::Push(RelayPush::Delivery(Delivery { sequence: Sequence(sequence), lane, delivery, envelope }))
}

/// How many envelopes are read at once: as many as make up some 128 KiB, judged by the last piece.
#[derive(Debug)]
struct Piece {
    average: usize,
}

impl Default for Piece {
    fn default() -> Self {
        Self { average: 16_384 }
    }
}

impl Piece {
    fn most(&self) -> u32 {
        let most = PIECE.checked_div(self.average).unwrap_or(1);
        u32::try_from(most).unwrap_or(1).max(1)
    }

    fn saw(&mut self, envelopes: &[StoredEnvelope]) {
        let bytes = envelopes.iter().fold(0_usize, |sum, next| sum.saturating_add(next.envelope.size().bytes()));
        if let Some(average) = bytes.checked_div(envelopes.len()) {
            self.average = average;
        }
    }
}

/// Bytes.
const PIECE: usize = 131_072;
