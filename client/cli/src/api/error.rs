//! Why something was not done. Implements spec/22-client-api.md §22.5.
//!
//! Invariants: a code never changes its number, name or exit code; a message says what happened and what to do.
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use waxwing_client::{
    CommandFailed, OpenClientError, RecoverClientError, Unavailable,
    engine::CommandError,
    store::{OpenError, StoreError},
};
use waxwing_wire::{frame::ErrorCode, time::Timestamp, words::WordsError};

use crate::length;

/// Why something was not done.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Which kind.
    pub code: Code,
    /// What happened and what to do.
    pub message: String,
    /// When it may be asked again.
    pub retry_after: Option<Duration>,
}

impl ApiError {
    /// Says it.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None }
    }

    /// It may be asked again then.
    #[must_use]
    pub fn after(self, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..self }
    }

    /// As [`Self::after`], by the clock; none: nobody knows when.
    #[must_use]
    pub fn at(self, time: Option<Timestamp>) -> Self {
        match time {
            Some(time) => self.after(time.since(length::now())),
            None => self,
        }
    }

    /// As JSON-RPC has errors.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut data = json!({ "name": self.code.name() });
        if let (Some(after), Some(data)) = (self.retry_after, data.as_object_mut()) {
            data.insert("retry_after_ms".into(), u64::try_from(after.as_millis()).unwrap_or(u64::MAX).into());
        }
        json!({ "code": self.code.number(), "message": self.message, "data": data })
    }

    /// As [`Self::to_json`] wrote it; a code of a newer version is [`Code::Internal`].
    #[must_use]
    pub fn of_json(error: &Value) -> Self {
        let number = error.get("code").and_then(Value::as_i64).unwrap_or_default();
        let code = Code::ALL.iter().copied().find(|code| i64::from(code.number()) == number);
        let text = error.get("message").and_then(Value::as_str).unwrap_or("an error without a message");
        let after = error.pointer("/data/retry_after_ms").and_then(Value::as_u64).map(Duration::from_millis);
        Self { code: code.unwrap_or(Code::Internal), message: text.to_owned(), retry_after: after }
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $code:ident = $number:literal, $name:literal, $exit:ident;)+) => {
        /// Kinds of errors.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
        pub enum Code { $($(#[doc = $doc])+ $code,)+ }

        impl Code {
            /// All of them, in the order of spec §22.5.
            pub const ALL: &[Self] = &[$(Self::$code),+];

            /// As JSON-RPC has codes.
            #[must_use]
            pub const fn number(self) -> i32 {
                match self { $(Self::$code => $number,)+ }
            }

            /// For programs that read names.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$code => $name,)+ }
            }

            /// What it means.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$code => concat!($($doc),+).trim_ascii(),)+ }
            }

            /// What the process ends with.
            #[must_use]
            pub const fn exit(self) -> Exit {
                match self { $(Self::$code => Exit::$exit,)+ }
            }
        }
    };
}

/// What the process ends with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// It was done.
    Ok = 0,
    /// It was not.
    Error = 1,
    /// It was asked for in a way that cannot be.
    Usage = 2,
    /// It is stored, and no server could be reached yet.
    Queued = 3,
    /// Somebody's identity is not trusted.
    Untrusted = 4,
    /// Too often.
    Limited = 5,
}

impl Exit {
    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::Queued => 3,
            Self::Untrusted => 4,
            Self::Limited => 5,
        }
    }
}

codes! {
    /// The line is no JSON, or too long.
    Parse = -32700, "parse", Usage;
    /// The JSON is no request.
    InvalidRequest = -32600, "invalid_request", Usage;
    /// There is no such method.
    MethodNotFound = -32601, "method_not_found", Usage;
    /// The parameters are wrong.
    InvalidParams = -32602, "invalid_params", Usage;
    /// A bug, or something of a newer version.
    Internal = -32603, "internal", Error;
    /// Nobody of that name, id or beginning of an id is known.
    UnknownContact = 1001, "unknown_contact", Error;
    /// Several are meant.
    Ambiguous = 1002, "ambiguous", Usage;
    /// They asked to be a contact and were not accepted.
    NotAccepted = 1003, "not_accepted", Error;
    /// They are blocked.
    Blocked = 1004, "blocked", Error;
    /// It is this account itself.
    OwnAccount = 1005, "own_account", Error;
    /// There is no such message.
    UnknownMessage = 1006, "unknown_message", Error;
    /// A text is too long or empty.
    BadText = 1007, "bad_text", Usage;
    /// It is no contact link, or a damaged one.
    BadLink = 1008, "bad_link", Usage;
    /// A link names a key server in a private network, or whoever has a name is at one.
    PrivateServer = 1009, "private_server", Error;
    /// As many links are open as there can be.
    TooManyLinks = 1010, "too_many_links", Limited;
    /// There is no such link, or it has ended.
    UnknownLink = 1011, "unknown_link", Error;
    /// Nothing verified is known of the account yet.
    NothingKnown = 1012, "nothing_known", Queued;
    /// Only the primary device can do that.
    NotPrimary = 1013, "not_primary", Error;
    /// Refused for another reason.
    Refused = 1014, "refused", Error;
    /// It is no name.
    BadName = 1015, "bad_name", Usage;
    /// Nobody has the name, or whoever has it does not want to be found.
    NameNotFound = 1016, "name_not_found", Error;
    /// The key server does not give the name.
    NameRefused = 1017, "name_refused", Error;
    /// This account has no such name.
    UnknownName = 1018, "unknown_name", Error;
    /// As many names as there can be at once.
    TooManyNames = 1019, "too_many_names", Limited;
    /// Their identity changed, and nobody has looked at that yet.
    UntrustedIdentity = 1101, "untrusted_identity", Untrusted;
    /// The safety numbers differ.
    SafetyNumberDiffers = 1102, "safety_number_differs", Untrusted;
    /// Two histories of the account were signed.
    Forked = 1103, "forked", Untrusted;
    /// A key server showed what nobody signed, or what was signed for another name: do not believe it.
    NotGenuine = 1104, "not_genuine", Untrusted;
    /// There is no profile.
    NoProfile = 1201, "no_profile", Error;
    /// There is one already.
    ProfileExists = 1202, "profile_exists", Error;
    /// Another process has the profile open.
    ProfileLocked = 1203, "profile_locked", Error;
    /// The passphrase is wrong, or missing.
    Passphrase = 1204, "passphrase", Error;
    /// What is stored is damaged.
    ProfileDamaged = 1205, "profile_damaged", Error;
    /// What is stored was written by a newer version.
    NewerProfile = 1206, "newer_profile", Error;
    /// The disk is full.
    DiskFull = 1207, "disk_full", Error;
    /// The system refuses: permissions, a broken disk.
    System = 1208, "system", Error;
    /// Others could write to the profile's folder or socket.
    Unsafe = 1209, "unsafe_folder", Error;
    /// These are no account's 24 words.
    BadWords = 1210, "bad_words", Usage;
    /// The server knows no account of these words.
    UnknownAccount = 1211, "unknown_account", Error;
    /// The account was deleted, which is for ever.
    AccountDeleted = 1212, "account_deleted", Error;
    /// This machine has had a newer state of the profile: the folder was put back from a copy, or is one.
    ProfilePutBack = 1213, "profile_put_back", Error;
    /// It is stored, and no server could be reached yet.
    NotConnected = 1301, "not_connected", Queued;
    /// Too often, or too much at once.
    RateLimited = 1302, "rate_limited", Limited;
    /// The client is closing.
    Closed = 1303, "closed", Error;
    /// A server that must answer first could not be reached, or refuses; nothing was changed.
    Unreachable = 1304, "unreachable", Error;
}

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        let (code, advice) = match error {
            CommandError::UnknownContact => (Code::UnknownContact, "add them by a link of theirs"),
            CommandError::NotAccepted => (Code::NotAccepted, "`waxwing contact accept` does"),
            CommandError::Blocked => (Code::Blocked, "`waxwing contact unblock` first"),
            CommandError::OwnAccount => (Code::OwnAccount, "give the link to somebody else"),
            CommandError::PrivateServer => (
                Code::PrivateServer,
                "if you know that network, set allow_private_servers in the profile's settings.json",
            ),
            CommandError::NotPrimary => (Code::NotPrimary, "use the device that the account was made on"),
            CommandError::UnknownMessage => (Code::UnknownMessage, "`waxwing history` shows those there are"),
            CommandError::TooLong => (Code::BadText, "send it in pieces"),
            CommandError::TooManyLinks => {
                (Code::TooManyLinks, "`waxwing links` shows them, `waxwing revoke-link` ends one")
            }
            CommandError::NoIdentityChange => (Code::Refused, "nothing needs to be done"),
            CommandError::NothingKnown => (Code::NothingKnown, "wait until their key server could be asked"),
            CommandError::Forked => (Code::Forked, "ask them, by another way, whether somebody has their words"),
            CommandError::TooManySearches => (Code::TooManyNames, "wait until the key servers have answered"),
            CommandError::TooManyNames => (Code::TooManyNames, "`waxwing name release` gives one up"),
            CommandError::UnknownName => (Code::UnknownName, "`waxwing name list` shows those there are"),
            CommandError::UnknownLink => (Code::UnknownLink, "`waxwing links` shows those there are"),
            _ => (Code::Refused, "nothing was changed"),
        };
        Self::new(code, format!("{error}: {advice}"))
    }
}

impl From<CommandFailed> for ApiError {
    fn from(error: CommandFailed) -> Self {
        match error {
            CommandFailed::Refused(refused) => refused.into(),
            CommandFailed::NotStored(store) => store.into(),
            _ => Self::new(Code::Closed, error.to_string()),
        }
    }
}

impl From<Unavailable> for ApiError {
    fn from(error: Unavailable) -> Self {
        match error {
            Unavailable::Closed => Self::new(Code::Closed, error.to_string()),
            _ => Self::new(Code::DiskFull, error.to_string()).after(AGAIN),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let (code, advice) = match error {
            StoreError::Full => (Code::DiskFull, "make room; nothing that was accepted is lost"),
            StoreError::Damaged => (Code::ProfileDamaged, "`waxwing repair` salvages what can be read"),
            StoreError::Unavailable => (Code::Closed, "try again"),
            _ => (Code::System, "look at the disk and its permissions"),
        };
        let said = Self::new(code, format!("{error}: {advice}"));
        if error == StoreError::Unavailable { said.after(AGAIN) } else { said }
    }
}

impl From<OpenError> for ApiError {
    fn from(error: OpenError) -> Self {
        let (code, advice) = match error {
            OpenError::NotAProfile => {
                (Code::NoProfile, "`waxwing init --server ADDRESS` makes one; `-p` names another")
            }
            OpenError::Exists => (Code::ProfileExists, "`-p NAME` makes another one beside it"),
            OpenError::Locked => (Code::ProfileLocked, "another verb is at work, or a daemon is starting; try again"),
            OpenError::WrongPassphrase => (Code::Passphrase, "try again"),
            OpenError::PassphraseNeeded => {
                (Code::Passphrase, "give --passphrase-file FILE or WAXWING_PASSPHRASE, or run it in a terminal")
            }
            OpenError::KeyDamaged | OpenError::NoDatabase | OpenError::HalfMigrated(_) => {
                (Code::ProfileDamaged, "nothing was changed")
            }
            OpenError::PutBack => (
                Code::ProfilePutBack,
                "going on with it would use message keys twice. `waxwing export FILE` gets its messages out; `waxwing init --restore` with \
                 another -p makes a new device by the 24 words",
            ),
            OpenError::Foreign | OpenError::Damaged => {
                (Code::ProfileDamaged, "`waxwing repair` salvages what can be read, and keeps the damaged file")
            }
            OpenError::NewerKey(_) | OpenError::Newer { .. } => (Code::NewerProfile, "nothing was changed"),
            OpenError::Full => (Code::DiskFull, "make room, then try again"),
            OpenError::Memory => (Code::System, "end other programs, then try again"),
            _ => (Code::System, "look at the disk and the folder's permissions"),
        };
        let said = Self::new(code, format!("{error}: {advice}"));
        if error == OpenError::Locked { said.after(AGAIN) } else { said }
    }
}

impl From<OpenClientError> for ApiError {
    fn from(error: OpenClientError) -> Self {
        match error {
            OpenClientError::Profile(profile) => profile.into(),
            OpenClientError::Account(account) => Self::new(Code::InvalidParams, account.to_string()),
            OpenClientError::Records(_) => Self::new(
                Code::ProfileDamaged,
                format!("{error}: use the newest version of this program, or `waxwing repair`"),
            ),
            _ => Self::new(Code::ProfileDamaged, error.to_string()),
        }
    }
}

impl From<RecoverClientError> for ApiError {
    fn from(error: RecoverClientError) -> Self {
        let (code, advice) = match error {
            RecoverClientError::Open(open) => return open.into(),
            RecoverClientError::Words(words) => return Self::new(Code::BadWords, wrong(words)),
            RecoverClientError::UnknownAccount => {
                (Code::UnknownAccount, "compare the words with your paper, and the server with the one that you used")
            }
            RecoverClientError::Deleted => (Code::AccountDeleted, "`waxwing init` without --restore makes another one"),
            RecoverClientError::Refused(_) => (Code::Refused, "nothing was made"),
            RecoverClientError::Forged => (Code::Unreachable, "ask its operator; nothing was made"),
            RecoverClientError::Server(server) => {
                let refused = Self::new(of_server(server.code), format!("{error}: nothing was made; try again later"));
                return Self { retry_after: server.retry_after, ..refused };
            }
            RecoverClientError::Unreachable(_) | RecoverClientError::Lost(_) => {
                let advice = "nothing was made; look at the network and the server's address, then try again";
                return Self::new(Code::Unreachable, format!("{error}: {advice}")).after(AGAIN);
            }
            _ => (Code::Internal, "nothing was made"),
        };
        Self::new(code, format!("{error}: {advice}"))
    }
}

const fn of_server(code: ErrorCode) -> Code {
    match code {
        ErrorCode::RateLimited | ErrorCode::QuotaExceeded => Code::RateLimited,
        _ => Code::Unreachable,
    }
}

/// What is wrong with which word; nothing of the words themselves.
fn wrong(words: WordsError) -> String {
    let what = match words {
        WordsError::Count { count } => format!("there are {count} words instead of 24"),
        WordsError::Unknown { position } => format!("word {position} is not in the list: look at its spelling"),
        _ => "the words do not belong together: one is wrong, or two are swapped".into(),
    };
    format!("{what}; compare them with your paper")
}

/// What is over in a moment, by whatever it is caused.
const AGAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_and_names_are_distinct_and_come_back() {
        let numbers: HashSet<_> = Code::ALL.iter().map(|code| code.number()).collect();
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!((numbers.len(), names.len()), (Code::ALL.len(), Code::ALL.len()));
        for code in Code::ALL {
            let error = ApiError::new(*code, "what and why").after(Duration::from_millis(1_500));
            assert_eq!(ApiError::of_json(&error.to_json()), error);
            assert!(!code.meaning().is_empty() && code.exit() != Exit::Ok);
        }
        let newer = json!({ "code": 99_999, "message": "?" });
        assert_eq!(ApiError::of_json(&newer).code, Code::Internal);
    }
}
