//! All connections by their names. Implements spec/23-client-driver.md §23.3.
//!
//! Invariants: a link has at most one connection; what an earlier one of the same name still says is not heard; servers that other
//! people name are spoken to in the public internet only, unless the person allows more.
use std::collections::{HashMap, HashSet};

use tokio::{sync::mpsc, task::JoinSet};
use waxwing_engine::Link;
use waxwing_net::{ClientConfig, LeafNumber, Path, Trust};
use waxwing_wire::{address::ServerAddress, time::Timestamp};

use super::line::{Ask, Call, Line, Reason, Said, Speaker};

/// Every connection that is up or being made.
#[derive(Debug)]
pub(super) struct Lines {
    config: ClientConfig,
    /// Whether everybody's servers may lie in private networks.
    private: bool,
    /// The account's own servers, which the person chose.
    own: HashSet<String>,
    leaves: HashMap<[u8; 32], LeafNumber>,
    open: HashMap<Link, Open>,
    by_number: HashMap<u64, Link>,
    last: u64,
    /// Why links are down, and since when; those of links that are wanted again go when they are up.
    reasons: HashMap<Link, Down>,
    said: mpsc::Sender<(u64, Said)>,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Open {
    number: u64,
    asks: mpsc::UnboundedSender<Ask>,
    up: Option<Line>,
}

/// Why a connection is down.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Down {
    /// Why the last one ended, or was not made.
    pub reason: Reason,
    /// When this one tried for the first time.
    pub since: Timestamp,
}

impl Lines {
    pub(super) fn new(
        config: ClientConfig,
        private: bool,
        leaves: impl IntoIterator<Item = ([u8; 32], u64)>,
    ) -> (Self, mpsc::Receiver<(u64, Said)>) {
        let (said, heard) = mpsc::channel(QUEUE);
        let leaves = leaves.into_iter().map(|(server, number)| (server, LeafNumber(number))).collect();
        let lines = Self {
            config,
            private,
            own: HashSet::new(),
            leaves,
            open: HashMap::new(),
            by_number: HashMap::new(),
            last: 0,
            reasons: HashMap::new(),
            said,
            tasks: JoinSet::new(),
        };
        (lines, heard)
    }

    /// Addresses that the person chose.
    pub(super) fn trust<'a>(&mut self, own: impl Iterator<Item = &'a ServerAddress>) {
        self.own = own.map(ToString::to_string).collect();
    }

    pub(super) fn connect(&mut self, link: Link, server: ServerAddress) {
        self.disconnect(link);
        self.last = self.last.saturating_add(1);
        let (asks, asked) = mpsc::unbounded_channel();
        let configured = self.private || self.own.contains(&server.to_string());
        let mut config = self.config.clone();
        config.least_leaf = self.leaves.get(server.key().as_bytes()).copied().unwrap_or(config.least_leaf);
        let call = Call {
            link,
            server,
            trust: if configured { Trust::Configured } else { Trust::Public },
            config,
            asks: asked,
            said: Speaker { number: self.last, queue: self.said.clone() },
        };
        self.open.insert(link, Open { number: self.last, asks, up: None });
        self.by_number.insert(self.last, link);
        self.tasks.spawn(call.run());
        // Those that are over are forgotten.
        while self.tasks.try_join_next().is_some() {}
    }

    /// Lets a connection go; it ends when what it is doing is done.
    pub(super) fn disconnect(&mut self, link: Link) {
        if let Some(open) = self.open.remove(&link) {
            self.by_number.remove(&open.number);
        }
    }

    pub(super) fn disconnect_all(&mut self) {
        self.open.clear();
        self.by_number.clear();
    }

    pub(super) fn ask(&self, link: &Link, ask: Ask) {
        // One that just ended gives no reply; the engine is about to hear of the end.
        if let Some(open) = self.open.get(link) {
            let _ = open.asks.send(ask);
        }
    }

    /// The link of a connection that still counts.
    pub(super) fn link(&self, number: u64) -> Option<Link> {
        self.by_number.get(&number).copied()
    }

    /// It is up. The leaf is given back if it is higher than any that the server showed before.
    pub(super) fn is_up(&mut self, link: Link, leaf: LeafNumber, line: Line) -> Option<LeafNumber> {
        self.reasons.remove(&link);
        if let Some(open) = self.open.get_mut(&link) {
            open.up = Some(line);
        }
        let known = self.leaves.insert(link.server, leaf);
        (known != Some(leaf)).then_some(leaf)
    }

    pub(super) fn is_over(&mut self, link: Link, reason: Reason, now: Timestamp) {
        self.disconnect(link);
        let since = self.reasons.get(&link).map_or(now, |down| down.since);
        self.reasons.insert(link, Down { reason, since });
        if self.reasons.len() > REASONS {
            // Links that nobody wants any more.
            self.reasons.retain(|_, down| now.since(down.since) < FORGOTTEN);
        }
    }

    /// Why a link is down, if it failed since it was last up.
    pub(super) fn down(&self) -> HashMap<Link, Down> {
        self.reasons.clone()
    }

    /// Links that are up, and what their paths are like.
    pub(super) fn paths(&self) -> HashMap<Link, Path> {
        let up = self.open.iter().filter_map(|(link, open)| Some((*link, open.up.as_ref()?.path())));
        up.collect()
    }

    /// Ends all of them, and waits until the servers were told, for a moment.
    pub(super) async fn close(mut self, mut heard: mpsc::Receiver<(u64, Said)>) {
        self.disconnect_all();
        heard.close();
        let told = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GOODBYE, told).await;
    }
}

/// What waits for the driver, of all connections together.
const QUEUE: usize = 256;
const REASONS: usize = 256;
const FORGOTTEN: std::time::Duration = std::time::Duration::from_secs(3_600);
const GOODBYE: std::time::Duration = std::time::Duration::from_millis(1_500);
