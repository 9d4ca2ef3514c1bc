//! A daemon, as a verb sees it. Implements spec/22-client-api.md §22.1 (F6).
use std::{io, path::Path};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::{
    SOCKET,
    line::{self, Line},
};
use crate::{
    api::{ApiError, Code, EventNote, EventsSubscribe, Method},
    profile::{is_ours_alone, own_user, system},
};

/// A connection to a daemon.
#[derive(Debug)]
pub struct Remote {
    input: BufReader<OwnedReadHalf>,
    output: OwnedWriteHalf,
    number: u64,
}

impl Remote {
    /// To the daemon of a profile; none if there is none.
    ///
    /// # Errors
    /// [`Code::Unsafe`]: others could have put that socket there.
    pub async fn connect(folder: &Path) -> Result<Option<Self>, ApiError> {
        let path = folder.join(SOCKET);
        let stream = match UnixStream::connect(&path).await {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            // No socket has a name so long.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(None),
            Err(error) => return Err(system(&path, &error)),
        };
        // Before anything is said.
        is_ours_alone(folder)?;
        is_ours_alone(&path)?;
        if !stream.peer_cred().is_ok_and(|peer| own_user().is_ok_and(|user| peer.uid() == user)) {
            return Err(ApiError::new(
                Code::Unsafe,
                format!("{} is answered by somebody else; it is not used", path.display()),
            ));
        }
        let (input, output) = stream.into_split();
        Ok(Some(Self { input: BufReader::new(input), output, number: 0 }))
    }

    /// Asks; the answer in its versioned form.
    ///
    /// # Errors
    /// As the daemon says.
    pub async fn call(&mut self, method: &Method) -> Result<Value, ApiError> {
        self.number = self.number.saturating_add(1);
        let mut request = serde_json::to_value(method).unwrap_or_default();
        if let Some(request) = request.as_object_mut() {
            request.insert("jsonrpc".into(), "2.0".into());
            request.insert("id".into(), self.number.into());
        }
        let mut bytes = serde_json::to_vec(&request).unwrap_or_default();
        bytes.push(b'\n');
        self.output.write_all(&bytes).await.map_err(|_| gone())?;
        loop {
            let mut answer = self.read().await?;
            if answer.get("id") != Some(&json!(self.number)) {
                continue;
            }
            if let Some(error) = answer.get("error") {
                return Err(ApiError::of_json(error));
            }
            return Ok(answer.get_mut("result").map(Value::take).unwrap_or_default());
        }
    }

    /// Events as they come; the connection is for nothing else then.
    ///
    /// # Errors
    /// As the daemon says.
    pub async fn subscribe(mut self, params: EventsSubscribe) -> Result<RemoteNotes, ApiError> {
        self.call(&Method::EventsSubscribe(params)).await?;
        Ok(RemoteNotes(self))
    }

    /// Passes everything on, both ways, until one side ends.
    ///
    /// # Errors
    /// The system's.
    pub async fn relay(self, mut input: impl AsyncRead + Unpin, mut output: impl AsyncWrite + Unpin) -> io::Result<()> {
        let Self { input: mut answers, output: mut requests, number: _ } = self;
        let asking = async {
            tokio::io::copy(&mut input, &mut requests).await?;
            // So that the daemon hears the end, answers what it has, and ends as well.
            requests.shutdown().await
        };
        let answering = async { tokio::io::copy(&mut answers, &mut output).await.map(drop) };
        tokio::pin!(asking);
        tokio::select! {
            // It goes first when the daemon stops.
            answered = answering => answered.and(output.flush().await),
            Err(error) = &mut asking => Err(error),
        }
    }

    async fn read(&mut self) -> Result<Value, ApiError> {
        match line::read(&mut self.input, MOST_ANSWER).await {
            Ok(Line::Whole(line)) => serde_json::from_slice(&line)
                .map_err(|error| ApiError::new(Code::Internal, format!("the daemon: {error}"))),
            _ => Err(gone()),
        }
    }
}

/// Events from a daemon.
#[derive(Debug)]
pub struct RemoteNotes(Remote);

impl RemoteNotes {
    /// Waits for the next.
    ///
    /// # Errors
    /// [`Code::Closed`]: the daemon stopped.
    pub async fn next(&mut self) -> Result<EventNote, ApiError> {
        loop {
            let mut line = self.0.read().await?;
            if line.get("method").and_then(Value::as_str) == Some("event") {
                let params = line.get_mut("params").map(Value::take).unwrap_or_default();
                return serde_json::from_value(params)
                    .map_err(|error| ApiError::new(Code::Internal, error.to_string()));
            }
        }
    }
}

fn gone() -> ApiError {
    ApiError::new(Code::Closed, "the daemon stopped before it answered: ask again")
}

/// An answer may hold a thousand long messages.
const MOST_ANSWER: usize = 1 << 28;
