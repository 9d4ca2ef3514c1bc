//! Blobs, written and read, beside the same bytes on a stream of the same endpoint that nobody keeps.
use std::{
    fs::File,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use waxwing_net::{
    Accepted, BlobStream, Client, ClientConfig, ClientConnection, Connection, Listener, RelayConnection, Service, Trust,
};
use waxwing_wire::{
    address::ServerAddress,
    frame::Admission,
    id::BlobId,
    relay::{Capability, CreateBlob, DeleteBlob, RelayRequest, TransferBlob, VerifierKind},
    sealed::ChunkSize,
};

use super::place::{Place, listen};

/// A server that takes bytes and gives bytes, and does nothing with them.
pub(super) struct Raw {
    address: ServerAddress,
    _serving: JoinSet<()>,
}

impl Raw {
    pub(super) fn start() -> Result<Self, String> {
        let (listener, address) = listen()?;
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener));
        Ok(Self { address, _serving: serving })
    }

    /// MB a second to the server, and from it.
    pub(super) async fn rates(&self, time: Duration) -> Result<(f64, f64), String> {
        let client = Client::new(ClientConfig::default()).map_err(said)?;
        let connection = client.connect(&self.address, Service::Relay, Trust::Configured).await.map_err(said)?;
        let _control = connection.control().await.map_err(said)?;
        let (mut sent, begun) = (0_u64, Instant::now());
        while begun.elapsed() < time {
            let mut stream = begin(&connection, TO).await?;
            for _ in 0..COUNT {
                stream.write(vec![0xe5; CHUNK_BYTES]).await.map_err(said)?;
            }
            stream.finish();
            stream.read_frame().await.map_err(said)?;
            sent = BLOB.saturating_add(sent);
        }
        let to = megabytes(sent, begun.elapsed());
        let (mut came, begun) = (0_u64, Instant::now());
        while begun.elapsed() < time {
            let mut stream = begin(&connection, FROM).await?;
            came = drain(&mut stream).await?.saturating_add(came);
        }
        let rates = (to, megabytes(came, begun.elapsed()));
        client.close().await;
        Ok(rates)
    }
}

async fn begin(connection: &ClientConnection, direction: u8) -> Result<BlobStream, String> {
    let mut stream = connection.blob().await.map_err(said)?;
    stream.write_frame(&[direction]).await.map_err(said)?;
    Ok(stream)
}

async fn drain(stream: &mut BlobStream) -> Result<u64, String> {
    let (mut piece, mut came) = (vec![0; CHUNK_BYTES], 0_u64);
    while let Some(count) = stream.read_into(&mut piece).await.map_err(said)? {
        came = came.saturating_add(u64::try_from(count).unwrap_or_default());
    }
    Ok(came)
}

async fn serve(listener: Listener) {
    let mut connections = JoinSet::new();
    while let Some(connection) = listener.accept().await {
        connections.spawn(serve_connection(connection));
    }
}

async fn serve_connection(mut connection: Connection) {
    let mut streams = JoinSet::new();
    let mut held = Vec::new();
    while let Ok(accepted) = connection.accept_stream().await {
        match accepted {
            Accepted::Blob(stream) => drop(streams.spawn(serve_stream(stream))),
            other => held.push(other),
        }
    }
}

async fn serve_stream(mut stream: BlobStream) {
    // Whatever ends it ends it.
    let Ok(direction) = stream.read_frame().await else { return };
    if direction == [TO] {
        let _ = drain(&mut stream).await;
        let _ = stream.write_frame(&[TO]).await;
    } else {
        for _ in 0..COUNT {
            if stream.write(vec![0xe5; CHUNK_BYTES]).await.is_err() {
                return;
            }
        }
    }
    stream.finish();
}

/// MB a second into blobs, until *done*, and out of them.
pub(super) async fn rates(place: &Place, time: Duration) -> Result<(f64, f64), String> {
    let (client, connection) = place.connect().await?;
    let (mut sent, begun, mut number) = (0_u64, Instant::now(), 0_u128);
    while begun.elapsed() < time {
        let last = BlobId::from_bytes(number.to_be_bytes());
        number = number.wrapping_add(1);
        write(&connection, BlobId::from_bytes(number.to_be_bytes())).await?;
        sent = BLOB.saturating_add(sent);
        if number > 1 {
            let delete = DeleteBlob { blob: last, capability: capability(VerifierKind::WriteBlob) };
            connection.request(RelayRequest::DeleteBlob(delete)).await.map_err(said)?;
        }
    }
    let to = megabytes(sent, begun.elapsed());
    let (mut came, begun) = (0_u64, Instant::now());
    while begun.elapsed() < time {
        let capability = capability(VerifierKind::ReadBlob);
        let blob = BlobId::from_bytes(number.to_be_bytes());
        let read = TransferBlob { blob, capability, first: 0, count: COUNT };
        let mut moving = connection.blob(RelayRequest::ReadBlob(read)).await.map_err(said)?;
        moving.state().await.map_err(said)?;
        came = drain(&mut moving.stream).await?.saturating_add(came);
    }
    let from = megabytes(came, begun.elapsed());
    drop(connection);
    client.close().await;
    Ok((to, from))
}

async fn write(connection: &RelayConnection, blob: BlobId) -> Result<(), String> {
    let verifier = |kind| capability(kind).verifier(kind, blob.as_bytes());
    let create = CreateBlob {
        blob,
        chunk: CHUNK,
        count: COUNT,
        write_verifier: verifier(VerifierKind::WriteBlob),
        read_verifier: verifier(VerifierKind::ReadBlob),
        admission: Admission::Open,
    };
    connection.request(RelayRequest::CreateBlob(create)).await.map_err(said)?;
    let write = TransferBlob { blob, capability: capability(VerifierKind::WriteBlob), first: 0, count: COUNT };
    let mut moving = connection.blob(RelayRequest::WriteBlob(write)).await.map_err(said)?;
    for _ in 0..COUNT {
        moving.stream.write(vec![0xe5; CHUNK_BYTES]).await.map_err(said)?;
    }
    moving.stream.finish();
    match moving.state().await.map_err(said)? {
        state if state.written == COUNT => Ok(()),
        state => Err(format!("not written: {state:?}")),
    }
}

/// MB a second into a file, each 32 MiB synced.
pub(super) fn disk(folder: &Path, time: Duration) -> Result<f64, String> {
    let piece = vec![0xe5; CHUNK_BYTES];
    let (mut written, begun) = (0_u64, Instant::now());
    while begun.elapsed() < time {
        let mut file = File::create(folder.join("plain")).map_err(said)?;
        for _ in 0..COUNT {
            file.write_all(&piece).map_err(said)?;
        }
        file.sync_data().map_err(said)?;
        written = BLOB.saturating_add(written);
    }
    Ok(megabytes(written, begun.elapsed()))
}

fn capability(kind: VerifierKind) -> Capability {
    Capability::from_bytes([if kind == VerifierKind::WriteBlob { 1 } else { 2 }; 32])
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn megabytes(bytes: u64, time: Duration) -> f64 {
    super::load::per_second(bytes >> 10, time) * 1_024.0 / 1e6
}

const TO: u8 = 1;
const FROM: u8 = 2;
const CHUNK: ChunkSize = ChunkSize::K256;
const CHUNK_BYTES: usize = 262_144;
/// 32 MiB.
const COUNT: u32 = 128;
const BLOB: u64 = 32 << 20;
