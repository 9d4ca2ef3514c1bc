//! Answers each message with its own words.
//!
//! `cargo run --example echo_bot -- PROFILE`: a profile's folder without a passphrase, which no daemon has open. Stopped at any moment, it goes
//! on where it was: each message is answered, at worst twice.
use std::{error::Error, path::Path};

use waxwing_client::{
    Client, CommandFailed, Cursor, Event, Options,
    engine::{Command, CommandError, MessageText, Settings},
    store::Unlock,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let profile = std::env::args().nth(1).ok_or("usage: echo_bot PROFILE")?;
    // Servers in private networks are for those who try this on their own machine.
    let engine = Settings { allow_private_servers: true, ..Settings::default() };
    let client = Client::open(Path::new(&profile), Unlock::None, Options { engine, ..Options::default() }).await?;
    let reader = client.reader();
    let mut events = client.events(reader.acknowledged(NAME).await?.unwrap_or(Cursor::START));
    while let Some((cursor, event)) = events.next().await? {
        match event {
            // A bot knows everybody who asks.
            Event::Request { account } => client.command(Command::Accept { account }).await?,
            Event::Message { conversation, id, author } if author == conversation => {
                let message = reader.message(&conversation, &id).await?;
                if let Some(text) = message.and_then(|message| MessageText::new(message.text)) {
                    answer(client.send(&conversation, text).await.map(drop))?;
                }
            }
            _ => {}
        }
        client.acknowledge(NAME, cursor).await?;
    }
    Ok(())
}

/// Whoever was blocked or forgotten since gets no answer; anything else is this program's to end with.
fn answer(sent: Result<(), CommandFailed>) -> Result<(), CommandFailed> {
    match sent {
        Err(CommandFailed::Refused(
            CommandError::Blocked | CommandError::UnknownContact | CommandError::NotAccepted,
        )) => Ok(()),
        sent => sent,
    }
}

const NAME: &str = "echo-bot";
