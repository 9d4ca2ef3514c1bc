//! What programs are told. Implements spec/23-client-driver.md §23.4.
//!
//! Invariants: an event is stored in the transaction of what it tells of, and says no word of a message: whoever reads it looks the
//! message up. The names of variants and fields are stored and spoken (spec §22): they never change their meaning.
use serde::{Deserialize, Serialize};
use waxwing_engine::{Event as Told, NameNews, NameRefusal, NotFound, State};
use waxwing_wire::{
    content::MessageId,
    id::{AccountId, DeviceId},
};

use crate::state;

/// Something that happened to this account, as it is kept until it was acknowledged.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A message is in the store.
    Message {
        /// In whose conversation.
        #[serde(with = "text")]
        conversation: AccountId,
        /// Which.
        #[serde(with = "text")]
        id: MessageId,
        /// Who wrote it: the peer, or this account on another device.
        #[serde(with = "text")]
        author: AccountId,
    },
    /// What became of a message that this account sent.
    MessageState {
        /// In whose conversation.
        #[serde(with = "text")]
        conversation: AccountId,
        /// Which.
        #[serde(with = "text")]
        id: MessageId,
        /// What: `queued`, `failed`, `sent`, `may_have_expired`, `delivered`, `read`.
        state: String,
        /// Why it failed: `account_deleted`, `blocked`, `removed`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Somebody unknown wrote: accept, ignore or block.
    Request {
        /// Who.
        #[serde(with = "text")]
        account: AccountId,
    },
    /// A contact is accepted now.
    ContactAccepted {
        /// Who.
        #[serde(with = "text")]
        account: AccountId,
        /// Whether it was they who accepted us.
        by_peer: bool,
    },
    /// A contact's devices changed by their own word.
    DevicesChanged {
        /// Whose.
        #[serde(with = "text")]
        account: AccountId,
    },
    /// A contact is of another generation: nothing more goes to them until the person accepts it.
    IdentityChanged {
        /// Whose.
        #[serde(with = "text")]
        account: AccountId,
        /// From this generation.
        from: u32,
        /// To this one.
        to: u32,
    },
    /// Two histories of one account were signed: its root key is in two hands.
    Fork {
        /// Whose.
        #[serde(with = "text")]
        account: AccountId,
    },
    /// A session was begun anew, because its messages could not be opened.
    SessionRepaired {
        /// With whom.
        #[serde(with = "text")]
        account: AccountId,
        /// With which device of theirs.
        device: u8,
    },
    /// A message could not be opened and was put aside; what it was is not known.
    Quarantined,
    /// Messages of a device did not arrive.
    Gap {
        /// In whose conversation.
        #[serde(with = "text")]
        conversation: AccountId,
        /// From which device of theirs.
        device: u8,
    },
    /// What the person noted of a contact, or that they are one, changed on another device of this account.
    ContactChanged {
        /// Who.
        #[serde(with = "text")]
        account: AccountId,
    },
    /// Somebody was found by a name and added.
    NameFound {
        /// Which name.
        name: String,
        /// At which server: its address.
        server: String,
        /// Whose it is.
        #[serde(with = "text")]
        account: AccountId,
    },
    /// Nobody was added by a name.
    NameNotFound {
        /// Which name.
        name: String,
        /// At which server: its address.
        server: String,
        /// Why: `not_listed`, `not_genuine`, `own_account`, `blocked`, `deleted`, `private_server`, `service_id_taken`, `no_answer`.
        reason: String,
    },
    /// Something became of a name of this account.
    Name {
        /// Which.
        name: String,
        /// What: `held`, `listed`, `unlisted`, `released`, `refused`.
        news: String,
        /// Why it is refused: `taken`, `reserved`, `too_many`, `not_admitted`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// This device is no longer listed by its account.
    Unlisted,
    /// A lane of the own mailbox is full.
    MailboxFull,
    /// Events were thrown away before this program had them, because it was away for long: read the conversations anew.
    Missed,
    /// Of a newer version of this program.
    #[serde(other)]
    Unknown,
}

impl Event {
    /// What is kept of what an engine tells; none for what only matters while it happens.
    pub(crate) fn of(told: &Told) -> Option<Self> {
        if let Some(of_name) = Self::of_name(told) {
            return Some(of_name);
        }
        Some(match *told {
            Told::Message { conversation, id, author } => Self::Message { conversation, id, author },
            Told::MessageState { conversation, id, state } => Self::of_state(conversation, id, state),
            Told::Request { account } => Self::Request { account },
            Told::ContactAccepted { account, by_peer } => Self::ContactAccepted { account, by_peer },
            Told::ContactChanged { account } => Self::ContactChanged { account },
            Told::DevicesChanged { account } => Self::DevicesChanged { account },
            Told::IdentityChanged(change) => {
                Self::IdentityChanged { account: change.account, from: change.from.0, to: change.to.0 }
            }
            Told::Fork { account } => Self::Fork { account },
            Told::SessionRepaired { account, device } => Self::SessionRepaired { account, device: number(device) },
            Told::Quarantined => Self::Quarantined,
            Told::Gap { conversation, device } => Self::Gap { conversation, device: number(device) },
            Told::Unlisted => Self::Unlisted,
            Told::MailboxFull => Self::MailboxFull,
            _ => return None,
        })
    }

    /// Of what is told about names.
    fn of_name(told: &Told) -> Option<Self> {
        Some(match told {
            Told::NameFound { name, server, account } => {
                Self::NameFound { name: name.to_string(), server: server.to_string(), account: *account }
            }
            Told::NameNotFound { name, server, reason } => Self::NameNotFound {
                name: name.to_string(),
                server: server.to_string(),
                reason: not_found(*reason).into(),
            },
            Told::Name { name, news } => {
                let (news, reason) = name_news(*news);
                Self::Name { name: name.to_string(), news: news.into(), reason: reason.map(Into::into) }
            }
            _ => return None,
        })
    }

    fn of_state(conversation: AccountId, id: MessageId, of: State) -> Self {
        let (state, reason) = state::names(of);
        Self::MessageState { conversation, id, state: state.into(), reason: reason.map(Into::into) }
    }
}

const fn not_found(reason: NotFound) -> &'static str {
    match reason {
        NotFound::NotListed => "not_listed",
        NotFound::NotGenuine => "not_genuine",
        NotFound::OwnAccount => "own_account",
        NotFound::Blocked => "blocked",
        NotFound::Deleted => "deleted",
        NotFound::PrivateServer => "private_server",
        NotFound::ServiceIdTaken => "service_id_taken",
        NotFound::NoAnswer => "no_answer",
        _ => "other",
    }
}

const fn name_news(news: NameNews) -> (&'static str, Option<&'static str>) {
    match news {
        NameNews::Held => ("held", None),
        NameNews::Listed => ("listed", None),
        NameNews::Unlisted => ("unlisted", None),
        NameNews::Released => ("released", None),
        NameNews::Refused(NameRefusal::Taken) => ("refused", Some("taken")),
        NameNews::Refused(NameRefusal::Reserved) => ("refused", Some("reserved")),
        NameNews::Refused(NameRefusal::TooMany) => ("refused", Some("too_many")),
        NameNews::Refused(NameRefusal::NotAdmitted) => ("refused", Some("not_admitted")),
        _ => ("other", None),
    }
}

fn number(device: DeviceId) -> u8 {
    device.value()
}

/// Ids as their text form.
mod text {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<T: Display, S: Serializer>(id: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_keep_their_stored_form() {
        let (account, id) = (AccountId::from_bytes([1; 32]), MessageId::from_bytes([2; 16]));
        let cases = [
            (
                Event::Message { conversation: account, id, author: account },
                format!(r#"{{"event":"message","conversation":"{account}","id":"{id}","author":"{account}"}}"#),
            ),
            (
                Event::of_state(account, id, State::Failed(waxwing_engine::FailReason::Blocked)),
                format!(
                    r#"{{"event":"message_state","conversation":"{account}","id":"{id}","state":"failed","reason":"blocked"}}"#
                ),
            ),
            (
                Event::IdentityChanged { account, from: 0, to: 1 },
                format!(r#"{{"event":"identity_changed","account":"{account}","from":0,"to":1}}"#),
            ),
            (Event::Quarantined, r#"{"event":"quarantined"}"#.into()),
            (
                Event::Name { name: "alice".into(), news: "refused".into(), reason: Some("taken".into()) },
                r#"{"event":"name","name":"alice","news":"refused","reason":"taken"}"#.into(),
            ),
            (
                Event::NameFound { name: "bob".into(), server: "wxs-".into(), account },
                format!(r#"{{"event":"name_found","name":"bob","server":"wxs-","account":"{account}"}}"#),
            ),
            (
                Event::NameNotFound { name: "bob".into(), server: "wxs-".into(), reason: "not_listed".into() },
                r#"{"event":"name_not_found","name":"bob","server":"wxs-","reason":"not_listed"}"#.into(),
            ),
        ];
        for (event, expected) in cases {
            assert_eq!(serde_json::to_string(&event).unwrap(), expected);
            assert_eq!(serde_json::from_str::<Event>(&expected).unwrap(), event);
        }
        let newer = r#"{"event":"of a newer version","more":1}"#;
        assert_eq!(serde_json::from_str::<Event>(newer).unwrap(), Event::Unknown);
    }
}
