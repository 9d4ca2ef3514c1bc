//! Talking, line by line.
use std::{io::IsTerminal as _, time::Duration};

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};

use crate::{
    api::{
        ApiError, Code, EventNote, EventsSubscribe, Exit, Method, Read, Render as _, Send, SendAnswer, Status,
        StatusAnswer,
    },
    api::{ContactAnswer, ContactShow, MessagesAnswer},
    backend::{Backend, Subscription},
    cli::{Chat, Globals},
    profile::complain,
    render::{Screen, who},
};

pub(super) async fn run(globals: &Globals, params: Chat) -> Result<Exit, ApiError> {
    let mut backend = Backend::open(globals).await?;
    let talked = talk(globals, &mut backend, &params.who).await;
    // What was typed last gets a moment to leave.
    backend.close(if talked.is_ok() { PATIENCE } else { Duration::ZERO }).await?;
    talked.map(|()| Exit::Ok)
}

async fn talk(globals: &Globals, backend: &mut Backend, whom: &str) -> Result<(), ApiError> {
    let contact: ContactAnswer = call(backend, Method::ContactShow(ContactShow { who: whom.to_owned() })).await?;
    let account = contact.contact.account;
    // Events from now on; what was unread before is shown first.
    let status: StatusAnswer = call(backend, Method::Status(Status {})).await?;
    let subscribed = EventsSubscribe { consumer: "chat".into(), after: Some(status.cursor) };
    let mut notes = backend.subscribe(subscribed).await?;
    let unread: MessagesAnswer = call(backend, read(&account)).await?;
    let mut screen = Screen::new();
    unread.render(&mut screen);
    flush(&mut screen);
    if std::io::stdin().is_terminal() {
        complain(&format!("Talking to {}. What you type is sent; Ctrl-D ends it.", who(&unread.conversation)));
    }
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            line = next_line(&mut lines) => match line? {
                None => return Ok(()),
                Some(line) if line.is_empty() => {}
                Some(line) => send(globals, backend, &account, line, &mut screen).await?,
            },
            note = next(&mut notes) => {
                if hear(note?, &account, globals, &mut screen) {
                    call::<MessagesAnswer>(backend, read(&account)).await?;
                }
            }
        }
    }
}

fn read(account: &str) -> Method {
    Method::Read(Read { chat: account.to_owned(), limit: None, peek: false })
}

async fn next_line(lines: &mut Lines<BufReader<Stdin>>) -> Result<Option<String>, ApiError> {
    lines.next_line().await.map_err(|error| ApiError::new(Code::BadText, format!("standard input: {error}")))
}

async fn next(notes: &mut Subscription) -> Result<EventNote, ApiError> {
    notes.next().await?.ok_or_else(|| ApiError::new(Code::Closed, "the client is closed"))
}

async fn send(
    globals: &Globals,
    backend: &mut Backend,
    account: &str,
    line: String,
    screen: &mut Screen,
) -> Result<(), ApiError> {
    let method = Method::Send(Send { to: account.to_owned(), text: Some(line), wait: Some(0) });
    let value = backend.call(method).await?;
    if globals.json {
        super::print(&value.to_string());
        return Ok(());
    }
    let answer: SendAnswer = parse(value)?;
    answer.render(screen);
    flush(screen);
    Ok(())
}

/// Whether a message of theirs was shown.
fn hear(note: EventNote, account: &str, globals: &Globals, screen: &mut Screen) -> bool {
    let Some(message) = note.message.filter(|message| message.conversation.account == account) else { return false };
    if globals.json {
        super::print(&serde_json::to_string(&message).unwrap_or_default());
    } else {
        let conversation = message.conversation.clone();
        MessagesAnswer { conversation, messages: vec![message], more: false }.render(screen);
        flush(screen);
    }
    true
}

async fn call<T: serde::de::DeserializeOwned>(backend: &mut Backend, method: Method) -> Result<T, ApiError> {
    parse(backend.call(method).await?)
}

fn parse<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> Result<T, ApiError> {
    serde_json::from_value(value).map_err(|error| ApiError::new(Code::Internal, error.to_string()))
}

fn flush(screen: &mut Screen) {
    let lines = screen.take();
    if !lines.is_empty() {
        super::print(lines.trim_end_matches('\n'));
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
