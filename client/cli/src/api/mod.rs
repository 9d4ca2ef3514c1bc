//! What can be asked of a client by a person or a program. Implements spec/22-client-api.md §22.2.
//!
//! ```text
//!                      ┌─▶ verbs of the command line (`verbs`)      waxwing contact list --json
//! methods! { … } ──────┼─▶ JSON-RPC (`daemon`)                       {"method":"contact.list"}
//! one row a method     ├─▶ OpenRPC document (`openrpc`)              waxwing rpc --openrpc
//!                      └─▶ reference page and man pages (`reference`)
//! ```
//! Invariants: a row says everything, so that the four cannot drift; a parameter that is not known is an error; what stands in
//! [`VERSION`] 1 keeps its name and meaning.
mod error;
mod openrpc;
mod params;
mod reference;
mod result;

use clap::{ArgMatches, Args, Command, FromArgMatches as _};
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

pub use self::{
    error::*,
    openrpc::document,
    params::*,
    reference::{man_pages, page},
    result::*,
};
use crate::{render::Screen, service::Service};

/// Of the schemas; a number that is added to does not change it.
pub const VERSION: u32 = 1;

/// What a method takes and gives.
pub trait Call: Args + Serialize + DeserializeOwned + JsonSchema + core::marker::Send {
    /// What comes of it.
    type Answer: Serialize + DeserializeOwned + JsonSchema + Render + core::marker::Send;

    /// Does it.
    fn perform(self, service: &Service) -> impl Future<Output = Result<Self::Answer, ApiError>> + core::marker::Send;
}

/// What can be shown to a person.
pub trait Render {
    /// Writes lines.
    fn render(&self, screen: &mut Screen);
}

/// A row of the table, with what the macro made of it.
#[derive(Clone, Copy)]
pub struct Entry {
    /// As it is called: words with dots between them.
    pub name: &'static str,
    /// In a line.
    pub summary: &'static str,
    arguments: fn(Command) -> Command,
    of_arguments: fn(&ArgMatches) -> Result<Method, clap::Error>,
    of_json: fn(Value) -> Result<Method, serde_json::Error>,
    params_schema: fn(&mut SchemaGenerator) -> schemars::Schema,
    answer_schema: fn(&mut SchemaGenerator) -> schemars::Schema,
    render: fn(Value, &mut Screen) -> Result<(), serde_json::Error>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Entry {
    /// The method of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        Method::ALL.iter().find(|entry| entry.name == name)
    }

    /// Its words on the command line.
    pub fn words(&self) -> impl Iterator<Item = String> {
        self.name.split('.').map(|word| word.replace('_', "-"))
    }

    /// Its arguments on the command line.
    #[must_use]
    pub fn command(&self, word: String) -> Command {
        (self.arguments)(Command::new(word)).about(self.summary).long_about(None)
    }

    /// From the command line.
    ///
    /// # Errors
    /// As clap says.
    pub fn of_arguments(&self, matches: &ArgMatches) -> Result<Method, clap::Error> {
        (self.of_arguments)(matches)
    }

    /// From JSON; nothing at all is taken for no parameters.
    ///
    /// # Errors
    /// [`Code::InvalidParams`].
    pub fn of_json(&self, params: Value) -> Result<Method, ApiError> {
        let params = if params.is_null() { Value::Object(serde_json::Map::new()) } else { params };
        (self.of_json)(params).map_err(|error| ApiError::new(Code::InvalidParams, error.to_string()))
    }

    /// Shows an answer of this method to a person.
    ///
    /// # Errors
    /// If it is none.
    pub fn render(&self, answer: Value, screen: &mut Screen) -> Result<(), serde_json::Error> {
        (self.render)(answer, screen)
    }
}

/// An answer as it is spoken: with the version of its schema.
#[derive(Debug, Deserialize, JsonSchema, Serialize)]
struct Versioned<T> {
    /// Of the schema.
    version: u32,
    #[serde(flatten)]
    answer: T,
}

async fn answer<C: Call>(params: C, service: &Service) -> Result<Value, ApiError> {
    let answer = params.perform(service).await?;
    serde_json::to_value(Versioned { version: VERSION, answer })
        .map_err(|error| ApiError::new(Code::Internal, error.to_string()))
}

macro_rules! methods {
    ($($variant:ident = $name:literal, $summary:literal, $answer:ty;)+) => {
        /// Everything that can be asked.
        #[derive(Clone, Debug, Serialize)]
        #[serde(tag = "method", content = "params")]
        #[allow(missing_docs, reason = "each has its summary in the table, and its parameters' docs")]
        pub enum Method { $(#[serde(rename = $name)] $variant($variant),)+ }

        impl Method {
            /// The table.
            pub const ALL: &[Entry] = &[$(Entry {
                name: $name,
                summary: $summary,
                arguments: <$variant as Args>::augment_args,
                of_arguments: |matches| <$variant>::from_arg_matches(matches).map(Self::$variant),
                of_json: |params| serde_json::from_value(params).map(Self::$variant),
                params_schema: SchemaGenerator::subschema_for::<$variant>,
                answer_schema: SchemaGenerator::subschema_for::<$answer>,
                render: |answer, screen| {
                    let answer: $answer = serde_json::from_value(answer)?;
                    answer.render(screen);
                    Ok(())
                },
            },)+];

            /// The name, and the parameters as JSON.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)+ }
            }

            /// Does it; the answer in its versioned form.
            ///
            /// # Errors
            /// [`ApiError`].
            pub async fn perform(self, service: &Service) -> Result<Value, ApiError> {
                match self { $(Self::$variant(params) => answer::<$variant>(params, service).await,)+ }
            }
        }
    };
}

methods! {
    Status = "status", "How this device is: connected or not, what waits and why", StatusAnswer;
    Doctor = "doctor", "Look for what is wrong: servers, latency, loss, clock, keys, queue, database", DoctorAnswer;
    Whoami = "whoami", "This account, this device, its servers", WhoamiAnswer;
    Invite = "invite", "Make a link that others can write to you by", InviteAnswer;
    Links = "links", "Links of yours that are open", LinksAnswer;
    RevokeLink = "revoke_link", "Let nobody in by a link any more", Done;
    Add = "add", "Add somebody by a link that they gave you, or by a name", AddAnswer;
    NameClaim = "name.claim", "Have a name at your key server, by which others find you", NameAnswer;
    NameList = "name.list", "Names of yours", NamesAnswer;
    NameRelease = "name.release", "Give a name up; nobody else gets it for 90 days", Done;
    ContactList = "contact.list", "Everybody who is known here", ContactsAnswer;
    ContactShow = "contact.show", "One contact", ContactAnswer;
    ContactAccept = "contact.accept", "Accept a request", ContactAnswer;
    ContactReject = "contact.reject", "Put a request away; its sender hears nothing", ContactAnswer;
    ContactBlock = "contact.block", "Drop everything of theirs from now on", ContactAnswer;
    ContactUnblock = "contact.unblock", "No longer block", ContactAnswer;
    ContactRename = "contact.rename", "Call somebody by a name of your choice, or no longer", ContactAnswer;
    ContactRemove = "contact.remove", "Forget a contact; the messages stay", Done;
    Requests = "requests", "Who asks to write to you", ContactsAnswer;
    Send = "send", "Send a text; from standard input if none is given", SendAnswer;
    Receive = "receive", "New messages since a program or this command line last received", ReceiveAnswer;
    List = "list", "Conversations, with what is unread", ListAnswer;
    Read = "read", "What is unread in a conversation, and mark it as read", MessagesAnswer;
    History = "history", "Messages of a conversation, newest last", MessagesAnswer;
    Search = "search", "Find messages by what they say", SearchAnswer;
    MarkRead = "mark_read", "Mark a conversation as read, or up to a message", Done;
    Mute = "mute", "No sound for somebody's messages; they come as always", ContactAnswer;
    Verify = "verify", "Show the safety number of a contact, or compare it with what they read to you", VerifyAnswer;
    Trust = "trust", "Go on with a contact whose identity changed, once you have seen it", ContactAnswer;
    IdentityLog = "identity.log", "What changed about who a contact is", IdentityLogAnswer;
    Export = "export", "Write every message to a file, in the clear", ExportAnswer;
    EventsNext = "events.next", "Events after a cursor; waits for one if asked to", EventsAnswer;
    EventsAck = "events.ack", "A program has every event up to a cursor", Done;
    EventsForget = "events.forget", "Forget how far a program has come", Done;
    EventsSubscribe = "events.subscribe", "Events as they come: notifications on the socket, lines on the command line", SubscribeAnswer;
    DaemonStop = "daemon.stop", "Stop the daemon of this profile", Done;
}
