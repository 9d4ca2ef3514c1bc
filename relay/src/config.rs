//! What an operator may set, and where: flags before `WAXWING_RELAY_*` before the file before the defaults. Implements
//! spec/17-relay.md §17.18.
//!
//! ```toml
//! data = "/var/lib/waxwing-relay"
//! listen = "[::]:4433"
//! hosts = ["relay.example.org:4433"]    # how clients find it; the first is printed first
//! log = "info"                          # off, error, warn, info, debug, trace
//! drain_seconds = 20
//! metrics = "127.0.0.1:9463"            # where Prometheus asks; none by default
//!
//! [admission]
//! open = false                          # anybody
//! invites = true                        # holders of an invitation
//! work = 24                             # whoever works so many bits; 0: nobody by work
//! strangers = 24                        # what a stranger's envelope costs
//!
//! [limits]
//! mailbox_bytes = 67108864
//! mailbox_envelopes = 20000
//! mailboxes_total = 68719476736         # bytes of all mailboxes together
//! requests_in_flight = 256
//! push_window = 256
//! connections = 100000
//! connections_per_source = 1024
//! create_mailbox = [10, 60.0]           # by a source: a burst, and seconds until the next; 0 seconds: no limit
//! create_register = [64, 60.0]
//! create_blob = [64, 10.0]
//! puts = [20000, 0.01]                  # by a source: envelopes, each recipient of a fan-out is one
//! puts_of_all = [0, 0.0]                # by everybody together; 0 seconds: no limit
//! puts_of_mailbox = [4000, 0.05]        # what each share of a mailbox takes
//! handshakes = [1024, 0.1]              # by a source: connections that it begins
//! blob_bytes = 2147483648               # of one blob; 0: none are taken
//! blobs_total = 68719476736             # of all blobs together
//! blob_streams_per_source = 64
//! ```
//! Invariant: a key that is not known is an error, wherever it stands.
use std::{
    fs, io,
    net::{Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use thiserror::Error;
use waxwing_net::{Limits as Peers, Pace};
use waxwing_wire::{
    address::{AddressError, Host, ServerAddress},
    keys::ServerPublicKey,
    pow::Difficulty,
};

use crate::{
    service::{AdmissionSettings, Rate, Rates, Settings},
    store::{BlobRules, Rules},
};

/// A relay's configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where everything is kept.
    pub data: PathBuf,
    /// Where it listens.
    pub listen: SocketAddr,
    /// How clients find it; none: where it listens.
    pub hosts: Vec<Host>,
    /// What is logged.
    pub log: Level,
    /// How long a drain may take.
    pub drain: Duration,
    /// Where Prometheus asks.
    pub metrics: Option<SocketAddr>,
    /// What the service asks and allows.
    pub settings: Settings,
    /// Bytes of all mailboxes' envelopes together.
    pub mailboxes: u64,
    /// Bytes of all blobs together.
    pub blobs: u64,
    /// What peers may do.
    pub peers: Peers,
}

/// What is logged: this and what is worse.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "tracing's levels")]
pub enum Level {
    Off,
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl Level {
    /// As tracing writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// What flags said; each counts before the environment and the file.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--data`.
    pub data: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<String>,
    /// `--host`, as often as there are hosts.
    pub hosts: Vec<String>,
    /// `--log`.
    pub log: Option<String>,
}

impl Config {
    /// Puts file, environment and flags together. `environment` is all of it; what does not begin with `WAXWING_RELAY_` is left alone.
    ///
    /// # Errors
    /// [`ConfigError`], naming the place and the key.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: Flags,
    ) -> Result<Self, ConfigError> {
        let mut table = match file {
            None => toml::Table::new(),
            Some(path) => {
                let text =
                    fs::read_to_string(path).map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
                text.parse().map_err(|error| ConfigError::File { path: path.to_owned(), error: Box::new(error) })?
            }
        };
        // Checked alone first, so that a message names the file when the file is wrong.
        if let Some(path) = file {
            let alone: Result<Written, _> = table.clone().try_into();
            alone.map_err(|error| ConfigError::File { path: path.to_owned(), error: Box::new(error) })?;
        }
        for (name, value) in environment {
            if let Some(key) = name.strip_prefix(PREFIX).filter(|key| !RESERVED.contains(key)) {
                overlay(&mut table, &name, key, &value)?;
            }
        }
        let mut written: Written = table.try_into().map_err(|error| ConfigError::Environment(Box::new(error)))?;
        let Flags { data, listen, hosts, log } = flags;
        written.data = data.or(written.data);
        written.listen = listen.or(written.listen);
        if !hosts.is_empty() {
            written.hosts = hosts;
        }
        if let Some(log) = log {
            written.log = toml::Value::String(log.clone()).try_into().map_err(|_| ConfigError::Log(log))?;
        }
        written.check()
    }

    /// The address that clients pin: `key` at the hosts, or at `local` if there are none.
    ///
    /// # Errors
    /// [`AddressError`]: more than 4 hosts, or one twice.
    pub fn address(&self, key: ServerPublicKey, local: SocketAddr) -> Result<ServerAddress, AddressError> {
        if !self.hosts.is_empty() {
            return ServerAddress::new(key, self.hosts.clone());
        }
        let reachable = match local {
            SocketAddr::V4(address) if address.ip().is_unspecified() => format!("127.0.0.1:{}", address.port()),
            SocketAddr::V6(address) if address.ip().is_unspecified() => {
                format!("[{}]:{}", Ipv6Addr::LOCALHOST, address.port())
            }
            address => address.to_string(),
        };
        ServerAddress::new(key, vec![reachable.parse()?])
    }
}

/// What the file may say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    data: Option<PathBuf>,
    listen: Option<String>,
    hosts: Vec<String>,
    log: Level,
    drain_seconds: u64,
    metrics: Option<String>,
    admission: WrittenAdmission,
    limits: WrittenLimits,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenAdmission {
    open: bool,
    invites: bool,
    work: u32,
    strangers: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenLimits {
    mailbox_bytes: u64,
    mailbox_envelopes: u32,
    mailboxes_total: u64,
    requests_in_flight: u32,
    push_window: u32,
    connections: usize,
    connections_per_source: usize,
    create_mailbox: WrittenRate,
    create_register: WrittenRate,
    create_blob: WrittenRate,
    puts: WrittenRate,
    puts_of_all: WrittenRate,
    puts_of_mailbox: WrittenRate,
    handshakes: WrittenRate,
    blob_bytes: u64,
    blobs_total: u64,
    blob_streams_per_source: u32,
}

/// Burst, and seconds until the next.
type WrittenRate = (u32, f64);

impl Default for Written {
    fn default() -> Self {
        Self {
            data: None,
            listen: None,
            hosts: Vec::new(),
            log: Level::default(),
            drain_seconds: 20,
            metrics: None,
            admission: WrittenAdmission::default(),
            limits: WrittenLimits::default(),
        }
    }
}

impl Default for WrittenAdmission {
    fn default() -> Self {
        let AdmissionSettings { open, invites, work, strangers } = AdmissionSettings::default();
        Self { open, invites, work: work.map_or(0, |bits| bits.bits().into()), strangers: strangers.bits().into() }
    }
}

impl Default for WrittenLimits {
    fn default() -> Self {
        let Settings { limits, rates, blob_streams_per_source, .. } = Settings::default();
        let peers = Peers::default();
        let written = |Rate { burst, interval }| (burst, interval.as_secs_f64());
        Self {
            mailbox_bytes: limits.mailbox_bytes,
            mailbox_envelopes: limits.mailbox_envelopes,
            mailboxes_total: Rules::default().total,
            requests_in_flight: limits.requests_in_flight,
            push_window: limits.push_window,
            connections: peers.connections,
            connections_per_source: peers.connections_per_source,
            create_mailbox: written(rates.mailboxes),
            create_register: written(rates.registers),
            create_blob: written(rates.blobs),
            puts: written(rates.puts),
            puts_of_all: written(rates.puts_of_all),
            puts_of_mailbox: written(rates.puts_of_mailbox),
            handshakes: (peers.handshakes_per_source.burst, peers.handshakes_per_source.interval.as_secs_f64()),
            blob_bytes: limits.blob_bytes,
            blobs_total: BlobRules::default().total,
            blob_streams_per_source,
        }
    }
}

impl Written {
    fn check(self) -> Result<Config, ConfigError> {
        let Self { data, listen, hosts, log, drain_seconds, metrics, admission, limits } = self;
        let listen = listen.as_deref().unwrap_or(LISTEN);
        let bits = |key, bits| Difficulty::try_from(bits).map_err(|_| ConfigError::Bits { key, bits });
        let admission = AdmissionSettings {
            open: admission.open,
            invites: admission.invites,
            work: if admission.work == 0 { None } else { Some(bits("admission.work", admission.work)?) },
            strangers: bits("admission.strangers", admission.strangers)?,
        };
        let defaults = Settings::default();
        let peers = Peers {
            connections: within("limits.connections", limits.connections, 1..=10_000_000)?,
            connections_per_source: within(
                "limits.connections_per_source",
                limits.connections_per_source,
                1..=10_000_000,
            )?,
            handshakes_per_source: {
                let Rate { burst, interval } = rate("limits.handshakes", limits.handshakes)?;
                Pace { burst, interval }
            },
            ..Peers::default()
        };
        let rates = Rates {
            mailboxes: rate("limits.create_mailbox", limits.create_mailbox)?,
            registers: rate("limits.create_register", limits.create_register)?,
            blobs: rate("limits.create_blob", limits.create_blob)?,
            puts: rate("limits.puts", limits.puts)?,
            puts_of_all: rate("limits.puts_of_all", limits.puts_of_all)?,
            puts_of_mailbox: rate("limits.puts_of_mailbox", limits.puts_of_mailbox)?,
        };
        let mailboxes = within("limits.mailboxes_total", limits.mailboxes_total, 1 << 20..=1 << 60)?;
        let blobs = within("limits.blobs_total", limits.blobs_total, 0..=1 << 60)?;
        let blob_streams_per_source =
            within("limits.blob_streams_per_source", limits.blob_streams_per_source, 1..=1_000_000)?;
        let limits = waxwing_wire::relay::Limits {
            // A share of a twentieth still takes the largest envelope of a stranger.
            mailbox_bytes: within("limits.mailbox_bytes", limits.mailbox_bytes, 1 << 20..=1 << 40)?,
            mailbox_envelopes: within("limits.mailbox_envelopes", limits.mailbox_envelopes, 20..=1_000_000)?,
            requests_in_flight: within("limits.requests_in_flight", limits.requests_in_flight, 1..=65_536)?,
            push_window: within("limits.push_window", limits.push_window, 1..=1_024)?,
            blob_bytes: within("limits.blob_bytes", limits.blob_bytes, 0..=1 << 40)?,
            ..defaults.limits
        };
        let metrics = metrics.map(|metrics| metrics.parse().map_err(|_| ConfigError::Metrics(metrics)));
        Ok(Config {
            data: data.ok_or(ConfigError::Data)?,
            listen: listen.parse().map_err(|_| ConfigError::Listen(listen.to_owned()))?,
            hosts: hosts
                .into_iter()
                .map(|host| host.parse().map_err(|error| ConfigError::Host { host, error }))
                .collect::<Result<_, _>>()?,
            log,
            metrics: metrics.transpose()?,
            drain: Duration::from_secs(within("drain_seconds", drain_seconds, 0..=3_600)?),
            settings: Settings { admission, limits, rates, blob_streams_per_source, ..defaults },
            mailboxes,
            blobs,
            peers,
        })
    }
}

fn rate(key: &'static str, (burst, seconds): WrittenRate) -> Result<Rate, ConfigError> {
    let interval = Duration::try_from_secs_f64(seconds).map_err(|_| ConfigError::Range { key })?;
    Ok(Rate { burst, interval: within(key, interval, Duration::ZERO..=Duration::from_secs(604_800))? })
}

fn within<T: Copy + PartialOrd>(
    key: &'static str,
    value: T,
    range: std::ops::RangeInclusive<T>,
) -> Result<T, ConfigError> {
    if range.contains(&value) { Ok(value) } else { Err(ConfigError::Range { key }) }
}

/// `WAXWING_RELAY_LIMITS_PUSH_WINDOW` is `limits.push_window`.
fn overlay(table: &mut toml::Table, name: &str, key: &str, value: &str) -> Result<(), ConfigError> {
    let key = key.to_lowercase();
    let section = SECTIONS.iter().find_map(|section| Some((*section, key.strip_prefix(section)?.strip_prefix('_')?)));
    let value = value_of(&key, value);
    match section {
        None => drop(table.insert(key, value)),
        Some((section, key)) => {
            let inner = table.entry(section).or_insert_with(|| toml::Table::new().into());
            let inner = inner.as_table_mut().ok_or_else(|| ConfigError::Section(name.to_owned()))?;
            inner.insert(key.to_owned(), value);
        }
    }
    Ok(())
}

/// Texts are texts whatever they look like; the rest is as TOML writes it.
fn value_of(key: &str, value: &str) -> toml::Value {
    match key {
        "data" | "listen" | "log" | "metrics" => toml::Value::String(value.to_owned()),
        "hosts" => value.split(',').map(|host| toml::Value::String(host.trim().to_owned())).collect::<Vec<_>>().into(),
        _ => value.parse().unwrap_or_else(|_| toml::Value::String(value.to_owned())),
    }
}

/// Why there is no configuration.
#[non_exhaustive]
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file says something else than it may.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What and where.
        error: Box<toml::de::Error>,
    },
    /// A variable says something else than it may, or is none.
    #[error("a {PREFIX}* variable is wrong: {0}")]
    Environment(Box<toml::de::Error>),
    /// A variable is of a section that the file has as something else.
    #[error("{0}: the file has no such section")]
    Section(String),
    /// No folder.
    #[error("no data folder: give --data DIR, or `data` in the file")]
    Data,
    /// Not an address and a port.
    #[error("listen = \"{0}\" is no address with a port, like [::]:4433 or 192.0.2.7:4433")]
    Listen(String),
    /// Not an address and a port.
    #[error("metrics = \"{0}\" is no address with a port, like 127.0.0.1:9463")]
    Metrics(String),
    /// Not a host and a port.
    #[error("hosts: \"{host}\" is no host with a port, like relay.example.org:4433 ({error})")]
    Host {
        /// What was given.
        host: String,
        /// Why not.
        error: AddressError,
    },
    /// Not a level.
    #[error("log = \"{0}\" is none of off, error, warn, info, debug, trace")]
    Log(String),
    /// Too much work.
    #[error("{key} = {bits}: work is 0 to 40 bits")]
    Bits {
        /// Which.
        key: &'static str,
        /// How much.
        bits: u32,
    },
    /// Too little or too much.
    #[error("{key} is out of its range (spec §17.18)")]
    Range {
        /// Which.
        key: &'static str,
    },
}

const PREFIX: &str = "WAXWING_RELAY_";
/// Not keys of the file: which file, and where tests put things.
const RESERVED: &[&str] = &["CONFIG"];
const SECTIONS: &[&str] = &["admission", "limits"];
const LISTEN: &str = "[::]:4433";
