//! How much work messages that fail may cost (spec §5.7).
//!
//! Whoever can put bytes into our mailbox can make us walk two chains 25,000 steps or try a ratchet step with each archived
//! state, for nothing. One such message is cheap (some 30 ms); the budget is for the thousandth.

/// Work that messages which do not open may still cause. Keep one per peer and refill it with time; or pass
/// `&mut Budget::default()` to bound each message alone.
///
/// One unit is one HMAC, about 0.3 µs. Messages that open are free.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Budget(u32);

/// A ratchet step costs a scalar multiplication, the decoding of a point and an HKDF.
pub(super) const RATCHET_STEP: u32 = 100;
/// A step of the post-quantum ratchet's chain is an HKDF.
pub(super) const POST_QUANTUM_STEP: u32 = 3;

/// Verifying a group message's signature costs about as much.
pub(crate) const VERIFICATION: u32 = 100;

impl Budget {
    /// A budget of `units`.
    #[must_use]
    pub const fn new(units: u32) -> Self {
        Self(units)
    }

    /// What is left.
    #[must_use]
    pub const fn remaining(self) -> u32 {
        self.0
    }

    /// Spends, or refuses and spends nothing.
    pub(crate) fn spend(&mut self, units: u32) -> Result<(), Exhausted> {
        self.0 = self.0.checked_sub(units).ok_or(Exhausted)?;
        Ok(())
    }
}

impl Default for Budget {
    /// 110,000 units: enough for the farthest honest jump of both ratchets in the oldest archived state.
    fn default() -> Self {
        Self(110_000)
    }
}

/// The budget does not suffice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exhausted;
