//! Records: how a session is stored (spec §5.9). Explicit, versioned, canonical; nobody but this crate reads them.
//!
//! ```text
//! 'h'                          head: which states there are, in which order
//! 's' ‖ serial                 one state without kept keys, at most 1 KiB once acknowledged
//! 'k' ‖ serial ‖ chain ‖ block up to 32 kept keys of one chain
//! 'q' ‖ serial                 its post-quantum ratchet without what is long
//! 'b' ‖ serial ‖ part          what is long: a decapsulation key, half a ciphertext, chunks so far
//! 'p' ‖ serial ‖ epoch ‖ block up to 32 kept keys of one of its chains
//! ```
//! So an ordinary message rewrites one or two small records, and a session that skipped many is as cheap to use as any.

mod codec;
mod head;
mod kept;
mod load;
mod post_quantum;
mod state_record;

use alloc::vec::Vec;

pub(crate) use self::codec::{Reader, Writer};
use super::Session;
use super::change::{Change, RatchetChange};
use super::delta::{RecordKey, Write};
use super::receiving::ReceivingChain;
use super::state::State;

const HEAD: u8 = b'h';
const STATE: u8 = b's';
const KEPT: u8 = b'k';

const PQ_RATCHET: u8 = b'q';
const PQ_PART: u8 = b'b';
const PQ_KEPT: u8 = b'p';

/// Every record begins with it, but
const VERSION: u8 = 1;
/// those of a post-quantum ratchet and of a state that has one.
const WITH_POST_QUANTUM_RATCHET: u8 = 2;

impl Session {
    /// All records, as [`Self::load`] takes them: for a first copy or an export. Day to day, apply each [`Delta`](super::Delta).
    pub fn records(&self) -> impl Iterator<Item = (RecordKey, zeroize::Zeroizing<Vec<u8>>)> {
        let mut writes = Vec::from([self.head_write()]);
        for state in self.states() {
            state.write_all(&mut writes);
        }
        writes.into_iter().filter_map(|write| write.value.map(|value| (write.key, value)))
    }

    fn head_write(&self) -> Write {
        let current = self.current.as_ref().map(|state| state.serial);
        let archived = self.archived.iter().map(|state| state.serial);
        head::write(self.next_serial, current, archived)
    }
}

/// The head as it will be.
pub(super) fn head_write(next_serial: u32, current: Option<u32>, archived: impl Iterator<Item = u32>) -> Write {
    head::write(next_serial, current, archived)
}

impl State {
    /// Every record of this state.
    pub(super) fn write_all(&self, writes: &mut Vec<Write>) {
        writes.push(state_record::write(self, None));
        for chain in &self.receiving.chains {
            kept::write_all(self.serial, chain, writes);
        }
        if let Some(ratchet) = &self.post_quantum {
            post_quantum::write_all(self.serial, ratchet, writes);
        }
    }

    /// The records that `change` touches.
    pub(super) fn write_changed(&self, change: &Change, writes: &mut Vec<Write>) {
        writes.push(state_record::write(self, Some(change)));
        if let (Some(ratchet), Some(step)) = (&self.post_quantum, &change.post_quantum) {
            post_quantum::write_changed(self.serial, ratchet, step, writes);
        }
        match &change.ratchet {
            RatchetChange::Sent { .. } => {}
            RatchetChange::Chain { position, step } => {
                if let Some(chain) = self.receiving.chains.get(*position) {
                    kept::write_changed(self.serial, chain, step, writes);
                }
            }
            RatchetChange::Ratchet(step) => {
                if let Some(displaced) = self.receiving.displaced() {
                    kept::delete_all(self.serial, displaced, writes);
                }
                kept::write_all(self.serial, &step.receiving, writes);
            }
        }
    }

    /// The state's record once it is archived: nobody has to repeat a first message of it any more.
    pub(super) fn write_archived(&self, writes: &mut Vec<Write>) {
        if self.unacknowledged.is_some() {
            writes.push(state_record::write_archived(self));
        }
    }

    /// Deletes every record of this state.
    pub(super) fn write_deleted(&self, writes: &mut Vec<Write>) {
        writes.push(Write { key: RecordKey::from_parts(STATE, &[self.serial]), value: None });
        for chain in &self.receiving.chains {
            kept::delete_all(self.serial, chain, writes);
        }
        if let Some(ratchet) = &self.post_quantum {
            post_quantum::delete_all(self.serial, ratchet, writes);
        }
    }
}
