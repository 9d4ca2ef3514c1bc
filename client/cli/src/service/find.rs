//! Whom and what a word means.
use waxwing_client::{
    Unavailable,
    engine::{ContactView, store::StoredMessage},
};
use waxwing_wire::{content::MessageId, id::AccountId};

use super::Service;
use crate::{
    api::{ApiError, Code},
    text,
};

impl Service {
    pub(super) async fn views(&self) -> Result<Vec<ContactView>, Unavailable> {
        self.client.look(|engine| engine.contact_views().collect()).await
    }

    /// A contact by name, id, or the beginning of an id.
    pub(super) async fn contact(&self, word: &str) -> Result<ContactView, ApiError> {
        let views = self.views().await?;
        let lower = word.to_lowercase();
        let named = |view: &ContactView| view.name.as_ref().is_some_and(|name| name.as_str().to_lowercase() == lower);
        let found: Vec<&ContactView> = match word.parse::<AccountId>() {
            Ok(account) => views.iter().filter(|view| view.account == account).collect(),
            Err(_) => {
                let by_name: Vec<_> = views.iter().filter(|view| named(view)).collect();
                if by_name.is_empty() && is_beginning(&lower, AccountId::PREFIX) {
                    let digits = lower.strip_prefix(AccountId::PREFIX).unwrap_or(&lower);
                    let begins = |view: &&ContactView| {
                        view.account
                            .to_string()
                            .strip_prefix(AccountId::PREFIX)
                            .is_some_and(|id| id.starts_with(digits))
                    };
                    views.iter().filter(begins).collect()
                } else {
                    by_name
                }
            }
        };
        match *found.as_slice() {
            [one] => Ok(one.clone()),
            [] => Err(ApiError::new(
                Code::UnknownContact,
                format!("nobody here is called {}: `waxwing contact list` shows who is", text::inline(word)),
            )),
            _ => Err(ApiError::new(
                Code::Ambiguous,
                format!(
                    "{} people are meant by {}: write more of the id, or rename one",
                    found.len(),
                    text::inline(word)
                ),
            )),
        }
    }

    /// Which account a word means as an author.
    pub(super) async fn author(&self, word: &str) -> Result<AccountId, ApiError> {
        if word == "me" { Ok(self.client.account_id()) } else { Ok(self.contact(word).await?.account) }
    }

    /// A message of a conversation by its id, or the beginning of it.
    pub(super) async fn message(&self, chat: &AccountId, word: &str) -> Result<StoredMessage, ApiError> {
        let unknown = || {
            let shown = text::inline(word);
            ApiError::new(
                Code::UnknownMessage,
                format!("no message {shown} in this conversation: `waxwing history` shows ids"),
            )
        };
        let reader = self.client.reader();
        if let Ok(id) = word.parse::<MessageId>() {
            return reader.message(chat, &id).await?.ok_or_else(unknown);
        }
        let lower = word.to_lowercase();
        if !is_beginning(&lower, MessageId::PREFIX) {
            return Err(unknown());
        }
        let digits = lower.strip_prefix(MessageId::PREFIX).unwrap_or(&lower);
        let (mut before, mut found) = (None, None);
        for _ in 0..MOST_PAGES {
            let page = reader.page(chat, before, PAGE).await?;
            before = page.last().map(StoredMessage::position);
            let is_last = page.len() < PAGE;
            for message in page {
                if message.id.to_string().strip_prefix(MessageId::PREFIX).is_some_and(|id| id.starts_with(digits)) {
                    if found.is_some() {
                        return Err(ApiError::new(Code::Ambiguous, "several messages begin so: write more of the id"));
                    }
                    found = Some(message);
                }
            }
            if is_last {
                break;
            }
        }
        found.ok_or_else(unknown)
    }
}

/// Whether something can be the beginning of an id: enough of its digits, and nothing else.
fn is_beginning(lower: &str, prefix: &str) -> bool {
    let digits = lower.strip_prefix(prefix).unwrap_or(lower);
    digits.len() >= LEAST_DIGITS && digits.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
}

/// Fewer are typed by accident.
const LEAST_DIGITS: usize = 4;
const PAGE: usize = 500;
/// So far back are messages looked for by the beginning of their id.
const MOST_PAGES: usize = 20;
