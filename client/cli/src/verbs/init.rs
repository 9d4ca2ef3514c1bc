//! Making an account, or going on with one. Implements spec/22-client-api.md §22.9.
//!
//! Invariants: the 24 words are shown once or written to a file that only their owner reads, and kept nowhere; nothing is made before
//! it is clear how they are noted. Words that are typed are not shown.
use std::{
    io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _},
    path::Path,
    time::Duration,
};

use serde_json::json;
use waxwing_client::{Client, Settled, engine::NewAccount, store::Protection};
use waxwing_wire::{address::ServerAddress, sealed::Parameters};
use zeroize::Zeroizing;

use crate::{
    api::{ApiError, Code, Exit, VERSION},
    cli::{Globals, Init},
    profile::{self, Settings},
    server_line::ServerLine,
};

pub(super) async fn run(globals: &Globals, params: Init) -> Result<Exit, ApiError> {
    let folder = profile::folder(&globals.profile)?;
    let server = server(&params)?;
    if params.restore {
        return restore(globals, &params, &folder, server).await;
    }
    let is_asked = params.words_file.is_none() && !params.words_noted;
    if is_asked && !io::stdin().is_terminal() {
        return Err(ApiError::new(
            Code::InvalidParams,
            "the 24 words are shown and asked for in a terminal; without one give --words-file FILE, or --words-noted",
        ));
    }
    is_free(&folder)?;
    // Before the account: if there can be no such file, there are no words to lose.
    let words_file = match params.words_file.as_deref() {
        Some(path) => Some((path, profile::private_file(path)?)),
        None => None,
    };
    let made = make(globals, &params, &folder, server).await;
    let (client, words) = match (made, words_file) {
        (Ok((client, words)), None) => (client, words),
        (Ok((client, words)), Some((path, mut file))) => {
            let written = writeln!(file, "{}", words.as_str()).and_then(|()| file.sync_all());
            written.map_err(|error| profile::system(path, &error))?;
            (client, words)
        }
        (Err(error), file) => {
            if let Some((path, _)) = file {
                // It is empty.
                let _ = std::fs::remove_file(path);
            }
            return Err(error);
        }
    };
    if params.words_file.is_none() {
        show(&words);
        if is_asked {
            check(&words)?;
        }
    }
    drop(words);
    finish(globals, &folder, client).await
}

/// Goes on with an account by its words.
async fn restore(globals: &Globals, params: &Init, folder: &Path, server: ServerLine) -> Result<Exit, ApiError> {
    is_free(folder)?;
    let words = words()?;
    let (settings, account) = choose(params, server);
    let protection = protection(globals, params)?;
    let client = Client::recover(profile::noted(folder), protection, &words, account, settings.options()).await?;
    drop(words);
    settings.store(folder)?;
    profile::complain(
        "The account goes on, with this as its only device. The words bring back neither contacts nor messages: add people again; \
         each of them is asked whether to go on with you.",
    );
    finish(globals, folder, client).await
}

fn is_free(folder: &Path) -> Result<(), ApiError> {
    if folder.join("key").exists() {
        return Err(waxwing_client::store::OpenError::Exists.into());
    }
    Ok(())
}

/// As they were typed, not shown; or all of standard input.
fn words() -> Result<Zeroizing<String>, ApiError> {
    let unread = |error: io::Error| ApiError::new(Code::BadWords, format!("the words could not be read: {error}"));
    if io::stdin().is_terminal() {
        let typed = rpassword::prompt_password("The 24 words, in one line (they are not shown): ");
        return typed.map(Zeroizing::new).map_err(unread);
    }
    // More than any 24 words, so that it never grows and leaves none of them behind.
    let mut text = Zeroizing::new(String::with_capacity(MOST_WORDS));
    let most = u64::try_from(MOST_WORDS).unwrap_or(u64::MAX);
    io::stdin().lock().take(most).read_to_string(&mut text).map_err(unread)?;
    Ok(text)
}

fn server(params: &Init) -> Result<ServerLine, ApiError> {
    let invalid = |error| ApiError::new(Code::InvalidParams, error);
    if let Some(line) = &params.server {
        return line.parse().map_err(invalid);
    }
    let address = |text: &Option<String>, whose: &str| {
        let text = text.as_deref().unwrap_or_default();
        text.parse::<ServerAddress>().map_err(|error| invalid(format!("--{whose}: {error}; copy the address again")))
    };
    Ok(ServerLine {
        relay: address(&params.relay, "relay")?,
        keyserver: address(&params.keyserver, "keyserver")?,
        invitations: None,
    })
}

async fn make(
    globals: &Globals,
    params: &Init,
    folder: &Path,
    server: ServerLine,
) -> Result<(Client, Zeroizing<String>), ApiError> {
    let (settings, account) = choose(params, server);
    let made =
        Client::create(profile::noted(folder), protection(globals, params)?, account, settings.options()).await?;
    settings.store(folder)?;
    Ok(made)
}

fn protection(globals: &Globals, params: &Init) -> Result<Protection, ApiError> {
    if params.no_passphrase {
        return Ok(Protection::None);
    }
    Ok(Protection::Passphrase(globals.passphrase().new_one()?, Parameters::default()))
}

fn choose(params: &Init, server: ServerLine) -> (Settings, NewAccount) {
    // Whose own servers are in a private network is in it, and so are those they talk to.
    let is_private = !server.relay.is_public() || !server.keyserver.is_public();
    let settings = Settings { allow_private_servers: params.allow_private_servers || is_private };
    let (relay_admission, keyserver_admission) = server.invitations.unzip();
    let account =
        NewAccount { relay: server.relay, key_servers: vec![server.keyserver], relay_admission, keyserver_admission };
    (settings, account)
}

fn show(words: &str) {
    profile::complain(
        "\nThese 24 words are your account. Write them on paper, now: they are shown once and kept nowhere.",
    );
    profile::complain("Whoever has them has the account; without them nobody can get it back.\n");
    let words: Vec<&str> = words.split(' ').collect();
    for (row, four) in words.chunks(4).enumerate() {
        let numbered = four.iter().enumerate().map(|(column, word)| {
            let number = row.saturating_mul(4).saturating_add(column).saturating_add(1);
            format!("{number:>4} {word:<10}")
        });
        profile::complain(&numbered.collect::<String>());
    }
    profile::complain("");
}

/// Has three of them typed.
fn check(words: &str) -> Result<(), ApiError> {
    let words: Vec<&str> = words.split(' ').collect();
    for number in places(words.len())? {
        let wanted = words.get(number).copied().unwrap_or_default();
        let mut tries = 0_u32;
        loop {
            let mut out = io::stderr();
            let _ = write!(out, "Word {}: ", number.saturating_add(1)).and_then(|()| out.flush());
            let mut typed = Zeroizing::new(String::new());
            let read = io::stdin().lock().read_line(&mut typed).unwrap_or_default();
            if typed.trim().eq_ignore_ascii_case(wanted) {
                break;
            }
            tries = tries.saturating_add(1);
            if read == 0 || tries >= TRIES {
                return Err(ApiError::new(
                    Code::InvalidParams,
                    "the words were not confirmed. The account is made; if you do not have them, remove the profile's folder and begin anew",
                ));
            }
            profile::complain("That is another word; look at your paper.");
        }
    }
    Ok(())
}

/// Three different ones, by chance.
fn places(count: usize) -> Result<Vec<usize>, ApiError> {
    let mut places = Vec::new();
    while places.len() < CHECKED.min(count) {
        let byte = {
            let mut byte = [0_u8];
            getrandom::fill(&mut byte)
                .map_err(|_| ApiError::new(Code::System, "the operating system has no randomness"))?;
            usize::from(byte.first().copied().unwrap_or_default())
        };
        let place = byte.checked_rem(count).unwrap_or_default();
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places.sort_unstable();
    Ok(places)
}

async fn finish(globals: &Globals, folder: &Path, client: Client) -> Result<Exit, ApiError> {
    let account = client.account_id().to_string();
    let ready = client.settled(PATIENCE).await == Settled::Yes;
    let reasons: Vec<String> =
        client.down().await.unwrap_or_default().values().map(|down| down.reason.to_string()).collect();
    client.close().await?;
    if globals.json {
        let profile = folder.display().to_string();
        super::print(
            &json!({ "version": VERSION, "account": account, "profile": profile, "ready": ready }).to_string(),
        );
    } else {
        super::print(&format!("account {account}"));
    }
    if ready {
        return Ok(Exit::Ok);
    }
    let why = reasons.first().map_or("it did not answer in time, or does not admit this account", String::as_str);
    profile::complain(&format!(
        "waxwing: the account is made and stored, but its server does not have it yet: {why}. The next verb, or the daemon, goes on"
    ));
    Ok(Exit::Queued)
}

const CHECKED: usize = 3;
const MOST_WORDS: usize = 4_096;
const TRIES: u32 = 5;
const PATIENCE: Duration = Duration::from_secs(20);
