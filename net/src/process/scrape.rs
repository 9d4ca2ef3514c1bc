//! As much of HTTP as a scrape and a supervisor need: one request, one answer, closed. A library for it would be a web server
//! beside the one thing that listens to strangers.
use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

/// What is asked for.
pub trait Scraped: Send + Sync + 'static {
    /// Everything that is counted, as Prometheus reads it.
    fn metrics(&self) -> String;

    /// Whether it serves: what a supervisor asks.
    fn is_healthy(&self) -> impl Future<Output = bool> + Send;
}

/// Answers `GET /metrics` and `GET /health` at `place` until it is dropped.
///
/// # Errors
/// The system's.
pub async fn scrape<A: Scraped>(place: SocketAddr, scraped: Arc<A>) -> io::Result<JoinSet<()>> {
    let listener = TcpListener::bind(place).await?;
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut scrapes = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) if scrapes.len() < MOST_SCRAPES => {
                        let scraped = Arc::clone(&scraped);
                        scrapes.spawn(async move { drop(timeout(PATIENCE, answer(stream, &*scraped)).await) });
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
                },
                Some(_) = scrapes.join_next() => {}
            }
        }
    });
    Ok(task)
}

async fn answer(mut stream: TcpStream, scraped: &impl Scraped) -> io::Result<()> {
    let mut head = Vec::with_capacity(MOST_HEAD);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() >= MOST_HEAD || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let (status, body) = if head.starts_with(b"GET /metrics ") {
        ("200 OK", scraped.metrics())
    } else if head.starts_with(b"GET /health ") {
        if scraped.is_healthy().await {
            ("200 OK", "serving\n".into())
        } else {
            ("503 Service Unavailable", "the store is unavailable\n".into())
        }
    } else {
        ("404 Not Found", String::new())
    };
    let length = body.len();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

const MOST_SCRAPES: usize = 16;
const MOST_HEAD: usize = 8_192;
const PATIENCE: Duration = Duration::from_secs(10);
