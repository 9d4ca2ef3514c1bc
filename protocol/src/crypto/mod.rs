//! Thin, typed wrappers of the symmetric primitives (spec §0.1). No protocol decision is taken here.

mod cbc;
mod ctr;
mod gcm_siv;
mod kdf;
#[cfg(test)]
mod tests;

pub(crate) use self::cbc::{CbcError, decrypt, encrypt};
pub(crate) use self::ctr::apply_keystream;
pub(crate) use self::gcm_siv::{TAG_LEN, decrypt_detached, encrypt_detached};
pub(crate) use self::kdf::{Salt, hkdf, hkdf_with, hmac};
