//! The bare echo: same provider, key agreement, frames and queues, and no work in between.
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use waxwing_net::{Client, ClientConfig, FramedStream, Service, Trust, echo};
use waxwing_wire::address::ServerAddress;

use super::{
    Times,
    place::{BYTES, listen},
};

pub(super) struct Echo {
    address: ServerAddress,
    _serving: JoinSet<()>,
}

impl Echo {
    pub(super) fn start() -> Result<Self, String> {
        let (listener, address) = listen()?;
        let listener = Arc::new(listener);
        let mut serving = JoinSet::new();
        // As many bytes come back as a reply has.
        serving.spawn(async move { echo::serve(&listener, echo::Answer::First(12)).await });
        Ok(Self { address, _serving: serving })
    }

    /// Frames a second, of the size of a put, over so many connections.
    pub(super) async fn rate(&self, connections: usize, in_flight: usize, time: Duration) -> Result<f64, String> {
        let each = in_flight.checked_div(connections).unwrap_or(1).max(1);
        let mut streams = Vec::with_capacity(connections);
        for _ in 0..connections {
            streams.push(self.open().await?);
        }
        let (begun, mut exchanging) = (Instant::now(), JoinSet::new());
        for (client, stream) in streams {
            exchanging.spawn(async move {
                let outcome = exchange(stream, each, begun, time).await;
                client.close().await;
                outcome
            });
        }
        let mut answered = 0_u64;
        while let Some(outcome) = exchanging.join_next().await {
            answered = answered.saturating_add(outcome.map_err(|error| error.to_string())??);
        }
        Ok(super::load::per_second(answered, begun.elapsed()))
    }

    /// Round trips of such a frame, one at a time.
    pub(super) async fn trips(&self, time: Duration) -> Result<Times, String> {
        let (_client, stream) = self.open().await?;
        let FramedStream { mut reader, sender } = stream;
        let (begun, mut times) = (Instant::now(), Vec::new());
        while begun.elapsed() < time {
            let sent = Instant::now();
            sender.send(&[7; BYTES]).await.map_err(|error| error.to_string())?;
            reader.next().await.map_err(|error| error.to_string())?;
            times.push(sent.elapsed());
        }
        Ok(Times::new(times))
    }

    /// A connection with one stream, over which one frame went.
    pub(super) async fn idle(&self, client: &Client) -> Result<FramedStream, String> {
        let connection = client.connect(&self.address, Service::Relay, Trust::Configured).await;
        let stream = connection.map_err(|error| error.to_string())?.control().await;
        let mut stream = stream.map_err(|error| error.to_string())?;
        stream.sender.send(&[7; 12]).await.map_err(|error| error.to_string())?;
        stream.reader.next().await.map_err(|error| error.to_string())?;
        Ok(stream)
    }

    async fn open(&self) -> Result<(Client, FramedStream), String> {
        let client = Client::new(ClientConfig::default()).map_err(|error| error.to_string())?;
        let connection = client.connect(&self.address, Service::Relay, Trust::Configured).await;
        let stream =
            connection.map_err(|error| error.to_string())?.control().await.map_err(|error| error.to_string())?;
        Ok((client, stream))
    }
}

async fn exchange(stream: FramedStream, in_flight: usize, begun: Instant, time: Duration) -> Result<u64, String> {
    let FramedStream { mut reader, sender } = stream;
    let (mut open, mut answered) = (0_usize, 0_u64);
    loop {
        let going_on = begun.elapsed() < time;
        while going_on && open < in_flight {
            sender.send(&[7; BYTES]).await.map_err(|error| error.to_string())?;
            open = open.saturating_add(1);
        }
        if open == 0 {
            return Ok(answered);
        }
        let Some(mut batch) = reader.read().await.map_err(|error| error.to_string())? else { return Ok(answered) };
        while batch.next().map_err(|error| error.to_string())?.is_some() {
            open = open.saturating_sub(1);
            answered = answered.saturating_add(1);
        }
    }
}
