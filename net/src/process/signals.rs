//! How a process is asked to stop.
use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

/// SIGTERM and SIGINT: the first asks to stop, the second to stop now.
#[derive(Debug)]
pub struct Signals(watch::Receiver<u32>);

impl Signals {
    /// Listens from now on. From within a tokio runtime.
    ///
    /// # Errors
    /// If the system has no signals to give.
    pub fn listen() -> io::Result<Self> {
        let (term, int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (sender, receiver) = watch::channel(0);
        tokio::spawn(count(term, int, sender));
        Ok(Self(receiver))
    }

    /// Resolves after the first signal.
    pub async fn stop(&self) {
        self.nth(1).await;
    }

    /// Resolves after the second.
    pub async fn now(&self) {
        self.nth(2).await;
    }

    async fn nth(&self, count: u32) {
        if self.0.clone().wait_for(|seen| *seen >= count).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn count(mut term: Signal, mut int: Signal, seen: watch::Sender<u32>) {
    loop {
        let came = tokio::select! {
            came = term.recv() => came,
            came = int.recv() => came,
        };
        if came.is_none() {
            return;
        }
        seen.send_modify(|seen| *seen = seen.saturating_add(1));
    }
}
