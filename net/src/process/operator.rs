//! The operator's verbs over a Unix socket.
//!
//! ```text
//! one line of words ──▶  "ok" or "error: …", and lines ──▶ closed          a shell can speak it
//! ```
use std::{io, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc, time::Duration};

use thiserror::Error;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    task::JoinHandle,
    time::timeout,
};

/// What answers an operator.
pub trait Operator: Send + Sync + 'static {
    /// Does what a line of words says. Ok: what is answered, line by line; Err: what to write instead, or to do about it.
    fn execute(&self, line: &str) -> impl Future<Output = Result<String, String>> + Send;
}

/// Answers at `path` until the task is aborted. A socket that nobody answers at is replaced.
///
/// # Errors
/// The system's.
pub fn listen<A: Operator>(path: &Path, operator: Arc<A>) -> io::Result<JoinHandle<()>> {
    // The folder's lock says that it is nobody's.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let operator = Arc::clone(&operator);
                    tokio::spawn(async move {
                        // An operator who went away gets no answer.
                        let _ = timeout(PATIENCE, converse(stream, &*operator)).await;
                    });
                }
                Err(error) => {
                    tracing::error!(%error, "the operator's socket fails");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }))
}

async fn converse(stream: UnixStream, operator: &impl Operator) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    (&mut stream).take(MOST_LINE).read_line(&mut line).await?;
    let answer = match operator.execute(&line).await {
        Ok(answer) => format!("ok\n{answer}"),
        Err(error) => format!("error: {error}\n"),
    };
    let stream = stream.get_mut();
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// Asks the server whose socket is at `path`; its answer.
///
/// # Errors
/// [`AskError`].
pub async fn ask(path: &Path, line: &str) -> Result<String, AskError> {
    let mut stream = UnixStream::connect(path).await.map_err(AskError::Socket)?;
    stream.write_all(format!("{line}\n").as_bytes()).await.map_err(AskError::Socket)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map_err(AskError::Socket)?;
    match answer.split_once('\n') {
        Some(("ok", rest)) => Ok(rest.to_owned()),
        _ => Err(AskError::Said(answer.trim_end().trim_start_matches("error: ").to_owned())),
    }
}

/// Why a verb was not done.
#[derive(Debug, Error)]
pub enum AskError {
    /// Nobody answers there.
    #[error("no server answers at that socket; is it running, and is this its data folder? ({0})")]
    Socket(#[source] io::Error),
    /// What the server said.
    #[error("{0}")]
    Said(String),
}

/// The socket's name in the data folder.
pub const SOCKET: &str = "admin.sock";
const MOST_LINE: u64 = 1_024;
/// A verb may read a whole store.
const PATIENCE: Duration = Duration::from_secs(3_600);
