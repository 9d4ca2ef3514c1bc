//! A server that sends frames back, and a client of it: `cargo run -p waxwing-net --example echo`.
//!
//! In two terminals: `… --example echo serve` prints an address; `… --example echo ADDRESS hello` talks to it.
#![allow(clippy::print_stdout, reason = "an example")]
use std::{env, error::Error, net::SocketAddr, path::Path};

use waxwing_net::{Client, ClientConfig, FramedStream, Listener, ListenerConfig, Service, Trust, echo, load_or_create};
use waxwing_wire::address::ServerAddress;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            let (listener, address) = listen(Path::new("target/echo.key"))?;
            let serving = tokio::spawn(async move { echo::serve(&listener, echo::Answer::Same).await });
            talk(&address, "hello").await?;
            serving.abort();
        }
        ["serve"] => {
            let (listener, address) = listen(Path::new("echo.key"))?;
            println!("{address}");
            echo::serve(&listener, echo::Answer::Same).await;
        }
        [address, text] => talk(&address.parse()?, text).await?,
        _ => return Err("usage: echo [serve | ADDRESS TEXT]".into()),
    }
    Ok(())
}

/// A server has a key, which its address pins. The first start makes it.
fn listen(key_file: &Path) -> Result<(Listener, ServerAddress), Box<dyn Error>> {
    if let Some(folder) = key_file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let key = load_or_create(key_file)?;
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::bind(anywhere, &key, ListenerConfig::new(Service::Relay))?;
    let host = listener.local_address().to_string().parse()?;
    let address = ServerAddress::new(*listener.key(), vec![host])?;
    Ok((listener, address))
}

/// A client is one identity towards the network: make another for whoever shall not be matched with this one.
async fn talk(address: &ServerAddress, text: &str) -> Result<(), Box<dyn Error>> {
    let client = Client::new(ClientConfig::default())?;
    let connection = client.connect(address, Service::Relay, Trust::Configured).await?;
    let FramedStream { mut reader, sender } = connection.control().await?;
    sender.send(text.as_bytes()).await?;
    let back = reader.next().await?.unwrap_or_default();
    println!("{} ({:?})", String::from_utf8_lossy(&back), connection.round_trip());
    client.close().await;
    Ok(())
}
