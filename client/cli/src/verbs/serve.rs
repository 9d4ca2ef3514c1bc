//! Both servers in one process. Implements spec/22-client-api.md §22.9.
//!
//! ```text
//! DIR/relay, DIR/keyserver   as the programs of their own have them
//! DIR/invitation             the one that the printed line carries, until it was used
//! ```
use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use tokio::sync::{oneshot, watch};
use waxwing_keyserver::{config as keyserver_config, run as keyserver_run};
use waxwing_net::process::{self, SOCKET, Signals};
use waxwing_relay::{config as relay_config, run as relay_run};
use waxwing_wire::{address::ServerAddress, frame::InviteToken};

use crate::{
    api::{ApiError, Code, Exit},
    cli::Serve,
    profile::{self, system},
    server_line::{ServerLine, invitation},
};

pub(super) async fn run(params: Serve) -> Result<Exit, ApiError> {
    let data = match &params.data {
        Some(data) => data.clone(),
        None => profile::data()?.join("server"),
    };
    if params.invite {
        let line = fs::read_to_string(data.join(ADDRESSES)).map_err(|error| system(&data.join(ADDRESSES), &error))?;
        let mut line: ServerLine = line.parse().map_err(|error: String| ApiError::new(Code::System, error))?;
        let minted = mint(&data).await?;
        line.invitations = Some(minted.tokens()?);
        super::print(&line.to_string());
        return Ok(Exit::Ok);
    }
    let signals = Signals::listen().map_err(|error| system(&data, &error))?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&data).map_err(|error| system(&data, &error))?;
    let servers = Servers::configure(&params, &data)?;
    let announce = |relay, keyserver| announce(&data, relay, keyserver, params.open);
    servers.run(signals.stop(), signals.now(), announce).await?;
    Ok(Exit::Ok)
}

/// A relay and a key server that can be run.
#[derive(Clone, Debug)]
pub(super) struct Servers {
    pub(super) relay: relay_config::Config,
    pub(super) keyserver: keyserver_config::Config,
}

impl Servers {
    pub(super) fn configure(params: &Serve, data: &Path) -> Result<Self, ApiError> {
        let listen = |port| Some(SocketAddr::new(params.listen, port).to_string());
        let host = |port: u16| match &params.host {
            Some(_) if port == 0 => {
                Err(ApiError::new(Code::InvalidParams, "--host needs ports that stay: none may be 0"))
            }
            Some(host) => Ok(vec![format!("{host}:{port}")]),
            None => Ok(Vec::new()),
        };
        let (relay_port, keyserver_port) = (params.relay_port, params.keyserver_port);
        let flags = relay_config::Flags {
            data: Some(data.join("relay")),
            listen: listen(relay_port),
            hosts: host(relay_port)?,
            log: None,
        };
        let relay = relay_config::Config::load(params.relay_config.as_deref(), std::env::vars(), flags);
        let flags = keyserver_config::Flags {
            data: Some(data.join("keyserver")),
            listen: listen(keyserver_port),
            hosts: host(keyserver_port)?,
            log: None,
            shared: false,
        };
        let keyserver = keyserver_config::Config::load(params.keyserver_config.as_deref(), std::env::vars(), flags);
        let mut servers = Self {
            relay: relay.map_err(|error| ApiError::new(Code::InvalidParams, format!("relay: {error}")))?,
            keyserver: keyserver.map_err(|error| ApiError::new(Code::InvalidParams, format!("key server: {error}")))?,
        };
        servers.relay.settings.admission.open |= params.open;
        servers.keyserver.settings.admission.open |= params.open;
        Ok(servers)
    }

    /// Runs both until `drain`; one that fails takes the other with it. Both addresses are told once both answer.
    pub(super) async fn run<S: Future<Output = Result<(), ApiError>>>(
        &self,
        drain: impl Future<Output = ()>,
        now: impl Future<Output = ()>,
        serving: impl FnOnce(ServerAddress, ServerAddress) -> S,
    ) -> Result<(), ApiError> {
        let (stop, _) = watch::channel(Stop::NotYet);
        let until = |least: Stop| {
            let mut stop = stop.subscribe();
            async move { drop(stop.wait_for(|stop| *stop >= least).await) }
        };
        let (say_relay, relay_address) = oneshot::channel();
        let (say_keyserver, keyserver_address) = oneshot::channel();
        let relay = async {
            let ending = relay_run::Ending { drain: until(Stop::Drain), now: until(Stop::Now) };
            let told = |address: &ServerAddress| {
                let _ = say_relay.send(address.clone());
                Ok(())
            };
            let served = relay_run::serve(&self.relay, ending, told).await;
            stop.send_if_modified(Stop::drain);
            served.map_err(|error| ApiError::new(Code::System, format!("relay: {error}")))
        };
        let keyserver = async {
            let ending = keyserver_run::Ending { drain: until(Stop::Drain), now: until(Stop::Now) };
            let told = |address: &ServerAddress| {
                let _ = say_keyserver.send(address.clone());
                Ok(())
            };
            let served = keyserver_run::serve(&self.keyserver, ending, told).await;
            stop.send_if_modified(Stop::drain);
            served.map_err(|error| ApiError::new(Code::System, format!("key server: {error}")))
        };
        let announced = async {
            // One that did not come up says why itself.
            let (Ok(relay), Ok(keyserver)) = (relay_address.await, keyserver_address.await) else { return Ok(()) };
            let announced = serving(relay, keyserver).await;
            if announced.is_err() {
                stop.send_if_modified(Stop::drain);
            }
            announced
        };
        let signals = async {
            drain.await;
            stop.send_if_modified(Stop::drain);
            now.await;
            stop.send_replace(Stop::Now);
            std::future::pending::<()>().await;
        };
        let served = async { tokio::join!(relay, keyserver, announced) };
        let (relay, keyserver, announced) = tokio::select! {
            served = served => served,
            () = signals => return Ok(()),
        };
        relay.and(keyserver).and(announced)
    }
}

/// How far stopping is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Stop {
    NotYet,
    Drain,
    Now,
}

impl Stop {
    fn drain(&mut self) -> bool {
        let is_first = *self == Self::NotYet;
        *self = (*self).max(Self::Drain);
        is_first
    }
}

async fn announce(data: &Path, relay: ServerAddress, keyserver: ServerAddress, open: bool) -> Result<(), ApiError> {
    let mut line = ServerLine { relay, keyserver, invitations: None };
    let path = data.join(ADDRESSES);
    fs::write(&path, line.to_string()).map_err(|error| system(&path, &error))?;
    if !open {
        line.invitations = Some(standing_invitation(data).await?);
    }
    super::print(&format!("relay       {}", line.relay));
    super::print(&format!("key server  {}", line.keyserver));
    super::print(&format!("join        {line}"));
    Ok(())
}

/// The one that was printed before, while it is unused: a restart makes no second one.
async fn standing_invitation(data: &Path) -> Result<(InviteToken, InviteToken), ApiError> {
    let path = data.join(INVITATION);
    let known = fs::read_to_string(&path).ok().and_then(|text| Minted::parse(&text));
    if let Some(known) = known
        && is_open(&socket(data, "relay"), &known.relay.0).await?
        && is_open(&socket(data, "keyserver"), &known.keyserver.0).await?
    {
        return known.tokens();
    }
    let minted = mint(data).await?;
    let _ = fs::remove_file(&path);
    let mut file = profile::private_file(&path)?;
    let text = format!("{} {}\n{} {}\n", minted.relay.0, minted.relay.1, minted.keyserver.0, minted.keyserver.1);
    file.write_all(text.as_bytes()).map_err(|error| system(&path, &error))?;
    minted.tokens()
}

/// An invitation of each server: number and digits.
struct Minted {
    relay: (String, String),
    keyserver: (String, String),
}

impl Minted {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(pair);
        Some(Self { relay: lines.next()??, keyserver: lines.next()?? })
    }

    fn tokens(&self) -> Result<(InviteToken, InviteToken), ApiError> {
        let token = |digits: &str| invitation(digits).map_err(|error| ApiError::new(Code::Internal, error));
        Ok((token(&self.relay.1)?, token(&self.keyserver.1)?))
    }
}

fn pair(line: &str) -> Option<(String, String)> {
    line.split_once(' ').map(|(number, digits)| (number.to_owned(), digits.trim().to_owned()))
}

async fn mint(data: &Path) -> Result<Minted, ApiError> {
    let mint = async |server| {
        let answer = ask(&socket(data, server), "invite mint").await?;
        pair(answer.trim()).ok_or_else(|| ApiError::new(Code::Internal, "the server minted no invitation"))
    };
    Ok(Minted { relay: mint("relay").await?, keyserver: mint("keyserver").await? })
}

async fn is_open(socket: &Path, number: &str) -> Result<bool, ApiError> {
    let list = ask(socket, "invite list").await?;
    Ok(list.lines().filter_map(pair).any(|(of, state)| of == number && state.split(' ').next() == Some("open")))
}

async fn ask(socket: &Path, verb: &str) -> Result<String, ApiError> {
    process::ask(socket, verb)
        .await
        .map_err(|error| ApiError::new(Code::System, format!("{}: {error}", socket.display())))
}

fn socket(data: &Path, server: &str) -> PathBuf {
    data.join(server).join(SOCKET)
}

const INVITATION: &str = "invitation";
const ADDRESSES: &str = "addresses";
