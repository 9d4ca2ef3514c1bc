//! Connections and what is asked over them. Implements spec/20-client.md §20.3.
//!
//! ```text
//! (absent) ──wanted──▶ Connecting ──connected──▶ Up ──idle──▶ (absent)
//!     ▲                    │ failed, too slow     │ broken, a call too slow
//!     └──── wait over ── Waiting ◀────────────────┘
//! ```
//! Nobody queues requests here: each part of the engine looks at what it wants done, asks whether it may do it now, and does it. A
//! connection that breaks forgets its calls, and the next look finds them undone.
//! Invariants: a task is asked once at a time; failures back off, each connection and each task by itself.
use std::collections::BTreeMap;

use core::time::Duration;

use rand_core::CryptoRng;
use waxwing_wire::{
    address::ServerAddress, keyserver::KeyserverRequest, relay::RelayRequest, request::Exporter, time::Timestamp,
};

use crate::{
    interface::{CallId, ConnectionState, ConnectionView, Event, Link, Output, Purpose, TroubleCause},
    random,
    stage::Stage,
    times,
};

/// All connections. `T` names what a call is for.
#[derive(Debug)]
pub(crate) struct Links<T> {
    links: BTreeMap<Link, Connection>,
    calls: BTreeMap<CallId, Call<T>>,
    tasks: BTreeMap<T, CallId>,
    waits: BTreeMap<T, Wait>,
    next_call: u64,
}

#[derive(Debug)]
struct Connection {
    server: ServerAddress,
    state: State,
    failures: u32,
    /// Whether somebody wanted it in the last look round.
    wanted: bool,
}

#[derive(Debug)]
enum State {
    Connecting { since: Timestamp },
    Up { exporter: Exporter, since: Timestamp, last_used: Timestamp, bound_requests: u32 },
    Waiting { until: Timestamp },
}

#[derive(Debug)]
struct Call<T> {
    link: Option<Link>,
    task: T,
    asked: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    until: Timestamp,
    failures: u32,
}

impl<T: Ord + Clone> Links<T> {
    pub(crate) const fn new() -> Self {
        Self {
            links: BTreeMap::new(),
            calls: BTreeMap::new(),
            tasks: BTreeMap::new(),
            waits: BTreeMap::new(),
            next_call: 1,
        }
    }

    /// Whether `task` may be asked over `link` now: it is not being asked, its wait is over, and the connection is up. One that is
    /// not up is opened.
    pub(crate) fn may(
        &mut self,
        link: Link,
        server: &ServerAddress,
        task: &T,
        now: Timestamp,
        stage: &mut Stage,
    ) -> bool {
        self.is_due(task, now) && self.is_up(link, server, now, stage)
    }

    /// Whether `task` is being asked.
    pub(crate) fn is_asked(&self, task: &T) -> bool {
        self.tasks.contains_key(task)
    }

    /// Whether anything is being asked over the connection.
    pub(crate) fn is_busy(&self, link: &Link) -> bool {
        self.calls.values().any(|call| call.link.as_ref() == Some(link))
    }

    /// Whether `task` is neither being asked nor waiting.
    pub(crate) fn is_due(&self, task: &T, now: Timestamp) -> bool {
        !self.tasks.contains_key(task) && self.waits.get(task).is_none_or(|wait| wait.until <= now)
    }

    /// Whether the connection is up; if not, it is opened as soon as that may be tried.
    pub(crate) fn is_up(&mut self, link: Link, server: &ServerAddress, now: Timestamp, stage: &mut Stage) -> bool {
        let failures = match self.links.get_mut(&link) {
            None => 0,
            Some(connection) => {
                connection.wanted = true;
                match connection.state {
                    State::Up { .. } => return true,
                    State::Connecting { .. } => return false,
                    State::Waiting { until } if until > now => return false,
                    State::Waiting { .. } => connection.failures,
                }
            }
        };
        let state = State::Connecting { since: now };
        let connection = Connection { server: server.clone(), state, failures, wanted: true };
        self.links.insert(link, connection);
        stage.effect(Output::Connect { link, server: server.clone() });
        false
    }

    /// What signatures on the connection are bound to, and how many bound requests it has accepted.
    pub(crate) fn binding(&self, link: &Link) -> Option<(&Exporter, u32)> {
        match &self.links.get(link)?.state {
            State::Up { exporter, bound_requests, .. } => Some((exporter, *bound_requests)),
            _ => None,
        }
    }

    /// The server accepted a bound request on this connection (spec §11.11.2).
    pub(crate) fn count_bound(&mut self, link: &Link) {
        if let Some(Connection { state: State::Up { bound_requests, .. }, .. }) = self.links.get_mut(link) {
            *bound_requests = bound_requests.saturating_add(1);
        }
    }

    pub(crate) fn ask_relay(&mut self, link: Link, task: T, request: RelayRequest, now: Timestamp, stage: &mut Stage) {
        let call = self.begin(Some(link), task, now);
        stage.effect(Output::Relay { link, call, request });
    }

    pub(crate) fn ask_keyserver(
        &mut self,
        link: Link,
        task: T,
        request: KeyserverRequest,
        now: Timestamp,
        stage: &mut Stage,
    ) {
        let call = self.begin(Some(link), task, now);
        stage.effect(Output::Keyserver { link, call, request });
    }

    pub(crate) fn ask_work(&mut self, task: T, puzzle: waxwing_wire::pow::Puzzle, now: Timestamp, stage: &mut Stage) {
        let call = self.begin(None, task, now);
        stage.effect(Output::Solve { call, puzzle });
    }

    fn begin(&mut self, link: Option<Link>, task: T, now: Timestamp) -> CallId {
        let call = CallId(self.next_call);
        self.next_call = self.next_call.saturating_add(1);
        if let Some(Connection { state: State::Up { last_used, .. }, .. }) =
            link.and_then(|link| self.links.get_mut(&link))
        {
            *last_used = now;
        }
        self.tasks.insert(task.clone(), call);
        self.calls.insert(call, Call { link, task, asked: now });
        call
    }

    /// The task of a call that was answered, and its connection; none if its connection is over.
    pub(crate) fn answered(&mut self, call: CallId, now: Timestamp) -> Option<(Option<Link>, T)> {
        let Call { link, task, .. } = self.calls.remove(&call)?;
        self.tasks.remove(&task);
        if let Some(Connection { state: State::Up { last_used, .. }, failures, .. }) =
            link.and_then(|link| self.links.get_mut(&link))
        {
            (*last_used, *failures) = (now, 0);
        }
        Some((link, task))
    }

    /// The task is done; what it waited for is forgotten.
    pub(crate) fn succeeded(&mut self, task: &T) {
        self.waits.remove(task);
    }

    /// The task failed: not again before a wait that grows, and not before `retry_after`.
    pub(crate) fn failed(
        &mut self,
        task: T,
        retry_after: Option<Duration>,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Timestamp {
        let failures = self.waits.get(&task).map_or(0, |wait| wait.failures);
        let wait = back_off(failures, rng).max(retry_after.unwrap_or_default());
        let until = now.saturating_add(wait);
        self.waits.insert(task, Wait { until, failures: failures.saturating_add(1) });
        until
    }

    pub(crate) fn connected(&mut self, link: Link, exporter: Exporter, now: Timestamp) -> bool {
        let Some(connection) = self.links.get_mut(&link) else { return false };
        connection.state = State::Up { exporter, since: now, last_used: now, bound_requests: 0 };
        connection.failures = connection.failures.min(times::AFTER_UP);
        true
    }

    /// The connection is over. Its calls are as if they had not been asked.
    pub(crate) fn disconnected(&mut self, link: Link, now: Timestamp, stage: &mut Stage, rng: &mut impl CryptoRng) {
        let was_up = matches!(self.links.get(&link), Some(Connection { state: State::Up { .. }, .. }));
        let cause = if was_up { TroubleCause::Lost } else { TroubleCause::Unreachable };
        self.failed_by(link, cause, now, stage, rng);
    }

    fn failed_by(
        &mut self,
        link: Link,
        cause: TroubleCause,
        now: Timestamp,
        stage: &mut Stage,
        rng: &mut impl CryptoRng,
    ) {
        self.forget_calls(link);
        let Some(connection) = self.links.get_mut(&link) else { return };
        let until = now.saturating_add(back_off(connection.failures, rng));
        connection.failures = connection.failures.saturating_add(1);
        connection.state = State::Waiting { until };
        if connection.failures > 1 {
            stage.notify(Event::Trouble { link, cause, retry_at: until });
        }
    }

    /// Ends a connection from this side.
    pub(crate) fn close(&mut self, link: Link, stage: &mut Stage) {
        self.forget_calls(link);
        if let Some(Connection { state: State::Up { .. } | State::Connecting { .. }, .. }) = self.links.remove(&link) {
            stage.effect(Output::Disconnect { link });
        }
    }

    fn forget_calls(&mut self, link: Link) {
        let over: Vec<CallId> =
            self.calls.iter().filter(|(_, call)| call.link == Some(link)).map(|(id, _)| *id).collect();
        for id in over {
            if let Some(call) = self.calls.remove(&id) {
                self.tasks.remove(&call.task);
            }
        }
    }

    /// Ends what is too slow and what nobody needs. Before each look round.
    pub(crate) fn tidy(&mut self, now: Timestamp, stage: &mut Stage, rng: &mut impl CryptoRng) {
        let slow_calls = self.calls.values().filter(|call| now.since(call.asked) >= times::CALL);
        let mut over: Vec<Link> = slow_calls.filter_map(|call| call.link).collect();
        let slow_starts = self.links.iter().filter(|(_, connection)| match connection.state {
            State::Connecting { since } => now.since(since) >= times::CONNECT,
            _ => false,
        });
        over.extend(slow_starts.map(|(link, _)| *link));
        over.sort_unstable();
        over.dedup();
        for link in over {
            stage.effect(Output::Disconnect { link });
            self.failed_by(link, TroubleCause::Silent, now, stage, rng);
        }
        let busy: Vec<Link> = self.calls.values().filter_map(|call| call.link).collect();
        let idle = self.links.iter().filter(|(link, connection)| match connection.state {
            State::Up { last_used, .. } => {
                let anonymous = !matches!(link.purpose, Purpose::Owner(_));
                anonymous && !busy.contains(link) && now.since(last_used) >= times::IDLE
            }
            _ => false,
        });
        let idle: Vec<Link> = idle.map(|(link, _)| *link).collect();
        idle.into_iter().for_each(|link| self.close(link, stage));
        self.waits.retain(|_, wait| now.since(wait.until) < times::BACK_OFF.2);
        self.links.values_mut().for_each(|connection| connection.wanted = false);
    }

    /// How a connection is; none if nobody needed it lately.
    pub(crate) fn state(&self, link: &Link) -> Option<ConnectionState> {
        Some(match self.links.get(link)?.state {
            State::Connecting { since } => ConnectionState::Connecting { since },
            State::Up { since, .. } => ConnectionState::Up { since },
            State::Waiting { until } => ConnectionState::Down { next_try: until },
        })
    }

    /// How all of them are.
    pub(crate) fn views(&self) -> Vec<ConnectionView> {
        let view = |(link, connection): (&Link, &Connection)| {
            let state = self.state(link)?;
            Some(ConnectionView {
                link: *link,
                server: connection.server.clone(),
                state,
                failures: connection.failures,
            })
        };
        self.links.iter().filter_map(view).collect()
    }

    /// Until when a task waits after a failure.
    pub(crate) fn waits_until(&self, task: &T, now: Timestamp) -> Option<Timestamp> {
        self.waits.get(task).map(|wait| wait.until).filter(|until| *until > now)
    }

    /// When [`Self::tidy`] or a wait has something to do.
    pub(crate) fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let calls = self.calls.values().filter(|call| call.link.is_some());
        let calls = calls.map(|call| call.asked.saturating_add(times::CALL));
        let links = self.links.iter().filter_map(|(link, connection)| match connection.state {
            State::Connecting { since } => Some(since.saturating_add(times::CONNECT)),
            State::Waiting { until } => connection.wanted.then_some(until),
            State::Up { .. } if matches!(link.purpose, Purpose::Owner(_)) => None,
            State::Up { last_used, .. } => Some(last_used.saturating_add(times::IDLE)),
        });
        let waits = self.waits.values().map(|wait| wait.until);
        calls.chain(links).chain(waits).filter(|at| *at > now).min()
    }
}

/// 1, 2, 4 … 20 seconds, and 60 when it lasts; of that a random half to the whole, so that a crowd does not come back at once (S78).
fn back_off(failures: u32, rng: &mut impl CryptoRng) -> Duration {
    let (first, soon, late) = times::BACK_OFF;
    let most = if failures < times::LASTING { soon } else { late };
    let whole = first.saturating_mul(1_u32.checked_shl(failures.min(16)).unwrap_or(u32::MAX)).min(most);
    random::between((whole.checked_div(2).unwrap_or(whole), whole), rng)
}
