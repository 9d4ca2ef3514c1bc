//! The command line: what is typed, as a method or a verb of its own. Implements spec/22-client-api.md §22.8.
use std::{ffi::OsString, path::PathBuf};

use clap::{ArgMatches, Args, Command, FromArgMatches as _};

use crate::{
    api::{Entry, Method},
    profile::PassphraseSource,
};

/// What every verb takes.
#[allow(clippy::doc_markdown, reason = "docs of arguments are their help")]
#[derive(Args, Clone, Debug)]
pub struct Globals {
    /// A profile's name, or a folder: with a slash
    #[arg(short, long, global = true, env = "WAXWING_PROFILE", default_value = "default")]
    pub profile: String,
    /// Print the answer as it is specified, instead of lines for people
    #[arg(long, global = true)]
    pub json: bool,
    /// A file whose first line is the profile's passphrase; without it WAXWING_PASSPHRASE counts, or it is asked for
    #[arg(long, global = true, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// off, error, warn, info, debug or trace, to standard error
    #[arg(long, global = true, value_name = "LEVEL", env = "WAXWING_LOG", default_value = "error")]
    #[arg(value_parser = ["off", "error", "warn", "info", "debug", "trace"])]
    pub log: String,
}

impl Globals {
    /// Where passphrases come from.
    #[must_use]
    pub fn passphrase(&self) -> PassphraseSource {
        PassphraseSource { file: self.passphrase_file.clone() }
    }
}

/// Make an account, or go on with one by its words, and a profile for this device.
#[derive(Args, Clone, Debug)]
pub struct Init {
    /// The line that `waxwing serve` printed, or that an operator gave you
    #[arg(long, value_name = "LINE", conflicts_with_all = ["relay", "keyserver"], required_unless_present = "relay")]
    pub server: Option<String>,
    /// A relay's address
    #[arg(long, value_name = "ADDRESS", requires = "keyserver")]
    pub relay: Option<String>,
    /// A key server's address
    #[arg(long, value_name = "ADDRESS", requires = "relay")]
    pub keyserver: Option<String>,
    /// No passphrase: whoever can read the folder reads everything; for programs that start unattended
    #[arg(long)]
    pub no_passphrase: bool,
    /// Go on with an account that you have the 24 words of: typed here, or from standard input. This is its only device then
    #[arg(long, conflicts_with_all = ["words_file", "words_noted"])]
    pub restore: bool,
    /// Write the 24 words to this new file, instead of asking for three of them
    #[arg(long, value_name = "FILE")]
    pub words_file: Option<PathBuf>,
    /// Show the 24 words and do not ask for three of them
    #[arg(long, conflicts_with = "words_file")]
    pub words_noted: bool,
    /// Talk to servers in private networks that other people name; set by itself if your own are in one
    #[arg(long)]
    pub allow_private_servers: bool,
}

/// A relay and a key server in one process. Whoever runs both can join what each sees.
#[derive(Args, Clone, Debug)]
pub struct Serve {
    /// Folder for everything that lasts [default: server, beside the profiles]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "::")]
    pub listen: std::net::IpAddr,
    /// UDP port of the relay; 0: any
    #[arg(long, value_name = "PORT", default_value_t = 4433)]
    pub relay_port: u16,
    /// UDP port of the key server; 0: any
    #[arg(long, value_name = "PORT", default_value_t = 4434)]
    pub keyserver_port: u16,
    /// How clients find this machine: a name or address without a port [default: this machine alone]
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
    /// Admit everybody; without it, whoever has an invitation
    #[arg(long)]
    pub open: bool,
    /// Print another invitation of a server that runs, and stop
    #[arg(long)]
    pub invite: bool,
    /// More settings of the relay (TOML, spec/17-relay.md)
    #[arg(long, value_name = "FILE")]
    pub relay_config: Option<PathBuf>,
    /// More settings of the key server (TOML, spec/19-keyserver.md)
    #[arg(long, value_name = "FILE")]
    pub keyserver_config: Option<PathBuf>,
}

/// Of `chat`.
#[derive(Args, Clone, Debug)]
pub struct Chat {
    /// With whom
    pub who: String,
}

/// Of `rpc`.
#[allow(clippy::doc_markdown, reason = "docs of arguments are their help")]
#[derive(Args, Clone, Debug)]
pub struct Rpc {
    /// A method; without one, JSON-RPC over standard input and output
    pub method: Option<String>,
    /// Its parameters
    pub params: Option<String>,
    /// Print the OpenRPC document and stop
    #[arg(long, conflicts_with = "method")]
    pub openrpc: bool,
}

/// Of `completions`.
#[derive(Args, Clone, Debug)]
pub struct Completions {
    /// For which shell
    pub shell: clap_complete::Shell,
}

/// Of `man`.
#[derive(Args, Clone, Debug)]
pub struct Man {
    /// Where to; it must be there
    pub folder: PathBuf,
}

/// What is no method: it makes, opens or serves what methods are asked of.
#[derive(Clone, Debug)]
pub enum Local {
    /// Make an account.
    Init(Init),
    /// Run servers.
    Serve(Serve),
    /// Show everything in one process.
    Demo,
    /// Talk.
    Chat(Chat),
    /// Own the profile.
    Daemon,
    /// Speak JSON-RPC.
    Rpc(Rpc),
    /// Salvage a damaged profile.
    Repair,
    /// Completions for a shell.
    Completions(Completions),
    /// Man pages.
    Man(Man),
    /// The reference page.
    Reference,
}

/// What was typed.
#[derive(Clone, Debug)]
pub enum Verb {
    /// Is asked of a client.
    Method(Method),
    /// Is done here.
    Local(Local),
}

/// Reads the command line.
///
/// # Errors
/// As clap says: help and version too.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<(Globals, Verb), clap::Error> {
    let matches = command().try_get_matches_from(arguments)?;
    let globals = Globals::from_arg_matches(&matches)?;
    let (mut words, mut below) = (Vec::new(), &matches);
    while let Some((word, next)) = below.subcommand() {
        words.push(word.replace('-', "_"));
        below = next;
    }
    let name = words.join(".");
    let verb = match Entry::named(&name) {
        Some(entry) => Verb::Method(entry.of_arguments(below)?),
        None => Verb::Local(local(&name, below)?),
    };
    Ok((globals, verb))
}

fn local(name: &str, matches: &ArgMatches) -> Result<Local, clap::Error> {
    Ok(match name {
        "init" => Local::Init(Init::from_arg_matches(matches)?),
        "serve" => Local::Serve(Serve::from_arg_matches(matches)?),
        "demo" => Local::Demo,
        "chat" => Local::Chat(Chat::from_arg_matches(matches)?),
        "daemon" => Local::Daemon,
        "rpc" => Local::Rpc(Rpc::from_arg_matches(matches)?),
        "repair" => Local::Repair,
        "completions" => Local::Completions(Completions::from_arg_matches(matches)?),
        "man" => Local::Man(Man::from_arg_matches(matches)?),
        "reference" => Local::Reference,
        _ => return Err(clap::Error::new(clap::error::ErrorKind::InvalidSubcommand)),
    })
}

/// All of it.
#[must_use]
pub fn command() -> Command {
    let root = Command::new("waxwing")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A private messenger: its servers learn next to nothing, and you can run them yourself")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help(EXIT_CODES);
    let root = Globals::augment_args(root);
    let bare = |name: &'static str, about: &'static str| Command::new(name).about(about);
    // After the arguments: their docs would be the summary.
    let with = |augment: fn(Command) -> Command, name, about: &'static str| {
        augment(Command::new(name)).about(about).long_about(None)
    };
    let root = root
        .subcommand(with(
            Init::augment_args,
            "init",
            "Make an account, or go on with one by its words, and a profile for this device",
        ))
        .subcommand(bare("demo", "See it all at work in one process: two servers, three people"))
        .subcommand(with(
            Serve::augment_args,
            "serve",
            "Run a relay and a key server; whoever runs both can join what each sees",
        ))
        .subcommand(with(Chat::augment_args, "chat", "Talk: what you type is sent, what they write is shown"))
        .subcommand(bare("daemon", "Own the profile: messages come by themselves, verbs and programs ask it"))
        .subcommand(with(
            Rpc::augment_args,
            "rpc",
            "The machine API: one method, or JSON-RPC over standard input and output",
        ))
        .subcommand(bare("repair", "Salvage what can be read of a damaged profile; the damaged file is kept"))
        .subcommand(with(Completions::augment_args, "completions", "Completions for a shell, to standard output"))
        .subcommand(with(Man::augment_args, "man", "Write the man pages into a folder"))
        .subcommand(bare("reference", "The reference page in Markdown, to standard output"));
    Method::ALL.iter().fold(root, |root, entry| insert(root, entry, &entry.words().collect::<Vec<_>>()))
}

/// Below its group, which is made for the first.
fn insert(parent: Command, entry: &Entry, words: &[String]) -> Command {
    match words.split_first() {
        None => parent,
        Some((last, [])) => parent.subcommand(entry.command(last.clone())),
        Some((group, rest)) => {
            if parent.find_subcommand(group).is_some() {
                return parent.mut_subcommand(group, |group| insert(group, entry, rest));
            }
            let about = GROUPS.iter().find(|(name, _)| name == group).map_or("", |(_, about)| about);
            let made = Command::new(group.clone()).about(about).subcommand_required(true).arg_required_else_help(true);
            parent.subcommand(insert(made, entry, rest))
        }
    }
}

const GROUPS: &[(&str, &str)] = &[
    ("contact", "People: who they are to you, and what you call them"),
    ("identity", "Who people are, and what changed about that"),
    ("events", "What happens, for programs: at least once, until it was acknowledged"),
];

const EXIT_CODES: &str = "Exit codes: 0 done, 1 error, 2 usage, 3 stored but not connected yet, 4 somebody's identity is not trusted, \
                          5 too often. A profile is made by `init`; verbs ask its `daemon`, or open it themselves.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_a_verb_with_help_and_no_verb_is_named_twice() {
        let mut root = command();
        root.build();
        root.clone().debug_assert();
        for entry in Method::ALL {
            let mut at = &root;
            for word in entry.words() {
                at = at.find_subcommand(&word).unwrap_or_else(|| panic!("{} is no verb", entry.name));
            }
            assert_eq!(at.get_about().unwrap().to_string(), entry.summary);
        }
    }
}
