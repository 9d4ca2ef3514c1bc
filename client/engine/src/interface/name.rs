//! Names at key servers: what is looked for, and what this account has.
use waxwing_wire::{address::ServerAddress, name::Name, time::Timestamp};

/// A name that is being looked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SearchView {
    /// The name.
    pub name: Name,
    /// Where.
    pub server: ServerAddress,
    /// Since when.
    pub since: Timestamp,
}

/// Why nobody was added by a name. Nothing changed.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum NotFound {
    /// Nobody has the name at that server, or whoever has it does not want to be found.
    NotListed,
    /// What the server shows is not signed by the account that it names, or was made for another name or server: do not trust that
    /// server.
    NotGenuine,
    /// It is this account itself.
    OwnAccount,
    /// They are blocked: unblock them first.
    Blocked,
    /// The account is deleted.
    Deleted,
    /// Their key servers are in a private network, which only the person can allow.
    PrivateServer,
    /// Another contact has the same service id, which nobody makes by chance.
    ServiceIdTaken,
    /// The server did not answer for a day.
    NoAnswer,
}

/// A name of this account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NameView {
    /// The name.
    pub name: Name,
    /// How far it is.
    pub state: OwnNameState,
    /// Whether the person wants it to be found.
    pub listed: bool,
}

/// How far a name of this account is.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum OwnNameState {
    /// The key server is being asked for it.
    Claiming,
    /// It is this account's, and nobody finds it.
    Held,
    /// Whoever looks it up finds this account.
    Listed,
    /// It is being given up.
    Releasing,
}

/// What became of a name of this account.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum NameNews {
    /// It is this account's. If it is to be listed, that comes next.
    Held,
    /// Whoever looks it up finds this account.
    Listed,
    /// Nobody finds it any more; it stays this account's.
    Unlisted,
    /// It is given up; nobody else gets it for 90 days.
    Released,
    /// The key server does not give it.
    Refused(NameRefusal),
}

/// Why a key server does not give a name.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum NameRefusal {
    /// Somebody has it, or one that looks like it; or it rests.
    Taken,
    /// The server's operator alone gives it.
    Reserved,
    /// The account has as many as the server gives.
    TooMany,
    /// The server wants an invitation for it, or does not know the one that was given.
    NotAdmitted,
}
