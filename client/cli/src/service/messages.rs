//! Sending and reading.
use std::{collections::BTreeMap, time::Duration};

use waxwing_client::{
    CommandFailed,
    engine::{
        Command, CommandError, MessageText, ReadMessage, State,
        store::{Position, StoredMessage},
    },
};
use waxwing_wire::id::{AccountId, DeviceId};

use super::{Service, view::short, wait};
use crate::api::{ApiError, Call, Code, Done, History, MarkRead, MessagesAnswer, Read, Send, SendAnswer};

impl Call for Send {
    type Answer = SendAnswer;

    async fn perform(self, service: &Service) -> Result<SendAnswer, ApiError> {
        let contact = service.contact(&self.to).await?;
        if contact.identity_change.is_some() || contact.forked {
            return Err(ApiError::new(
                Code::UntrustedIdentity,
                "their identity changed: nothing is sent until you have looked (`waxwing identity log`) and said `waxwing trust`",
            ));
        }
        let text = self
            .text
            .and_then(MessageText::new)
            .ok_or_else(|| ApiError::new(Code::BadText, "a text has 1 to 32,768 bytes; send a longer one in pieces"))?;
        let id = service.client.send(&contact.account, text).await?;
        let usual = if service.daemon.is_some() { 0 } else { PATIENCE };
        let patience = Duration::from_secs(self.wait.unwrap_or(usual).into());
        service.left(&contact.account, &id, patience).await?;
        let stored = service.client.reader().message(&contact.account, &id).await?;
        let state = stored.map_or(State::Queued, |message| message.state);
        let waiting = if state == State::Queued { service.waiting_for(&id).await? } else { None };
        let reason = waiting.map(|waiting| waiting.reason);
        Ok(SendAnswer {
            id: id.to_string(),
            short: short(&id.to_string()),
            to: service.names().await?.who(&contact.account),
            state: waxwing_client::state::names(state).0.into(),
            reason: reason.map(|reason| wait::name(reason).into()),
            text: reason.map(|reason| wait::words(reason).into()),
            next_try: waiting.and_then(|waiting| waiting.next_try).map(|at| at.0),
        })
    }
}

impl Call for History {
    type Answer = MessagesAnswer;

    async fn perform(self, service: &Service) -> Result<MessagesAnswer, ApiError> {
        let chat = service.contact(&self.chat).await?.account;
        let limit = usize_of(self.limit.unwrap_or(USUAL));
        let reader = service.client.reader();
        if let Some(word) = &self.around {
            let place = service.message(&chat, word).await?.position();
            let around = reader.around(&chat, place, limit.div_ceil(2)).await?;
            let more = around.before.len() >= limit.div_ceil(2);
            let messages = around.before.into_iter().rev().chain(around.from).collect();
            return service.messages(&chat, messages, more).await;
        }
        let before = match &self.before {
            Some(word) => Some(service.message(&chat, word).await?.position()),
            None => None,
        };
        let mut page = reader.page(&chat, before, limit.saturating_add(1)).await?;
        let more = page.len() > limit;
        page.truncate(limit);
        page.reverse();
        service.messages(&chat, page, more).await
    }
}

impl Call for Read {
    type Answer = MessagesAnswer;

    async fn perform(self, service: &Service) -> Result<MessagesAnswer, ApiError> {
        let chat = service.contact(&self.chat).await?.account;
        let limit = usize_of(self.limit.unwrap_or(MOST_UNREAD));
        let mut unread = usize::try_from(service.client.reader().unread(&chat).await?).unwrap_or(usize::MAX);
        let (mut messages, mut more) = (Vec::new(), false);
        let page = service.client.reader().page(&chat, None, limit.saturating_mul(2)).await?;
        for message in page {
            if unread == 0 {
                break;
            }
            if messages.len() >= limit {
                more = true;
                break;
            }
            if message.author == chat {
                unread = unread.saturating_sub(1);
            }
            messages.push(message);
        }
        messages.reverse();
        if !self.peek && !more {
            service.mark_all(&chat).await?;
        }
        service.messages(&chat, messages, more).await
    }
}

impl Call for MarkRead {
    type Answer = Done;

    async fn perform(self, service: &Service) -> Result<Done, ApiError> {
        let chat = service.contact(&self.chat).await?.account;
        match &self.up_to {
            None => service.mark_all(&chat).await?,
            Some(word) => {
                let place = service.message(&chat, word).await?.position();
                service.mark_up_to(&chat, Some(place)).await?;
            }
        }
        Ok(Done {})
    }
}

impl Service {
    async fn messages(
        &self,
        chat: &AccountId,
        messages: Vec<StoredMessage>,
        more: bool,
    ) -> Result<MessagesAnswer, ApiError> {
        let names = self.names().await?;
        let messages = messages.iter().map(|message| names.message(message)).collect();
        Ok(MessagesAnswer { conversation: names.who(chat), messages, more })
    }

    async fn mark_all(&self, chat: &AccountId) -> Result<(), ApiError> {
        self.mark_up_to(chat, None).await
    }

    /// Their authors hear of those that are named: of very many the newest, and of each device the newest, whose marker covers the others.
    async fn mark_up_to(&self, chat: &AccountId, up_to: Option<Position>) -> Result<(), ApiError> {
        let unread = usize::try_from(self.client.reader().unread(chat).await?).unwrap_or(usize::MAX);
        let mut theirs = self.newest_of(chat, unread).await?;
        theirs.retain(|message| up_to.is_none_or(|place| message.position() <= place));
        let mut newest: BTreeMap<DeviceId, u64> = BTreeMap::new();
        let mut messages = Vec::new();
        for (number, StoredMessage { id, device, sequence, .. }) in theirs.iter().enumerate() {
            let known = newest.entry(*device).or_insert(0);
            let is_newest = sequence > known;
            *known = *sequence.max(known);
            if number < MOST_NAMED || is_newest {
                messages.push(ReadMessage { id: *id, device: *device, sequence: *sequence });
            }
        }
        if messages.is_empty() {
            return Ok(());
        }
        match self.client.command(Command::MarkRead { account: *chat, messages }).await {
            // So old that the engine forgot all of them.
            Ok(()) | Err(CommandFailed::Refused(CommandError::UnknownMessage)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// At least so many of their newest messages, newest first, if there are so many.
    async fn newest_of(&self, chat: &AccountId, count: usize) -> Result<Vec<StoredMessage>, ApiError> {
        let (reader, mut theirs, mut before) = (self.client.reader(), Vec::new(), None);
        while theirs.len() < count {
            let page = reader.page(chat, before, PAGE).await?;
            before = page.last().map(StoredMessage::position);
            let is_last = page.len() < PAGE;
            theirs.extend(page.into_iter().filter(|message| message.author == *chat));
            if is_last {
                break;
            }
        }
        Ok(theirs)
    }
}

pub(super) fn usize_of(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// How long a verb that is alone waits for a relay.
const PATIENCE: u32 = 15;
const USUAL: u32 = 20;
const MOST_UNREAD: u32 = 200;
const PAGE: usize = 500;
/// So many receipts go out at once; a thousand would be no news.
const MOST_NAMED: usize = 200;
