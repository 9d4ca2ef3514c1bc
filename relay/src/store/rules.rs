//! What a store allows (spec/17-relay.md §17.2, §17.3.5).
use core::time::Duration;

use super::{blobs::BlobRules, registers::RegisterRules};
use crate::{ledger::Quota, rate::Rate};

/// What a store allows (spec §17.2, §17.3.5).
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// What a mailbox holds at most.
    pub quota: Quota,
    /// Bytes that all mailboxes hold together at most; an envelope counts in each mailbox that holds it.
    pub total: u64,
    /// How often each share of a mailbox takes an envelope.
    pub puts: Rate,
    /// How many acked envelopes are remembered at most: 40 bytes of memory each.
    pub remembered: usize,
    /// After how many bytes a store in a file moves them from its log into the file, beside its work.
    pub log: usize,
    /// What a register holds and takes at most.
    pub register: RegisterRules,
    /// What blobs may take.
    pub blobs: BlobRules,
}

impl Default for Rules {
    /// FLOWS' quota and 64 GiB for all mailboxes, for each share 4,000 envelopes at once and 20 a second, 4,194,304 acked envelopes, 32 MiB; for registers 8 MiB and 600 writes an hour; for blobs 2 GiB each and 64 GiB in all.
    fn default() -> Self {
        Self {
            quota: Quota::default(),
            total: 64 << 30,
            puts: PUTS_OF_MAILBOX,
            remembered: 4 << 20,
            log: 32 << 20,
            register: RegisterRules::default(),
            blobs: BlobRules::default(),
        }
    }
}

/// What each share of a mailbox takes unless an operator says otherwise: half a quota at once, then what one reads at most.
pub const PUTS_OF_MAILBOX: Rate = Rate::new(4_000, Duration::from_millis(50));
