//! What happens, for programs. Implements spec/22-client-api.md §22.10.
//!
//! Invariant: at least once: what a consumer has not acknowledged comes again.
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};
use waxwing_client::{Cursor, Event, Events};

use super::{Service, messages::usize_of};
use crate::api::{
    ApiError, Call, Code, Done, EventNote, EventsAck, EventsAnswer, EventsForget, EventsNext, EventsSubscribe, Receive,
    ReceiveAnswer, SubscribeAnswer,
};

/// Events one after another, with what they are about.
#[derive(Debug)]
pub struct Notes {
    service: Service,
    events: Events,
}

impl Notes {
    /// Waits for the next; none when the client is closed.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn next(&mut self) -> Result<Option<EventNote>, ApiError> {
        match self.events.next().await? {
            None => Ok(None),
            Some((cursor, event)) => self.service.note(cursor, &event).await.map(Some),
        }
    }
}

impl Service {
    /// Events after a cursor, or after what a consumer acknowledged.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn notes(&self, consumer: &str, after: Option<u64>) -> Result<Notes, ApiError> {
        let after = self.place(consumer, after).await?;
        Ok(Notes { service: self.clone(), events: self.client.events(after) })
    }

    async fn place(&self, consumer: &str, after: Option<u64>) -> Result<Cursor, ApiError> {
        check(consumer)?;
        match after {
            Some(after) => Ok(Cursor(after)),
            None => Ok(self.client.reader().acknowledged(consumer).await?.unwrap_or(Cursor::START)),
        }
    }

    async fn note(&self, cursor: Cursor, event: &Event) -> Result<EventNote, ApiError> {
        let message = match event {
            Event::Message { conversation, id, .. } => {
                let message = self.client.reader().message(conversation, id).await?;
                let names = self.names().await?;
                message.map(|message| names.message(&message))
            }
            _ => None,
        };
        let event = match serde_json::to_value(event) {
            Ok(Value::Object(event)) => event,
            _ => Map::new(),
        };
        Ok(EventNote { cursor: cursor.0, event, message })
    }

    /// Waits for a first event that is wanted, and a moment for what comes with it. A verb that is alone fetches first what waits at the
    /// relay, and has no more to wait for then if there is something wanted, or if nobody asked it to wait.
    async fn gather(
        &self,
        after: Cursor,
        wait: Wait,
        limit: usize,
        wanted: impl Fn(&Event) -> bool,
    ) -> Result<Vec<(Cursor, Event)>, ApiError> {
        let (Wait::Asked(time) | Wait::Usual(time)) = wait;
        let reader = self.client.reader();
        if time.is_zero() {
            return Ok(reader.events(after, limit).await?);
        }
        let deadline = Instant::now().checked_add(time);
        if self.daemon.is_none() {
            let fetched = self.client.until(|condition| condition.drained || condition.broken);
            let fetched = tokio::time::timeout(time, fetched).await;
            let found = reader.events(after, limit).await?;
            let is_drained = matches!(fetched, Ok(Ok(condition)) if condition.drained);
            let is_enough = matches!(wait, Wait::Usual(_)) || found.iter().any(|(_, event)| wanted(event));
            if is_drained && is_enough {
                return Ok(found);
            }
        }
        let mut events = self.client.events(after);
        let (mut found, mut has_wanted) = (Vec::new(), false);
        while found.len() < limit {
            let soon = if has_wanted { Instant::now().checked_add(MOMENT) } else { deadline };
            let end = soon.into_iter().chain(deadline).min().unwrap_or_else(Instant::now);
            match timeout_at(end, events.next()).await {
                Err(_) | Ok(Ok(None)) => break,
                Ok(Err(error)) => return Err(error.into()),
                Ok(Ok(Some((cursor, event)))) => {
                    has_wanted |= wanted(&event);
                    found.push((cursor, event));
                }
            }
        }
        Ok(found)
    }
}

/// How long a first event is waited for.
#[derive(Clone, Copy, Debug)]
enum Wait {
    /// So long, as it was asked for.
    Asked(Duration),
    /// Until everything is there that waited at the relay, so long at most; a daemon has all of that, and waits so long.
    Usual(Duration),
}

fn check(consumer: &str) -> Result<(), ApiError> {
    if (1..=64).contains(&consumer.len()) && !consumer.chars().any(char::is_control) {
        return Ok(());
    }
    Err(ApiError::new(Code::InvalidParams, "a consumer is named by 1 to 64 bytes"))
}

impl Call for EventsNext {
    type Answer = EventsAnswer;

    async fn perform(self, service: &Service) -> Result<EventsAnswer, ApiError> {
        let after = service.place(&self.consumer, self.after).await?;
        let wait = Wait::Asked(Duration::from_secs(self.wait.unwrap_or(0).into()));
        let found = service.gather(after, wait, usize_of(self.limit.unwrap_or(USUAL)), |_| true).await?;
        let mut events = Vec::new();
        for (cursor, event) in &found {
            events.push(service.note(*cursor, event).await?);
        }
        let cursor = events.last().map_or(after.0, |note| note.cursor);
        Ok(EventsAnswer { events, cursor })
    }
}

impl Call for Receive {
    type Answer = ReceiveAnswer;

    async fn perform(self, service: &Service) -> Result<ReceiveAnswer, ApiError> {
        let after = service.place(&self.consumer, None).await?;
        let wait = match self.wait {
            Some(seconds) => Wait::Asked(Duration::from_secs(seconds.into())),
            None => Wait::Usual(PATIENCE),
        };
        let limit = usize_of(self.limit.unwrap_or(USUAL));
        let shown = |event: &Event| {
            matches!(event, Event::Message { .. } | Event::Request { .. } | Event::IdentityChanged { .. })
        };
        let found = service.gather(after, wait, limit, shown).await?;
        let (reader, names) = (service.client.reader(), service.names().await?);
        let (mut messages, mut requests, mut identity_changes) = (Vec::new(), Vec::new(), Vec::new());
        for (_, event) in &found {
            match event {
                Event::Message { conversation, id, .. } => {
                    let message = reader.message(conversation, id).await?;
                    messages.extend(message.map(|message| names.message(&message)));
                }
                Event::Request { account } => requests.push(names.who(account)),
                Event::IdentityChanged { account, .. } => identity_changes.push(names.who(account)),
                _ => {}
            }
        }
        let cursor = found.last().map_or(after, |(cursor, _)| *cursor);
        let more = reader.newest_event().await? > cursor && found.len() >= limit;
        Ok(ReceiveAnswer { messages, requests, identity_changes, cursor: cursor.0, more })
    }
}

impl Call for EventsAck {
    type Answer = Done;

    async fn perform(self, service: &Service) -> Result<Done, ApiError> {
        check(&self.consumer)?;
        service.client.acknowledge(&self.consumer, Cursor(self.cursor)).await?;
        Ok(Done {})
    }
}

impl Call for EventsForget {
    type Answer = Done;

    async fn perform(self, service: &Service) -> Result<Done, ApiError> {
        check(&self.consumer)?;
        service.client.forget_consumer(&self.consumer).await?;
        Ok(Done {})
    }
}

/// The answer only; whoever asked it over a connection is given [`Notes`] by that.
impl Call for EventsSubscribe {
    type Answer = SubscribeAnswer;

    async fn perform(self, service: &Service) -> Result<SubscribeAnswer, ApiError> {
        Ok(SubscribeAnswer { after: service.place(&self.consumer, self.after).await?.0 })
    }
}

const USUAL: u32 = 200;
const PATIENCE: Duration = Duration::from_secs(5);
/// What belongs together comes within it.
const MOMENT: Duration = Duration::from_millis(400);
