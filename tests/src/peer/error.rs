//! Why a peer did not start, and why an operation failed.

use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

/// Why there is no peer.
#[derive(Debug, Error)]
pub enum StartError {
    /// Something is not installed on this machine.
    #[error(transparent)]
    Skip(#[from] Skip),
    /// Everything is installed, and yet it does not run.
    #[error("the driver does not work: {0}")]
    Broken(PeerError),
}

/// What is not installed. A test that is skipped for it should show this text.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Skip {
    /// There is no `node` on the search path.
    #[error("node not found: install Node 20 or newer")]
    NodeNotFound,
    /// Node is there, the packages are not.
    #[error("Signal's library is not installed: run npm ci --ignore-scripts in tests/interop")]
    LibraryNotInstalled,
}

impl Skip {
    /// The word in the environment variable `WAXWING_REQUIRE` that turns this skip into a failure.
    pub fn requirement(self) -> &'static str {
        match self {
            Self::NodeNotFound | Self::LibraryNotInstalled => "node",
        }
    }
}

/// Why an operation of the driver failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The library refused; this is what tests are about.
    #[error("{0}")]
    Library(Refusal),
    /// A callback of the driver's stores refused: a prekey is gone, or was used already.
    #[error("store: {0}")]
    Store(String),
    /// This version of the library has no such operation.
    #[error("not in this version: {0}")]
    Unsupported(String),
    /// The request was wrong: a mistake in the test or in this client.
    #[error("wrong request: {0}")]
    Request(String),
    /// The driver wrote something that this client does not understand.
    #[error("the driver's answer makes no sense: {0}")]
    Garbled(String),
    /// The process ended; `stderr` is the last that it wrote there.
    #[error("the driver's process ended; its stderr:\n{stderr}")]
    Gone {
        /// The last lines of the process's standard error.
        stderr: String,
    },
    /// The process did not answer in time.
    #[error("the driver did not answer within {after:?}; its stderr:\n{stderr}")]
    Silent {
        /// How long was waited.
        after: Duration,
        /// The last lines of the process's standard error.
        stderr: String,
    },
}

/// The library's own error.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{name} ({code}): {message}")]
pub struct Refusal {
    /// The name of its code, for instance `DuplicatedMessage`, or of the JavaScript error.
    pub name: String,
    /// Its code, or -1 if the error came from the conversion of arguments.
    pub code: i32,
    /// Its text.
    pub message: String,
}

impl PeerError {
    /// The library's refusal, if that is what it is.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Library(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether the library says that it has seen the message before.
    pub fn is_duplicate(&self) -> bool {
        self.refusal().is_some_and(|refusal| refusal.name == "DuplicatedMessage")
    }
}

/// An error as the driver writes it.
#[derive(Deserialize)]
pub(super) struct ErrorResponse {
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    code: i32,
    message: String,
}

impl From<ErrorResponse> for PeerError {
    fn from(ErrorResponse { kind, name, code, message }: ErrorResponse) -> Self {
        match kind.as_str() {
            "library" => Self::Library(Refusal { name, code, message }),
            "store" => Self::Store(message),
            "unsupported" => Self::Unsupported(message),
            "request" => Self::Request(message),
            _ => Self::Garbled(format!("an error of kind {kind}: {message}")),
        }
    }
}
