//! Says that there is something new, and nothing of what it says: for a desktop's notifications, or a lamp.
//!
//! `cargo run --example notifier -- PROFILE [PROGRAM]`: a line for each piece of news, or PROGRAM with the line as its argument
//! (`notify-send`). PROFILE is a profile's folder without a passphrase, which no daemon has open. Ends with Ctrl-C; what was not told
//! yet is told at the next start.
use std::{error::Error, path::Path, process::Command};

use waxwing_client::{
    Client, Cursor, Event, Options, Unavailable,
    engine::{ContactView, Settings},
    store::Unlock,
};
use waxwing_wire::id::AccountId;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let profile = arguments.next().ok_or("usage: notifier PROFILE [PROGRAM]")?;
    let program = arguments.next();
    // Servers in private networks are for those who try this on their own machine.
    let engine = Settings { allow_private_servers: true, ..Settings::default() };
    let client = Client::open(Path::new(&profile), Unlock::None, Options { engine, ..Options::default() }).await?;
    // From where this program was, by its own name: a bot beside it has a place of its own.
    let mut events = client.events(client.reader().acknowledged(NAME).await?.unwrap_or(Cursor::START));
    while let Some((cursor, event)) = events.next().await? {
        if let Some(line) = news(&client, &event).await? {
            tell(program.as_deref(), &line)?;
        }
        // Only now: what this program did not get to is told again.
        client.acknowledge(NAME, cursor).await?;
    }
    Ok(())
}

/// What a person wants to hear of at once; none of anything else.
async fn news(client: &Client, event: &Event) -> Result<Option<String>, Unavailable> {
    let (account, what) = match event {
        // One's own from another device is no news.
        Event::Message { conversation, author, .. } if author == conversation => (conversation, "wrote to you"),
        Event::Request { account } => (account, "asks to write to you"),
        Event::IdentityChanged { account, .. } => (account, "has another device now: look before you write"),
        _ => return Ok(None),
    };
    let account = *account;
    let view = client.look(move |engine| engine.contact_views().find(|view| view.account == account)).await?;
    if view.as_ref().is_some_and(is_muted) {
        return Ok(None);
    }
    Ok(Some(format!("{} {what}", name(view.as_ref(), &account))))
}

fn is_muted(view: &ContactView) -> bool {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    view.muted_until.is_some_and(|until| u128::from(until.0) > now.as_millis())
}

/// As the person calls them. It has no control characters; nothing that others chose is in it.
fn name(view: Option<&ContactView>, account: &AccountId) -> String {
    match view.and_then(|view| view.name.as_ref()) {
        Some(name) => name.as_str().to_owned(),
        None => account.to_string().chars().take(12).collect(),
    }
}

fn tell(program: Option<&str>, line: &str) -> std::io::Result<()> {
    match program {
        None => println!("{line}"),
        // It is not this program's business whether that one succeeds.
        Some(program) => drop(Command::new(program).arg(line).status()?),
    }
    Ok(())
}

const NAME: &str = "notifier";
