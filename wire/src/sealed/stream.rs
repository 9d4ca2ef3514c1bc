//! One object's cipher: STREAM over AES-256-GCM. Implements spec/12-sealed-objects.md §12.3 and §12.4.
//!
//! Invariants: the counter only moves forward, and after the last segment there is no next; a key serves one object.
//! Not here: where segments begin and end ([`super::size`]).
use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag, aead::AeadInOut};

use super::size::Plan;

/// Seals or opens the segments of one object, in order.
pub(super) struct Stream {
    cipher: Aes256Gcm,
    prefix: [u8; 7],
    counter: u32,
    plan: Plan,
    ended: bool,
}

/// The segment failed authentication, or there is no segment left.
#[derive(Debug)]
pub(super) struct Refused;

impl Stream {
    pub(super) fn new(key: &[u8; 32], prefix: [u8; 7], plan: Plan) -> Self {
        Self { cipher: Aes256Gcm::new(key.into()), prefix, counter: 0, plan, ended: false }
    }

    /// Bytes of the next segment on the wire, tag included; none after the last.
    pub(super) fn next_segment(&self) -> Option<usize> {
        if self.ended { None } else { usize::try_from(self.plan.segment(u64::from(self.counter))).ok() }
    }

    pub(super) const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Encrypts the next segment's plaintext in place.
    pub(super) fn seal(&mut self, buffer: &mut [u8]) -> Result<[u8; 16], Refused> {
        let nonce = self.advance()?;
        self.cipher.encrypt_inout_detached(&nonce, &[], buffer.into()).map(Into::into).map_err(|_| Refused)
    }

    /// Decrypts the next segment's ciphertext in place; nothing there is valid when this fails.
    pub(super) fn open(&mut self, buffer: &mut [u8], tag: &[u8; 16]) -> Result<(), Refused> {
        let nonce = self.advance()?;
        self.cipher.decrypt_inout_detached(&nonce, &[], buffer.into(), &Tag::from(*tag)).map_err(|_| Refused)
    }

    /// The nonce of the next segment: prefix ‖ counter ‖ last.
    fn advance(&mut self) -> Result<Nonce<aes_gcm::aead::consts::U12>, Refused> {
        if self.ended {
            return Err(Refused);
        }
        let last = self.plan.is_last(u64::from(self.counter));
        let [p0, p1, p2, p3, p4, p5, p6] = self.prefix;
        let [c0, c1, c2, c3] = self.counter.to_be_bytes();
        self.ended = last;
        self.counter = if last { self.counter } else { self.counter.checked_add(1).ok_or(Refused)? };
        Ok(Nonce::from([p0, p1, p2, p3, p4, p5, p6, c0, c1, c2, c3, u8::from(last)]))
    }
}
