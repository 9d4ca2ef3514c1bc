//! What an operator may set, and where: flags before `WAXWING_KEYSERVER_*` before the file before the defaults. Implements
//! spec/19-keyserver.md §19.12.
//!
//! ```toml
//! data = "/var/lib/waxwing-keyserver"
//! listen = "[::]:4434"
//! hosts = ["keys.example.org:4434"]     # how clients find it; the first is printed first
//! log = "info"                          # off, error, warn, info, debug, trace
//! drain_seconds = 20
//! shared = false                        # whether other processes serve the same data folder
//! metrics = "127.0.0.1:9464"            # where Prometheus asks; none by default
//!
//! [admission]
//! open = false                          # anybody
//! invites = true                        # holders of an invitation
//! work = 24                             # whoever works so many bits; 0: nobody by work
//!
//! [keys]
//! one_time = 200                        # kept of each kind for a device
//!
//! [names]
//! most = 4                              # an account's, resting ones counted
//! included = 1                          # of them, what the account's own admission pays for
//!
//! [limits]                              # a burst, and seconds until the next; 0 seconds: no limit
//! lookup = [30, 20.0]                   # and create, change, fetch, one_time, one_time_by_source, upload, manifest
//! connections = 100000
//! connections_per_source = 1024
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
use waxwing_net::{Limits as Peers, process::Sharing};
use waxwing_wire::{
    address::{AddressError, Host, ServerAddress},
    keys::ServerPublicKey,
    pow::Difficulty,
};

use crate::service::{AdmissionSettings, Limits, Rate, Settings};

/// A key server's configuration, checked.
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
    /// Whether other processes serve the same data folder.
    pub sharing: Sharing,
    /// Where Prometheus asks.
    pub metrics: Option<SocketAddr>,
    /// What the service asks and allows.
    pub settings: Settings,
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
    /// `--shared`.
    pub shared: bool,
}

impl Config {
    /// Puts file, environment and flags together. `environment` is all of it; what does not begin with `WAXWING_KEYSERVER_` is
    /// left alone.
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
        let Flags { data, listen, hosts, log, shared } = flags;
        written.data = data.or(written.data);
        written.listen = listen.or(written.listen);
        written.shared |= shared;
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
    shared: bool,
    metrics: Option<String>,
    admission: WrittenAdmission,
    keys: WrittenKeys,
    names: WrittenNames,
    limits: WrittenLimits,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenAdmission {
    open: bool,
    invites: bool,
    work: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenKeys {
    one_time: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenNames {
    most: u32,
    included: u32,
}

/// How many at once, and seconds until the next.
type WrittenRate = (u32, f64);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenLimits {
    create: Option<WrittenRate>,
    change: Option<WrittenRate>,
    fetch: Option<WrittenRate>,
    lookup: Option<WrittenRate>,
    one_time: Option<WrittenRate>,
    one_time_by_source: Option<WrittenRate>,
    upload: Option<WrittenRate>,
    manifest: Option<WrittenRate>,
    connections: Option<usize>,
    connections_per_source: Option<usize>,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            data: None,
            listen: None,
            hosts: Vec::new(),
            log: Level::default(),
            drain_seconds: 20,
            shared: false,
            metrics: None,
            admission: WrittenAdmission::default(),
            keys: WrittenKeys::default(),
            names: WrittenNames::default(),
            limits: WrittenLimits::default(),
        }
    }
}

impl Default for WrittenAdmission {
    fn default() -> Self {
        let AdmissionSettings { open, invites, work } = AdmissionSettings::default();
        Self { open, invites, work: work.map_or(0, |bits| bits.bits().into()) }
    }
}

impl Default for WrittenKeys {
    fn default() -> Self {
        Self { one_time: Settings::default().one_time_prekeys }
    }
}

impl Default for WrittenNames {
    fn default() -> Self {
        let Settings { names, names_included, .. } = Settings::default();
        Self { most: names, included: names_included }
    }
}

impl Written {
    fn check(self) -> Result<Config, ConfigError> {
        let Self { data, listen, hosts, log, drain_seconds, shared, metrics, admission, keys, names, limits } = self;
        let listen = listen.as_deref().unwrap_or(LISTEN);
        let bits = admission.work;
        let admission = AdmissionSettings {
            open: admission.open,
            invites: admission.invites,
            work: match bits {
                0 => None,
                bits => Some(Difficulty::try_from(bits).map_err(|_| ConfigError::Bits { bits })?),
            },
        };
        let settings = Settings {
            admission,
            one_time_prekeys: within("keys.one_time", keys.one_time, 1..=200)?,
            names: within("names.most", names.most, 0..=1_000)?,
            names_included: within("names.included", names.included, 0..=names.most)?,
            limits: limits.rates()?,
            moved: None,
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
            drain: Duration::from_secs(within("drain_seconds", drain_seconds, 0..=3_600)?),
            sharing: if shared { Sharing::Shared } else { Sharing::Alone },
            metrics: metrics.transpose()?,
            settings,
            peers: limits.peers()?,
        })
    }
}

impl WrittenLimits {
    fn rates(&self) -> Result<Limits, ConfigError> {
        let usual = Limits::default();
        Ok(Limits {
            create: rate("limits.create", self.create, usual.create)?,
            change: rate("limits.change", self.change, usual.change)?,
            fetch: rate("limits.fetch", self.fetch, usual.fetch)?,
            lookup: rate("limits.lookup", self.lookup, usual.lookup)?,
            one_time: rate("limits.one_time", self.one_time, usual.one_time)?,
            one_time_by_source: rate("limits.one_time_by_source", self.one_time_by_source, usual.one_time_by_source)?,
            upload: rate("limits.upload", self.upload, usual.upload)?,
            manifest: rate("limits.manifest", self.manifest, usual.manifest)?,
        })
    }

    fn peers(&self) -> Result<Peers, ConfigError> {
        let usual = Peers::default();
        let connections = |key, written: Option<usize>, usual| within(key, written.unwrap_or(usual), 1..=10_000_000);
        let per_source = "limits.connections_per_source";
        Ok(Peers {
            connections: connections("limits.connections", self.connections, usual.connections)?,
            connections_per_source: connections(per_source, self.connections_per_source, usual.connections_per_source)?,
            ..usual
        })
    }
}

fn rate(key: &'static str, written: Option<WrittenRate>, usual: Rate) -> Result<Rate, ConfigError> {
    let Some((burst, seconds)) = written else { return Ok(usual) };
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

/// `WAXWING_KEYSERVER_NAMES_MOST` is `names.most`.
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
    #[error("listen = \"{0}\" is no address with a port, like [::]:4434 or 192.0.2.7:4434")]
    Listen(String),
    /// Not an address and a port.
    #[error("metrics = \"{0}\" is no address with a port, like 127.0.0.1:9464")]
    Metrics(String),
    /// Not a host and a port.
    #[error("hosts: \"{host}\" is no host with a port, like keys.example.org:4434 ({error})")]
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
    #[error("admission.work = {bits}: work is 0 to 40 bits")]
    Bits {
        /// How much.
        bits: u32,
    },
    /// Too little or too much.
    #[error("{key} is out of its range (spec §19.12)")]
    Range {
        /// Which.
        key: &'static str,
    },
}

const PREFIX: &str = "WAXWING_KEYSERVER_";
/// Not keys of the file.
const RESERVED: &[&str] = &["CONFIG"];
const SECTIONS: &[&str] = &["admission", "keys", "names", "limits"];
const LISTEN: &str = "[::]:4434";
