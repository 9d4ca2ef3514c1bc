//! JSON-RPC 2.0 with one client. Implements spec/22-client-api.md §22.2.
use std::io;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufRead, AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
    task::JoinSet,
};

use super::{
    MOST_LINE,
    line::{self, Line},
};
use crate::{
    api::{ApiError, Code, Entry, EventsSubscribe, Method, document},
    service::Service,
};

/// Answers until the other side has said everything.
///
/// # Errors
/// The system's; the other side is gone then.
pub async fn converse(
    service: &Service,
    mut input: impl AsyncBufRead + Unpin,
    output: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    // One: whoever does not read is not read from either.
    let (say, said) = mpsc::channel(1);
    let hear = async move {
        let mut talk = Talk { service, say, subscriptions: JoinSet::new() };
        loop {
            match line::read(&mut input, MOST_LINE).await? {
                Line::End => return Ok(()),
                Line::Whole(line) if line.trim_ascii().is_empty() => {}
                Line::Whole(line) => {
                    if talk.take(&line).await.is_none() {
                        return Ok(());
                    }
                }
                Line::TooLong => {
                    let error = ApiError::new(Code::Parse, format!("a line has at most {MOST_LINE} bytes"));
                    let _ = talk.say.send(failure(&Value::Null, &error)).await;
                    return Ok(());
                }
            }
        }
    };
    // The answers' end comes when nobody can give any more.
    let (heard, written) = tokio::join!(hear, write(said, output));
    heard.and(written)
}

async fn write(mut said: mpsc::Receiver<Value>, mut output: impl AsyncWrite + Unpin) -> io::Result<()> {
    while let Some(value) = said.recv().await {
        let mut line = serde_json::to_vec(&value)?;
        line.push(b'\n');
        output.write_all(&line).await?;
        output.flush().await?;
    }
    output.shutdown().await
}

struct Talk<'s> {
    service: &'s Service,
    say: mpsc::Sender<Value>,
    subscriptions: JoinSet<()>,
}

impl Talk<'_> {
    /// None: nobody hears the answers.
    async fn take(&mut self, line: &[u8]) -> Option<()> {
        let answer = match serde_json::from_slice(line) {
            Err(error) => Some(failure(&Value::Null, &ApiError::new(Code::Parse, error.to_string()))),
            Ok(Value::Array(requests)) => self.batch(requests).await,
            Ok(request) => self.request(request).await,
        };
        match answer {
            None => Some(()),
            Some(answer) => self.say.send(answer).await.ok(),
        }
    }

    async fn batch(&mut self, requests: Vec<Value>) -> Option<Value> {
        if requests.is_empty() || requests.len() > MOST_BATCH {
            let error = ApiError::new(Code::InvalidRequest, format!("a batch has 1 to {MOST_BATCH} requests"));
            return Some(failure(&Value::Null, &error));
        }
        let mut answers = Vec::new();
        for request in requests {
            answers.extend(self.request(request).await);
        }
        if answers.is_empty() { None } else { Some(Value::Array(answers)) }
    }

    /// None for a notification, which is done and not answered.
    async fn request(&mut self, mut request: Value) -> Option<Value> {
        let id = request.get("id").cloned();
        let answer = match self.method(&mut request).await {
            Ok(answer) => json!({ "jsonrpc": "2.0", "id": id, "result": answer }),
            Err(error) if error.code == Code::InvalidRequest => failure(&id.clone().unwrap_or(Value::Null), &error),
            Err(error) => failure(id.as_ref()?, &error),
        };
        if id.is_none() && answer.get("error").is_none() { None } else { Some(answer) }
    }

    async fn method(&mut self, request: &mut Value) -> Result<Value, ApiError> {
        let invalid = |why: &str| ApiError::new(Code::InvalidRequest, why);
        if request.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(invalid("a request has \"jsonrpc\": \"2.0\""));
        }
        if !matches!(request.get("id"), None | Some(Value::Null | Value::String(_) | Value::Number(_))) {
            return Err(invalid("an id is a string or a number"));
        }
        let params = request.get_mut("params").map(Value::take).unwrap_or_default();
        let name = request.get("method").and_then(Value::as_str).ok_or_else(|| invalid("a request names a method"))?;
        if name == "rpc.discover" {
            return Ok(document());
        }
        let entry = Entry::named(name).ok_or_else(|| {
            ApiError::new(Code::MethodNotFound, "no such method; `rpc.discover` tells which there are")
        })?;
        match entry.of_json(params)? {
            Method::EventsSubscribe(params) => self.subscribe(params).await,
            method => method.perform(self.service).await,
        }
    }

    async fn subscribe(&mut self, params: EventsSubscribe) -> Result<Value, ApiError> {
        while self.subscriptions.try_join_next().is_some() {}
        if self.subscriptions.len() >= MOST_SUBSCRIPTIONS {
            return Err(ApiError::new(Code::RateLimited, "this connection has subscriptions enough; open another one"));
        }
        let mut notes = self.service.notes(&params.consumer, params.after).await?;
        let (say, consumer) = (self.say.clone(), params.consumer.clone());
        let answer = Method::EventsSubscribe(params).perform(self.service).await?;
        self.subscriptions.spawn(async move {
            while let Ok(Some(note)) = notes.next().await {
                let params = json!({ "consumer": consumer, "cursor": note.cursor, "event": note.event, "message": note.message });
                let notification = json!({ "jsonrpc": "2.0", "method": "event", "params": params });
                if say.send(notification).await.is_err() {
                    return;
                }
            }
        });
        Ok(answer)
    }
}

fn failure(id: &Value, error: &ApiError) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": error.to_json() })
}

const MOST_BATCH: usize = 64;
const MOST_SUBSCRIPTIONS: usize = 8;
