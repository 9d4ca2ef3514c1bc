//! The operator's verbs. Implements spec/17-relay.md §17.19.4.
//!
//! Invariant: answers hold no mailbox, key or address but an invitation that was just made.
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::Notify;
use waxwing_net::{
    Listener,
    process::{Operator, Scraped},
};
use waxwing_wire::{frame::InviteToken, id::MailboxId};

use crate::{
    backup::{self, BackupError},
    carry::{self, CarryError},
    metrics::{self, Counted},
    service::{Relay, invite_hash},
    store::{Invitation, InvitationState, InviteError, InviteId, SqliteStore, Store as _, Unavailable, UnblockError},
};

/// What an operator can do to a running relay.
#[derive(Debug)]
pub struct Admin {
    relay: Relay<SqliteStore>,
    listener: Arc<Listener>,
    key_file: PathBuf,
    drain: Notify,
}

impl Admin {
    /// For this relay, whose key stands in `key_file`.
    #[must_use]
    pub fn new(relay: Relay<SqliteStore>, listener: Arc<Listener>, key_file: PathBuf) -> Self {
        Self { relay, listener, key_file, drain: Notify::new() }
    }

    /// Resolves when the operator asks the relay to stop.
    pub async fn drain_asked(&self) {
        self.drain.notified().await;
    }

    async fn obey(&self, line: &str) -> Result<String, VerbError> {
        // A folder or a file may have spaces in its name.
        if let Some(folder) = rest_of(line, "backup ") {
            return self.back_up(Path::new(folder)).await;
        }
        if let Some((mailbox, file)) = rest_of(line, "export ").and_then(|rest| rest.split_once(' ')) {
            let (mailbox, now) = (mailbox_id(mailbox)?, self.relay.now());
            let count = carry::export(self.relay.store(), &mailbox, Path::new(file), now).await?;
            return Ok(format!("exported, {count} envelopes\n"));
        }
        if let Some(file) = rest_of(line, "import ") {
            let count = carry::import(self.relay.store(), Path::new(file), self.relay.now()).await?;
            return Ok(format!("imported, {count} envelopes\n"));
        }
        let words: Vec<_> = line.split_whitespace().collect();
        match *words.as_slice() {
            ["health"] => {
                self.relay.store().probe().await?;
                Ok("serving\n".into())
            }
            ["stats"] => Ok(self.stats()),
            ["metrics"] => Ok(self.metrics()),
            ["verify"] => self.verify().await,
            ["block", mailbox] => {
                self.relay.store().block(&mailbox_id(mailbox)?).await?;
                Ok("blocked\n".into())
            }
            ["unblock", mailbox] => {
                self.relay.store().unblock(&mailbox_id(mailbox)?).await?;
                Ok("not blocked any more\n".into())
            }
            ["drain"] => {
                self.drain.notify_one();
                Ok("draining\n".into())
            }
            ["invite", "mint"] => self.mint("1", None).await,
            ["invite", "mint", count] => self.mint(count, None).await,
            ["invite", "mint", count, "below", parent] => self.mint(count, Some(parent)).await,
            ["invite", "revoke", id] => {
                let ended = self.relay.store().revoke(invite_id(id)?).await?;
                Ok(format!("{ended} invitations ended\n"))
            }
            ["invite", "list"] => Ok(self.list()),
            _ => Err(VerbError::Unknown),
        }
    }

    fn stats(&self) -> String {
        let stats = self.relay.store().stats();
        let crate::store::Stats { mailboxes, envelopes, envelope_bytes, registers, blobs, blob_bytes, .. } = stats;
        let open_invitations = stats.open_invitations;
        let open = self.listener.counts().open;
        format!(
            "mailboxes {mailboxes}\nenvelopes {envelopes}\nenvelope_bytes {envelope_bytes}\nregisters {registers}\n\
             blobs {blobs}\nblob_bytes {blob_bytes}\nopen_invitations {open_invitations}\nopen_connections {open}\n"
        )
    }

    async fn verify(&self) -> Result<String, VerbError> {
        let findings = self.relay.store().verify().await?;
        let mut answer = String::new();
        for finding in findings.iter().take(MOST_FINDINGS) {
            let _ = writeln!(answer, "{}: {}", finding.place, finding.what);
        }
        if findings.len() > MOST_FINDINGS {
            let _ = writeln!(answer, "and more, {} in all", findings.len());
        }
        if findings.is_empty() { Ok("everything verifies\n".into()) } else { Err(VerbError::Findings(answer)) }
    }

    async fn back_up(&self, folder: &Path) -> Result<String, VerbError> {
        backup::write(self.relay.store(), self.key_file.clone(), folder).await?;
        Ok("backed up\n".into())
    }

    fn list(&self) -> String {
        let mut answer = String::new();
        for Invitation { id: InviteId(id), below, state } in self.relay.store().invitations() {
            let state = match state {
                InvitationState::Open => "open",
                InvitationState::Spent => "spent",
                InvitationState::Revoked => "revoked",
            };
            let _ = write!(answer, "{id} {state}");
            if let Some(InviteId(parent)) = below {
                let _ = write!(answer, " below {parent}");
            }
            answer.push('\n');
        }
        answer
    }

    async fn mint(&self, count: &str, below: Option<&str>) -> Result<String, VerbError> {
        let below = below.map(invite_id).transpose()?;
        let count = count.parse().ok().filter(|count| (1..=MOST_MINTED).contains(count)).ok_or(VerbError::Count)?;
        let mut answer = String::new();
        for _ in 0..count {
            let mut token = [0; 16];
            getrandom::fill(&mut token).map_err(|_| VerbError::Entropy)?;
            let hash = invite_hash(&InviteToken::from_bytes(token));
            let InviteId(id) = self.relay.store().mint(hash, below).await?;
            let _ = write!(answer, "{id} ");
            for byte in token {
                let _ = write!(answer, "{byte:02x}");
            }
            answer.push('\n');
        }
        Ok(answer)
    }
}

/// What follows a verb, spaces and all.
fn rest_of<'l>(line: &'l str, verb: &str) -> Option<&'l str> {
    line.trim_end_matches(['\r', '\n']).strip_prefix(verb)
}

fn invite_id(text: &str) -> Result<InviteId, VerbError> {
    text.parse().map(InviteId).map_err(|_| VerbError::Number)
}

fn mailbox_id(text: &str) -> Result<MailboxId, VerbError> {
    text.parse().map_err(|_| VerbError::Mailbox)
}

impl Operator for Admin {
    async fn execute(&self, line: &str) -> Result<String, String> {
        self.obey(line).await.map_err(|error| error.to_string())
    }
}

impl Scraped for Admin {
    fn metrics(&self) -> String {
        let store = self.relay.store();
        let counted = Counted { stats: store.stats(), commits: store.commits(), connections: self.listener.counts() };
        metrics::text(self.relay.counters(), counted, self.relay.now())
    }

    async fn is_healthy(&self) -> bool {
        self.relay.store().probe().await.is_ok()
    }
}

/// Why a verb did nothing.
#[derive(Debug, thiserror::Error)]
enum VerbError {
    #[error("verbs: {VERBS}")]
    Unknown,
    #[error("how many: 1 to {MOST_MINTED}")]
    Count,
    #[error("an invitation is named by its number, which `invite list` shows")]
    Number,
    #[error(transparent)]
    Invitation(#[from] InviteError),
    #[error("a mailbox is named by its id, wxm-...")]
    Mailbox,
    #[error(transparent)]
    Unblock(#[from] UnblockError),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Carry(#[from] CarryError),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("the operating system has no randomness")]
    Entropy,
    #[error("the store does not verify\n{0}")]
    Findings(String),
}

/// What there is to say.
const VERBS: &str = "health, stats, metrics, verify, invite mint [COUNT [below ID]], invite revoke ID, invite list, block MAILBOX, unblock MAILBOX, export MAILBOX FILE, import FILE, backup DIR, drain";
const MOST_MINTED: usize = 1_000;
const MOST_FINDINGS: usize = 1_000;
