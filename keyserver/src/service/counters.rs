//! What was done, in counts: nothing here says for whom. Implements spec/19-keyserver.md §19.9.
use std::sync::atomic::{AtomicU64, Ordering};

use waxwing_wire::{
    frame::ErrorCode,
    keyserver::{Bundle, KeyserverRequest},
};

/// Counts since the process began.
#[derive(Debug)]
pub struct Counters {
    done: [AtomicU64; RequestKind::ALL.len()],
    /// By the place of the code in [`ErrorCode::ALL`].
    failed: Vec<AtomicU64>,
    handed: [AtomicU64; Handed::ALL.len()],
}

/// What is asked, as metrics name it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RequestKind {
    /// `info`.
    Info,
    /// `create_account`.
    CreateAccount,
    /// `publish_manifest`.
    PublishManifest,
    /// `fetch_account`.
    FetchAccount,
    /// `fetch_history`.
    FetchHistory,
    /// `fetch_reach`.
    FetchReach,
    /// `lookup`.
    Lookup,
    /// `fetch_bundles`.
    FetchBundles,
    /// `bound`.
    Bound,
}

/// What was handed out in bundles.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Handed {
    /// Bundles.
    Bundle,
    /// One-time X25519 keys.
    OneTime,
    /// One-time Kyber keys.
    OneTimeKyber,
    /// Last-resort Kyber keys.
    LastResort,
}

impl RequestKind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Info,
        Self::CreateAccount,
        Self::PublishManifest,
        Self::FetchAccount,
        Self::FetchHistory,
        Self::FetchReach,
        Self::Lookup,
        Self::FetchBundles,
        Self::Bound,
    ];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::CreateAccount => "create_account",
            Self::PublishManifest => "publish_manifest",
            Self::FetchAccount => "fetch_account",
            Self::FetchHistory => "fetch_history",
            Self::FetchReach => "fetch_reach",
            Self::Lookup => "lookup",
            Self::FetchBundles => "fetch_bundles",
            Self::Bound => "bound",
        }
    }

    /// What kind of request one is.
    #[must_use]
    pub const fn of(request: &KeyserverRequest) -> Self {
        match request {
            KeyserverRequest::Info => Self::Info,
            KeyserverRequest::CreateAccount(_) => Self::CreateAccount,
            KeyserverRequest::PublishManifest(_) => Self::PublishManifest,
            KeyserverRequest::FetchAccount(_) => Self::FetchAccount,
            KeyserverRequest::FetchHistory(_) => Self::FetchHistory,
            KeyserverRequest::FetchReach(_) => Self::FetchReach,
            KeyserverRequest::Lookup(_) => Self::Lookup,
            KeyserverRequest::FetchBundles(_) => Self::FetchBundles,
            KeyserverRequest::Bound(_) => Self::Bound,
        }
    }
}

impl Handed {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Bundle, Self::OneTime, Self::OneTimeKyber, Self::LastResort];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bundle => "bundle",
            Self::OneTime => "one_time",
            Self::OneTimeKyber => "one_time_kyber",
            Self::LastResort => "last_resort",
        }
    }
}

impl Default for Counters {
    fn default() -> Self {
        let failed = ErrorCode::ALL.iter().map(|_| AtomicU64::new(0)).collect();
        Self {
            done: std::array::from_fn(|_| AtomicU64::new(0)),
            failed,
            handed: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Counters {
    /// Requests that were answered without an error.
    pub fn done(&self) -> impl Iterator<Item = (RequestKind, u64)> {
        RequestKind::ALL.into_iter().zip(self.done.iter().map(load))
    }

    /// Requests that were answered with an error.
    pub fn failed(&self) -> impl Iterator<Item = (ErrorCode, u64)> {
        ErrorCode::ALL.iter().copied().zip(self.failed.iter().map(load))
    }

    /// What was handed out.
    pub fn handed(&self) -> impl Iterator<Item = (Handed, u64)> {
        Handed::ALL.into_iter().zip(self.handed.iter().map(load))
    }

    pub(super) fn count_done(&self, kind: RequestKind) {
        let at = RequestKind::ALL.iter().position(|known| *known == kind);
        add(at.and_then(|at| self.done.get(at)));
    }

    /// Counts an error, also one that was answered before a request reached a session.
    pub fn count_failed(&self, code: ErrorCode) {
        let at = ErrorCode::ALL.iter().position(|known| *known == code);
        add(at.and_then(|at| self.failed.get(at)));
    }

    pub(super) fn count_handed(&self, bundles: &[Bundle]) {
        for bundle in bundles {
            self.count_handed_one(Handed::Bundle);
            if bundle.one_time.is_some() {
                self.count_handed_one(Handed::OneTime);
            }
            self.count_handed_one(if bundle.last_resort { Handed::LastResort } else { Handed::OneTimeKyber });
        }
    }

    fn count_handed_one(&self, what: Handed) {
        let at = Handed::ALL.iter().position(|known| *known == what);
        add(at.and_then(|at| self.handed.get(at)));
    }
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn add(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
