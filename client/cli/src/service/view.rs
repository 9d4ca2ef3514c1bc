//! What is known, as it is told.
use std::collections::HashMap;

use waxwing_client::{
    engine::{ContactView, Verification, store::StoredMessage},
    state,
};
use waxwing_wire::{content::Standing, id::AccountId};

use super::Service;
use crate::{
    api::{ApiError, Contact, Message, Who},
    text,
};

/// What people are called here.
#[derive(Debug)]
pub(super) struct Names {
    own: AccountId,
    names: HashMap<AccountId, String>,
}

impl Names {
    pub(super) fn who(&self, account: &AccountId) -> Who {
        Who { account: account.to_string(), name: self.names.get(account).cloned() }
    }

    pub(super) fn message(&self, message: &StoredMessage) -> Message {
        let mine = message.author == self.own;
        let (state, reason) = state::names(message.state);
        Message {
            id: message.id.to_string(),
            short: short(&message.id.to_string()),
            conversation: self.who(&message.conversation),
            author: self.who(&message.author),
            mine,
            sent: message.sent.0,
            stored: message.stored.0,
            state: mine.then(|| state.to_owned()),
            reason: reason.filter(|_| mine).map(ToOwned::to_owned),
            body: message.text.clone(),
        }
    }
}

/// Enough of a message's id to be typed; unique among a thousand but for one in two thousand times, and then it says so.
pub(super) fn short(id: &str) -> String {
    id.split_once('-').map_or(id, |(_, digits)| digits).chars().take(SHORT).collect()
}

impl Service {
    pub(super) async fn names(&self) -> Result<Names, ApiError> {
        let views = self.views().await?;
        Ok(Names::of(self.client.account_id(), &views))
    }

    pub(super) async fn view(&self, view: &ContactView) -> Result<Contact, ApiError> {
        let all = self.views().await?;
        self.view_among(view, &all).await
    }

    pub(super) async fn view_among(&self, view: &ContactView, all: &[ContactView]) -> Result<Contact, ApiError> {
        let name = view.name.as_ref().map(|name| name.as_str().to_owned());
        let skeleton = name.as_deref().map(text::skeleton);
        let alike = |other: &&ContactView| {
            other.account != view.account && other.name.as_ref().map(|name| text::skeleton(name.as_str())) == skeleton
        };
        Ok(Contact {
            account: view.account.to_string(),
            standing: standing(view.standing).into(),
            accepted_us: view.accepted_us,
            verified: view.verification == Verification::Verified,
            muted_until: view.muted_until.map(|until| until.0),
            generation: view.generation.map(|generation| generation.0),
            devices: view.devices.iter().map(|device| device.value()).collect(),
            identity_changed: view.identity_change.is_some(),
            forked: view.forked,
            deleted: view.deleted,
            stale: view.stale,
            unread: self.client.reader().unread(&view.account).await?,
            looks_like_another: skeleton.is_some() && all.iter().any(|other| alike(&other)),
            name,
        })
    }

    /// A contact as it is after a command.
    pub(super) async fn now(&self, account: &AccountId) -> Result<Contact, ApiError> {
        let account = account.to_string();
        let view = self.contact(&account).await?;
        self.view(&view).await
    }
}

impl Names {
    fn of(own: AccountId, views: &[ContactView]) -> Self {
        let named = |view: &ContactView| Some((view.account, view.name.as_ref()?.as_str().to_owned()));
        Self { own, names: views.iter().filter_map(named).collect() }
    }
}

/// The name of a standing.
pub(super) const fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Added => "added",
        Standing::Asking => "asking",
        Standing::Accepted => "accepted",
        Standing::Ignored => "ignored",
        Standing::Blocked => "blocked",
        _ => "removed",
    }
}

const SHORT: usize = 6;
