//! Memory of idle connections: `cargo run --release -p waxwing-net --example idle -- 1000 5000`.
//!
//! Two processes, so that each side's memory is its own: this one serves, a child opens the connections, says one frame on each and
//! rests. Prints what each connection costs on both sides, as the slope between the two counts.
#![allow(clippy::print_stdout, reason = "an example")]
use std::{
    env,
    error::Error,
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use waxwing_net::{Client, ClientConfig, FramedStream, Limits, Listener, ListenerConfig, Service, Trust, echo};
use waxwing_wire::{address::ServerAddress, keys::ServerKey};

type Fallible<T> = Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Fallible<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["client", address, few, many] => connect(&address.parse()?, [few.parse()?, many.parse()?]).await,
        [few, many] => serve(few, many).await,
        [] => serve("200", "1000").await,
        _ => Err("usage: idle [FEW MANY]".into()),
    }
}

async fn serve(few: &str, many: &str) -> Fallible<()> {
    let limits = Limits { connections_per_source: usize::MAX, ..Limits::default() };
    let config = ListenerConfig { limits, ..ListenerConfig::new(Service::Relay) };
    let key = ServerKey::from_seed(&[1; 32]);
    let listener = Arc::new(Listener::bind(([127, 0, 0, 1], 0).into(), &key, config)?);
    let address = ServerAddress::new(*listener.key(), vec![listener.local_address().to_string().parse()?])?;
    let serving = tokio::spawn({
        let listener = Arc::clone(&listener);
        async move { echo::serve(&listener, echo::Answer::First(12)).await }
    });
    let mut child = Command::new(env::current_exe()?)
        .args(["client", &address.to_string(), few, many])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (mut input, output) = (child.stdin.take().ok_or("no input")?, child.stdout.take().ok_or("no output")?);
    let mut lines = BufReader::new(output).lines();
    let mut points = Vec::new();
    for count in [few, many] {
        let line = tokio::task::block_in_place(|| lines.next()).ok_or("the child is gone")??;
        tokio::time::sleep(Duration::from_secs(1)).await;
        points.push((count.parse::<f64>()?, resident()?, line.parse::<f64>()?));
        writeln!(input, "on")?;
    }
    if let [(few, server_few, client_few), (many, server_many, client_many)] = points[..] {
        let slope = |from: f64, to: f64| (to - from) / (many - few);
        println!("KiB per idle connection, slope from {few} to {many}:");
        println!("  server {:.1}", slope(server_few, server_many));
        println!("  client {:.1} (one socket for all)", slope(client_few, client_many));
    }
    child.wait()?;
    serving.abort();
    Ok(())
}

async fn connect(address: &ServerAddress, counts: [usize; 2]) -> Fallible<()> {
    let client = Client::new(ClientConfig { attempt: Duration::from_secs(60), ..ClientConfig::default() })?;
    let mut held = Vec::new();
    for count in counts {
        while held.len() < count {
            let connection = client.connect(address, Service::Relay, Trust::Configured).await?;
            let mut stream: FramedStream = connection.control().await?;
            for _ in 0..4 {
                stream.sender.send(&[7; 1_024]).await?;
                stream.reader.next().await?;
            }
            held.push((connection, stream));
        }
        println!("{}", resident()?);
        tokio::task::block_in_place(|| std::io::stdin().read_line(&mut String::new()))?;
    }
    Ok(())
}

/// KiB of this process in memory.
fn resident() -> Fallible<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
