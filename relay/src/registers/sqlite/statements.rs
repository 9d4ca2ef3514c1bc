//! Every statement of `registers.db`.

/// All of them.
pub const ALL: &[&str] = &[CHAINS, HEAD, ENTRIES, CREATE, MOVE, DELETE, APPEND, EVICT, EMPTY];

/// Everything but the entries, once at the start.
pub(super) const CHAINS: &str = "SELECT id, write_verifier, read_verifier, seal_verifier, first_hash, version, hash, ended, oldest, bytes, \
     hour, writes FROM registers";

pub(super) const HEAD: &str = "SELECT version, hash, ended FROM registers WHERE id = ?1";

pub(super) const ENTRIES: &str = "SELECT version, kind, before, sealed FROM entries WHERE register = ?1 AND version >= ?2 ORDER BY version \
     LIMIT ?3";

pub(super) const CREATE: &str = "INSERT INTO registers (id, write_verifier, read_verifier, seal_verifier, first_hash, version, hash, ended, \
     oldest, bytes, hour, writes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

pub(super) const MOVE: &str = "UPDATE registers SET version = ?2, hash = ?3, ended = ?4, oldest = ?5, bytes = ?6, hour = ?7, writes = ?8 \
     WHERE id = ?1";

pub(super) const DELETE: &str = "DELETE FROM registers WHERE id = ?1";

pub(super) const APPEND: &str =
    "INSERT INTO entries (register, version, kind, before, sealed) VALUES (?1, ?2, ?3, ?4, ?5)";

pub(super) const EVICT: &str = "DELETE FROM entries WHERE register = ?1 AND version < ?2";

pub(super) const EMPTY: &str = "DELETE FROM entries WHERE register = ?1";
