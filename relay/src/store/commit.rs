//! The moment at which something is on stable storage. Implements spec/17-relay.md §17.5.
//!
//! Invariants: one [`Promise`] stands for a whole transaction, so a put costs a reference count and no channel; whoever made a
//! promise keeps it: dropped without a word it has failed.
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, Waker},
};

use super::{Unavailable, lock};

/// Resolves when what it stands for is on stable storage, or when that failed and nothing was accepted. Clones resolve alike; all
/// that was written in one transaction resolves at once.
#[derive(Clone, Debug)]
#[must_use = "nothing is accepted before the commit"]
pub struct Commit(Option<Arc<Shared>>);

impl Commit {
    /// On stable storage already.
    pub const fn done() -> Self {
        Self(None)
    }

    /// What has become of it; none if that is not known yet.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<(), Unavailable>> {
        match self.0.as_ref().map_or(DONE, |shared| shared.state.load(Ordering::Acquire)) {
            DONE => Some(Ok(())),
            FAILED => Some(Err(Unavailable)),
            _ => None,
        }
    }
}

impl Future for Commit {
    type Output = Result<(), Unavailable>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.outcome() {
            return Poll::Ready(outcome);
        }
        if let Some(shared) = &self.0 {
            let mut wakers = lock(&shared.wakers);
            // Puts of one connection wait in one task; most of a batch's wakers are the same.
            if !wakers.last().is_some_and(|last| last.will_wake(context.waker())) {
                wakers.push(context.waker().clone());
            }
        }
        // It may have been kept between the first look and the waker.
        self.outcome().map_or(Poll::Pending, Poll::Ready)
    }
}

/// The other end of [`Commit`].
#[derive(Debug)]
pub(crate) struct Promise(Arc<Shared>);

impl Promise {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared { state: AtomicU8::new(OPEN), wakers: Mutex::default() }))
    }

    pub(crate) fn commit(&self) -> Commit {
        Commit(Some(Arc::clone(&self.0)))
    }

    pub(crate) fn keep(self, outcome: Result<(), Unavailable>) {
        self.settle(if outcome.is_ok() { DONE } else { FAILED });
    }

    fn settle(&self, state: u8) {
        if self.0.state.compare_exchange(OPEN, state, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            let wakers = core::mem::take(&mut *lock(&self.0.wakers));
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.settle(FAILED);
    }
}

#[derive(Debug)]
struct Shared {
    state: AtomicU8,
    wakers: Mutex<Vec<Waker>>,
}

const OPEN: u8 = 0;
const DONE: u8 = 1;
const FAILED: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_promise_resolves_every_clone_and_dropped_it_has_failed() {
        let promise = Promise::new();
        let (one, two) = (promise.commit(), promise.commit());
        assert_eq!(one.outcome(), None);
        let waiting = tokio::spawn(one);
        tokio::task::yield_now().await;
        promise.keep(Ok(()));
        assert_eq!((waiting.await.unwrap(), two.await), (Ok(()), Ok(())));

        let promise = Promise::new();
        let waiting = tokio::spawn(promise.commit());
        tokio::task::yield_now().await;
        drop(promise);
        assert_eq!(waiting.await.unwrap(), Err(Unavailable));
        assert_eq!(Commit::done().await, Ok(()));
    }
}
