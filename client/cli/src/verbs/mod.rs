//! What is done here, and how methods are asked.
mod archive;
mod chat;
mod demo;
mod init;
mod pages;
mod rpc;
mod serve;

use std::{
    io::{Read as _, Write as _},
    time::Duration,
};

use serde_json::Value;

use crate::{
    api::{ApiError, Code, Entry, EventsAck, EventsSubscribe, Exit, Method, Receive, Send},
    backend::Backend,
    cli::{Globals, Local},
    profile,
    render::Screen,
};

/// Asks a method of whoever answers, and shows the answer.
pub(crate) async fn ask(globals: &Globals, method: Method) -> Result<Exit, ApiError> {
    let method = complete(method)?;
    let mut backend = match (Backend::open(globals).await, method.clone()) {
        (Err(error), Method::Export(params)) if error.code == Code::ProfilePutBack => {
            return archive::export(globals, params).await;
        }
        (opened, _) => opened?,
    };
    let patience = patience(&method);
    let exit = match method {
        Method::EventsSubscribe(params) => subscribe(&backend, params).await,
        Method::Receive(params) => receive(globals, &mut backend, params).await,
        method => show(globals, &mut backend, method).await,
    };
    let closed = backend.close(if exit.is_ok() { patience } else { Duration::ZERO }).await;
    let exit = exit?;
    closed.map(|()| exit)
}

/// How long a verb that is alone stays for what it leads to: others are told of it.
const fn patience(method: &Method) -> Duration {
    match method {
        Method::Add(_)
        | Method::ContactAccept(_)
        | Method::ContactReject(_)
        | Method::ContactBlock(_)
        | Method::ContactUnblock(_)
        | Method::MarkRead(_)
        | Method::Read(_)
        | Method::RevokeLink(_)
        | Method::Trust(_) => Duration::from_secs(5),
        _ => Duration::ZERO,
    }
}

/// Does what is no method.
pub(crate) async fn local(globals: &Globals, verb: Local) -> Result<Exit, ApiError> {
    match verb {
        Local::Init(params) => init::run(globals, params).await,
        Local::Serve(params) => serve::run(params).await,
        Local::Demo => demo::run().await,
        Local::Chat(params) => chat::run(globals, params).await,
        Local::Daemon => rpc::daemon(globals).await,
        Local::Rpc(params) => rpc::run(globals, params).await,
        Local::Repair => rpc::repair(globals).await,
        Local::Completions(params) => pages::completions(&params),
        Local::Man(params) => pages::man(&params),
        Local::Reference => pages::reference(),
    }
}

/// A line to standard output. Whoever reads may have read enough.
pub(crate) fn print(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// What a daemon cannot know: standard input, and where this process is.
fn complete(method: Method) -> Result<Method, ApiError> {
    match method {
        Method::Send(Send { to, text, wait }) => {
            let text = match text {
                Some(text) if text != "-" => text,
                _ => read_text()?,
            };
            Ok(Method::Send(Send { to, text: Some(text), wait }))
        }
        Method::Export(mut params) => {
            let path = std::path::absolute(&params.file);
            let path = path.map_err(|error| profile::system(params.file.as_ref(), &error))?;
            params.file = path
                .into_os_string()
                .into_string()
                .map_err(|_| ApiError::new(Code::InvalidParams, "the file's path is not UTF-8; choose another one"))?;
            Ok(Method::Export(params))
        }
        method => Ok(method),
    }
}

/// All of standard input, without the line end that shells add.
fn read_text() -> Result<String, ApiError> {
    let mut text = String::new();
    let read = std::io::stdin().take(MOST_INPUT).read_to_string(&mut text);
    read.map_err(|error| ApiError::new(Code::BadText, format!("standard input: {error}")))?;
    Ok(text.strip_suffix('\n').map(ToOwned::to_owned).unwrap_or(text))
}

async fn show(globals: &Globals, backend: &mut Backend, method: Method) -> Result<Exit, ApiError> {
    let name = method.name();
    let answer = backend.call(method).await?;
    let exit = exit_of(name, &answer);
    tell(globals, name, answer)?;
    Ok(exit)
}

/// To standard output: as it is, or as lines.
fn tell(globals: &Globals, name: &str, answer: Value) -> Result<(), ApiError> {
    if globals.json {
        print(&answer.to_string());
        return Ok(());
    }
    let mut screen = Screen::new();
    let entry = Entry::named(name).ok_or_else(|| ApiError::new(Code::Internal, "no such method"))?;
    entry.render(answer, &mut screen).map_err(|error| ApiError::new(Code::Internal, format!("the daemon: {error}")))?;
    let lines = screen.take();
    if !lines.is_empty() {
        print(lines.trim_end_matches('\n'));
    }
    Ok(())
}

/// Answers that are not what was hoped for.
fn exit_of(name: &str, answer: &Value) -> Exit {
    let is = |pointer: &str, value: &str| answer.pointer(pointer).and_then(Value::as_str) == Some(value);
    match name {
        "send" if is("/state", "queued") => Exit::Queued,
        "send" if is("/state", "failed") => Exit::Error,
        "verify" if answer.get("same") == Some(&Value::Bool(false)) => Exit::Untrusted,
        "doctor" => {
            let checks = answer.get("checks").and_then(Value::as_array);
            let failed = checks.is_some_and(|checks| {
                checks.iter().any(|check| check.get("outcome").and_then(Value::as_str) == Some("failure"))
            });
            if failed { Exit::Error } else { Exit::Ok }
        }
        _ => Exit::Ok,
    }
}

/// Acknowledges what was shown, once it was.
async fn receive(globals: &Globals, backend: &mut Backend, params: Receive) -> Result<Exit, ApiError> {
    loop {
        let asked = if params.follow { Receive { wait: Some(LONG), ..params.clone() } } else { params.clone() };
        let consumer = asked.consumer.clone();
        let answer = backend.call(Method::Receive(asked)).await?;
        let cursor = answer.get("cursor").and_then(Value::as_u64).unwrap_or_default();
        let more = answer.get("more") == Some(&Value::Bool(true));
        let has_nothing = ["messages", "requests", "identity_changes"]
            .iter()
            .all(|list| answer.get(list).and_then(Value::as_array).is_none_or(Vec::is_empty));
        if !(params.follow && has_nothing) {
            tell(globals, "receive", answer)?;
        }
        backend.call(Method::EventsAck(EventsAck { consumer, cursor })).await?;
        if !params.follow && (!more || globals.json) {
            return Ok(Exit::Ok);
        }
    }
}

/// A line of JSON for every event.
async fn subscribe(backend: &Backend, params: EventsSubscribe) -> Result<Exit, ApiError> {
    let mut notes = backend.subscribe(params).await?;
    while let Some(note) = notes.next().await? {
        print(&serde_json::to_string(&note).unwrap_or_default());
    }
    Ok(Exit::Ok)
}

/// More than any text.
const MOST_INPUT: u64 = 1 << 20;
/// As long as an answer may be waited for.
const LONG: u32 = 600;
