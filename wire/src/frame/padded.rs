//! Parts of an answer whose length shall not speak. Implements spec/13-frames.md §13.4.
//!
//! Invariants: a padded part has one of the sizes of its kind, the smallest that fits, and zeros at its end.
use alloc::vec::Vec;

use prost::Message;

use crate::{
    canonical::{self, Described, Mode},
    message::{Broken, FromWire, ToWire},
};

/// length[4] ‖ message ‖ zeros. What no decoder accepts becomes too long, so that the encoder refuses it.
pub(crate) fn wrap<P: Message + Described>(value: &impl ToWire<P>, sizes: &[usize]) -> Vec<u8> {
    let message = value.to_wire().encode_to_vec();
    let used = message.len().saturating_add(PREFIX);
    let mut part = Vec::with_capacity(used);
    part.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    part.extend_from_slice(&message);
    let fits = canonical::scan(&message, P::SCHEMA, Mode::Strict).is_ok();
    part.resize(size_for(used, sizes).filter(|_| fits).unwrap_or(TOO_LONG), 0);
    part
}

pub(crate) fn unwrap<P, T>(part: &[u8], sizes: &[usize]) -> Result<T, Broken>
where
    P: Message + Default + Described,
    T: FromWire<P>,
{
    let broken = Broken::rule("§13.4.1");
    let (length, rest) = part.split_first_chunk::<PREFIX>().ok_or(broken)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| broken)?;
    let (message, zeros) = rest.split_at_checked(length).ok_or(broken)?;
    let expected = size_for(length.saturating_add(PREFIX), sizes);
    // All of them at once: looked at one by one, they take as long as the message.
    if expected != Some(part.len()) || zeros.iter().fold(0, |any, byte| any | byte) != 0 {
        return Err(broken);
    }
    T::from_wire(canonical::decode::<P>(message, Mode::Strict)?)
}

pub(crate) fn size_for(used: usize, sizes: &[usize]) -> Option<usize> {
    sizes.iter().copied().find(|size| *size >= used)
}

/// Bytes of the length.
pub(crate) const PREFIX: usize = 4;
/// Above every ceiling.
const TOO_LONG: usize = 1 << 20;
