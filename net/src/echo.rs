//! A server that sends every frame back: the yardstick for servers that do more.
//!
//! Same provider, key agreement, frames and queues as theirs, and no work at all in between.
use crate::{Accepted, Connection, FramedStream, Listener};

/// What comes back for a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// The frame.
    Same,
    /// So many of its first bytes, at least 1, as an ack would be.
    First(usize),
}

/// Serves every connection of `listener` until it drains.
pub async fn serve(listener: &Listener, answer: Answer) {
    while let Some(connection) = listener.accept().await {
        tokio::spawn(serve_connection(connection, answer));
    }
}

async fn serve_connection(mut connection: Connection, answer: Answer) {
    let handle = connection.handle();
    // The streams' deadlines are enforced while somebody asks for streams.
    let streams = async {
        while let Ok(accepted) = connection.accept_stream().await {
            if let Accepted::Control(stream) = accepted {
                tokio::spawn(serve_stream(stream, answer));
            }
        }
    };
    tokio::select! {
        () = streams => {}
        () = handle.draining() => {}
    }
}

async fn serve_stream(stream: FramedStream, answer: Answer) {
    let FramedStream { mut reader, sender } = stream;
    // A stream that ends, for whatever reason, ends this.
    while let Ok(Some(mut batch)) = reader.read().await {
        while let Ok(Some(payload)) = batch.next() {
            let back = match answer {
                Answer::Same => payload,
                Answer::First(count) => payload.get(..count.max(1)).unwrap_or(payload),
            };
            if sender.send(back).await.is_err() {
                return;
            }
        }
    }
}
