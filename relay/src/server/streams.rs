//! A session's frames on a connection's streams.
use std::{sync::OnceLock, time::Duration};

use tokio::sync::watch;
use waxwing_net::FrameSender;
use waxwing_wire::{frame::ErrorCode, relay::ServerFrame};

use crate::service::{Gone, Outbox};

/// The sending halves.
#[derive(Debug)]
pub(super) struct Streams {
    control: FrameSender,
    backlog: OnceLock<FrameSender>,
    end: watch::Sender<Option<ErrorCode>>,
}

impl Streams {
    pub(super) fn new(control: FrameSender) -> Self {
        Self { control, backlog: OnceLock::new(), end: watch::Sender::new(None) }
    }

    /// The client opened the stream; there is one at most, which `waxwing-net` sees to.
    pub(super) fn open_backlog(&self, backlog: FrameSender) {
        let _ = self.backlog.set(backlog);
    }

    /// Resolves when the session wants the connection to end.
    pub(super) fn ending(&self) -> impl Future<Output = ErrorCode> + Send + use<> {
        let mut end = self.end.subscribe();
        async move {
            match end.wait_for(Option::is_some).await.map(|code| *code) {
                Ok(Some(code)) => code,
                // The streams live longer than whoever waits.
                Ok(None) | Err(_) => std::future::pending().await,
            }
        }
    }

    /// Sends what waits and lets the client have it; nothing can be sent after.
    pub(super) async fn finish(&self) {
        let backlog = async {
            if let Some(backlog) = self.backlog.get() {
                let _ = backlog.finish().await;
            }
        };
        // A client that is gone, or takes nothing, gets nothing.
        let _ = tokio::join!(self.control.finish(), backlog);
    }
}

impl Outbox for Streams {
    async fn control(&self, frame: &ServerFrame) -> Result<(), Gone> {
        send(&self.control, frame).await
    }

    async fn backlog(&self, frame: &ServerFrame) -> Result<(), Gone> {
        send(self.backlog.get().unwrap_or(&self.control), frame).await
    }

    fn pause(&self, time: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(time)
    }

    fn end(&self, code: ErrorCode) {
        self.end.send_if_modified(|end| {
            let first = end.is_none();
            end.get_or_insert(code);
            first
        });
    }
}

async fn send(stream: &FrameSender, frame: &ServerFrame) -> Result<(), Gone> {
    let Ok(payload) = frame.encode() else {
        tracing::error!("an answer cannot be encoded");
        return Err(Gone);
    };
    stream.send(&payload).await.map_err(|_| Gone)
}
