//! What an idle device takes: one that is subscribed, beside a bare connection with one stream.
//!
//! Both ends of a connection are in this process, of either kind alike. Batches of both kinds follow each other and all of them stay, so that none
//! finds memory that another gave back.
use std::fs;

use waxwing_net::{Client, ClientConfig, FramedStream, RelayConnection};

use super::{
    echo::Echo,
    load::drain,
    place::{Place, mailbox},
};

/// Connections that stay.
pub(super) struct Idle<'b> {
    place: &'b Place,
    echo: &'b Echo,
    client: Client,
    bare: Vec<FramedStream>,
    subscribed: Vec<RelayConnection>,
}

impl<'b> Idle<'b> {
    pub(super) fn new(place: &'b Place, echo: &'b Echo) -> Result<Self, String> {
        let client = Client::new(ClientConfig::default()).map_err(|error| error.to_string())?;
        Ok(Self { place, echo, client, bare: Vec::new(), subscribed: Vec::new() })
    }

    /// So many more of each kind: bytes for each that is subscribed, and for each that is bare.
    pub(super) async fn more(&mut self, count: usize) -> Result<(f64, f64), String> {
        let before = resident()?;
        for _ in 0..count {
            self.bare.push(self.echo.idle(&self.client).await?);
        }
        let between = resident()?;
        for _ in 0..count {
            let number = self.subscribed.len();
            let connection = self.place.owner_over(&self.client, number).await?;
            drain(&connection).await?;
            self.subscribed.push(connection);
        }
        let after = resident()?;
        Ok((each(after, between, count), each(between, before, count)))
    }

    /// Whether all of them still stand: an envelope for each that is subscribed comes.
    pub(super) async fn end(self) -> Result<usize, String> {
        let count = self.subscribed.len();
        for (number, connection) in self.subscribed.iter().enumerate() {
            let mut pushes = connection.pushes().await.ok_or("pushes are taken")?;
            super::load::put_one(connection, mailbox(number)).await?;
            pushes.next().await.ok_or("a subscriber was lost")?;
        }
        self.client.close().await;
        Ok(count)
    }
}

fn each(after: f64, before: f64, count: usize) -> f64 {
    (after - before) / u32::try_from(count).map_or(f64::MAX, f64::from)
}

/// Bytes of this process in memory, where a system says that.
fn resident() -> Result<f64, String> {
    let status =
        fs::read_to_string("/proc/self/status").map_err(|error| format!("no memory can be measured: {error}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kilobytes.map(|kilobytes| kilobytes * 1_024.0).ok_or_else(|| "no memory can be measured".into())
}
