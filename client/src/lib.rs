//! A client's hands: what it keeps ([`store`], spec/21-client-store.md), and what drives its engine over the network ([`Client`],
//! spec/23-client-driver.md).
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use waxwing_client::{Client, Cursor, Event, Options, engine::MessageText, store::{Profile, Unlock}};
//!
//! // An echo bot: it goes on where it stopped, and answers each message once it was stored.
//! let profile = Profile::new("/var/lib/echo/profile").noted_in("/var/lib/echo-state");
//! let client = Client::open(profile, Unlock::None, Options::default()).await?;
//! let reader = client.reader();
//! let mut events = client.events(reader.acknowledged("echo").await?.unwrap_or(Cursor::START));
//! while let Some((cursor, event)) = events.next().await? {
//!     if let Event::Message { conversation, id, author } = event
//!         && author == conversation
//!         && let Some(message) = reader.message(&conversation, &id).await?
//!         && let Some(text) = MessageText::new(message.text)
//!     {
//!         client.send(&conversation, text).await?;
//!     }
//!     client.acknowledge("echo", cursor).await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! `examples/echo_bot.rs` is all of it, `examples/notifier.rs` says that there is something new.
#![forbid(unsafe_code)]

mod client;
mod clock;
mod driver;
mod event;
mod recover;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod state;
pub mod store;

pub use waxwing_engine as engine;

pub use self::{
    client::{Changes, Client, Events, OpenClientError, Settled, Unavailable},
    driver::{CommandFailed, Condition, Down, Options, Reason},
    event::Event,
    recover::RecoverClientError,
};

/// Where an event stands; they are numbered in the order in which they were stored.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Cursor(pub u64);

impl Cursor {
    /// Before the first event.
    pub const START: Self = Self(0);
}
