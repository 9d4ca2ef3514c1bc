//! Numbers for metrics: how often, never who.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use waxwing_wire::frame::ErrorCode;

use crate::CloseCode;

/// What happened on a listener since it began.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// First packets of would-be connections.
    pub incoming: u64,
    /// Of those, sent back to prove their address.
    pub retried: u64,
    /// Of those, turned away: too many, or draining.
    pub refused: u64,
    /// Turned away: their source begins too many.
    pub too_often: u64,
    /// Handshakes that failed or took too long.
    pub failed_handshakes: u64,
    /// Handshakes that were completed.
    pub connected: u64,
    /// Streams that broke the rules of frames or messages.
    pub malformed: u64,
    /// Streams that were not expected.
    pub unexpected: u64,
    /// Streams and connections that let a deadline pass.
    pub too_slow: u64,
    /// Connections and handshakes now.
    pub open: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    incoming: AtomicU64,
    retried: AtomicU64,
    refused: AtomicU64,
    too_often: AtomicU64,
    failed_handshakes: AtomicU64,
    connected: AtomicU64,
    malformed: AtomicU64,
    unexpected: AtomicU64,
    too_slow: AtomicU64,
}

impl Counters {
    pub(crate) fn incoming(&self) {
        self.incoming.fetch_add(1, Relaxed);
    }

    pub(crate) fn retried(&self) {
        self.retried.fetch_add(1, Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn too_often(&self) {
        self.too_often.fetch_add(1, Relaxed);
    }

    pub(crate) fn failed_handshake(&self) {
        self.failed_handshakes.fetch_add(1, Relaxed);
    }

    pub(crate) fn connected(&self) {
        self.connected.fetch_add(1, Relaxed);
    }

    pub(crate) fn closed_for(&self, code: CloseCode) {
        let counter = match code {
            CloseCode::Error(ErrorCode::Malformed) => &self.malformed,
            CloseCode::Error(ErrorCode::Unexpected) => &self.unexpected,
            CloseCode::TooSlow => &self.too_slow,
            CloseCode::Done | CloseCode::Error(_) | CloseCode::Other(_) => return,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self, open: usize) -> Counts {
        Counts {
            incoming: self.incoming.load(Relaxed),
            retried: self.retried.load(Relaxed),
            refused: self.refused.load(Relaxed),
            too_often: self.too_often.load(Relaxed),
            failed_handshakes: self.failed_handshakes.load(Relaxed),
            connected: self.connected.load(Relaxed),
            malformed: self.malformed.load(Relaxed),
            unexpected: self.unexpected.load(Relaxed),
            too_slow: self.too_slow.load(Relaxed),
            open: u64::try_from(open).unwrap_or(u64::MAX),
        }
    }
}
