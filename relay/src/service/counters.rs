//! What was done, in counts: nothing here says for whom. Implements spec/17-relay.md §17.16.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use waxwing_wire::{frame::ErrorCode, relay::RelayRequest};

/// Counts since the process began.
#[derive(Debug)]
pub struct Counters {
    done: [AtomicU64; RequestKind::ALL.len()],
    /// By the place of the code in [`ErrorCode::ALL`].
    failed: Vec<AtomicU64>,
    pushed: AtomicU64,
    repeated: AtomicU64,
    read_back: AtomicU64,
    limited: [AtomicU64; Limit::ALL.len()],
}

/// Whose bucket had no more put (spec §17.11.5), as metrics name it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limit {
    /// The source's.
    Source,
    /// That of the mailbox's share.
    Mailbox,
    /// Everybody's.
    Everybody,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Source, Self::Mailbox, Self::Everybody];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Mailbox => "mailbox",
            Self::Everybody => "everybody",
        }
    }
}

/// What is asked, as metrics name it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "the requests of spec §14, by their names")]
pub enum RequestKind {
    Info,
    CreateMailbox,
    Authenticate,
    Lane,
    MailboxState,
    CloseMailbox,
    DeleteMailbox,
    Put,
    FanOut,
    Subscribe,
    Ack,
    Register,
    Blob,
}

impl RequestKind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Info,
        Self::CreateMailbox,
        Self::Authenticate,
        Self::Lane,
        Self::MailboxState,
        Self::CloseMailbox,
        Self::DeleteMailbox,
        Self::Put,
        Self::FanOut,
        Self::Subscribe,
        Self::Ack,
        Self::Register,
        Self::Blob,
    ];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::CreateMailbox => "create_mailbox",
            Self::Authenticate => "authenticate",
            Self::Lane => "lane",
            Self::MailboxState => "mailbox_state",
            Self::CloseMailbox => "close_mailbox",
            Self::DeleteMailbox => "delete_mailbox",
            Self::Put => "put",
            Self::FanOut => "fan_out",
            Self::Subscribe => "subscribe",
            Self::Ack => "ack",
            Self::Register => "register",
            Self::Blob => "blob",
        }
    }

    /// What kind of request one is.
    #[must_use]
    pub const fn of(request: &RelayRequest) -> Self {
        match request {
            RelayRequest::Info => Self::Info,
            RelayRequest::CreateMailbox(_) => Self::CreateMailbox,
            RelayRequest::Authenticate(_) => Self::Authenticate,
            RelayRequest::AddLane(_) | RelayRequest::RotateLane(_) | RelayRequest::EndLane(_) => Self::Lane,
            RelayRequest::MailboxState => Self::MailboxState,
            RelayRequest::CloseMailbox(_) => Self::CloseMailbox,
            RelayRequest::DeleteMailbox => Self::DeleteMailbox,
            RelayRequest::Put(_) => Self::Put,
            RelayRequest::FanOut(_) => Self::FanOut,
            RelayRequest::Subscribe(_) => Self::Subscribe,
            RelayRequest::Ack(_) => Self::Ack,
            RelayRequest::CreateRegister(_)
            | RelayRequest::WriteRegister(_)
            | RelayRequest::ReadRegister(_)
            | RelayRequest::AwaitRegister(_)
            | RelayRequest::DeleteRegister(_) => Self::Register,
            RelayRequest::CreateBlob(_)
            | RelayRequest::BlobStatus(_)
            | RelayRequest::DeleteBlob(_)
            | RelayRequest::WriteBlob(_)
            | RelayRequest::ReadBlob(_) => Self::Blob,
        }
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            done: std::array::from_fn(|_| AtomicU64::new(0)),
            failed: ErrorCode::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            pushed: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            read_back: AtomicU64::new(0),
            limited: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Counters {
    /// Requests that were answered without an error.
    pub fn done(&self) -> impl Iterator<Item = (RequestKind, u64)> {
        RequestKind::ALL.into_iter().zip(self.done.iter().map(|counter| counter.load(Relaxed)))
    }

    /// Requests that were answered with an error, and streams that were ended with one.
    pub fn failed(&self) -> impl Iterator<Item = (ErrorCode, u64)> {
        ErrorCode::ALL.iter().copied().zip(self.failed.iter().map(|counter| counter.load(Relaxed)))
    }

    /// Envelopes that were pushed.
    #[must_use]
    pub fn pushed(&self) -> u64 {
        self.pushed.load(Relaxed)
    }

    /// Puts that had been accepted before.
    #[must_use]
    pub fn repeated(&self) -> u64 {
        self.repeated.load(Relaxed)
    }

    /// Of the pushed envelopes, those that were read from the store.
    #[must_use]
    pub fn read_back(&self) -> u64 {
        self.read_back.load(Relaxed)
    }

    /// Envelopes that were not taken because their bucket was empty, by whose that was.
    pub fn limited(&self) -> impl Iterator<Item = (Limit, u64)> {
        Limit::ALL.into_iter().zip(self.limited.iter().map(|counter| counter.load(Relaxed)))
    }

    pub(crate) fn count_limited(&self, limit: Limit, count: u32) {
        let at = Limit::ALL.iter().position(|known| *known == limit);
        if let Some(counter) = at.and_then(|at| self.limited.get(at)) {
            counter.fetch_add(u64::from(count), Relaxed);
        }
    }

    pub(crate) fn count_done(&self, kind: RequestKind) {
        let at = RequestKind::ALL.iter().position(|known| *known == kind);
        add(at.and_then(|at| self.done.get(at)));
    }

    pub(crate) fn count_failed(&self, code: ErrorCode) {
        let at = ErrorCode::ALL.iter().position(|known| *known == code);
        add(at.and_then(|at| self.failed.get(at)));
    }

    pub(crate) fn count_pushed(&self) {
        add(Some(&self.pushed));
    }

    pub(crate) fn count_repeated(&self) {
        add(Some(&self.repeated));
    }

    pub(crate) fn count_read_back(&self) {
        add(Some(&self.read_back));
    }
}

fn add(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Relaxed);
    }
}
