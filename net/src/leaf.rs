//! The certificates under a server's long-term key. Implements spec/18-transport.md §18.1 and §18.2.
//!
//! ```text
//! address ──pins──▶ server key ──signs──▶ leaf {Ed25519 key, number, 90 days} ──proves──▶ this TLS connection
//! ```
//! Invariants: leaf keys live in memory only and are never used for anything but TLS; numbers ascend while a process runs, and
//! across restarts as far as the clock does. The trust anchor is made from the pinned key alone; checking chains and
//! signatures is rustls' and webpki's work.
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyUsagePurpose};
use rustls::{
    SignatureAlgorithm, SignatureScheme,
    pki_types::{CertificateDer, Der, TrustAnchor},
    server::{ClientHello, ResolvesServerCert},
    sign::{CertifiedKey, Signer},
};
use thiserror::Error;
use waxwing_wire::{
    keys::{ServerKey, ServerPublicKey},
    manifest::SKEW,
    time::Timestamp,
};
use zeroize::Zeroizing;

use crate::Clock;

/// A leaf's place in the order of a server's leaves: the certificate's serial number.
///
/// A caller that keeps the highest it saw of a server can refuse a lower one ([`crate::ClientConfig::least_leaf`]), so that a
/// stolen old leaf key serves nobody.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LeafNumber(pub u64);

impl LeafNumber {
    /// The number of a certificate that was verified.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
        let serial = certificate.serial();
        let digits = match serial {
            [0, rest @ ..] if rest.len() <= 8 => rest,
            digits if digits.len() <= 8 => digits,
            _ => return None,
        };
        Some(Self(digits.iter().fold(0, |number, digit| number << 8 | u64::from(*digit))))
    }
}

/// The current leaf of a server; makes the next one in good time.
pub(crate) struct Leaves {
    issuer: Issuer<'static, Ed25519>,
    clock: Clock,
    current: Mutex<Current>,
}

struct Current {
    number: LeafNumber,
    issued: Timestamp,
    key: Arc<CertifiedKey>,
}

impl Leaves {
    pub(crate) fn new(key: &ServerKey, clock: Clock) -> Result<Self, LeafError> {
        let seed: Zeroizing<[u8; 32]> = key.seed();
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(ISSUER_NAME);
        let issuer = Issuer::new(params, Ed25519::of_seed(&seed)?);
        let now = clock.now();
        let number = LeafNumber(now.as_millis());
        let key = issue(&issuer, number, now)?;
        Ok(Self { issuer, clock, current: Mutex::new(Current { number, issued: now, key }) })
    }

    /// Makes the next leaf if a third of the current one's life is over, or if the clock was set back before it. Connections
    /// that stand are not touched.
    pub(crate) fn renew_if_due(&self) -> Result<Option<LeafNumber>, LeafError> {
        let now = self.clock.now();
        let number = {
            let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            let due = now.since(current.issued) >= RENEWAL || current.issued.since(now) > SKEW;
            if !due {
                return Ok(None);
            }
            LeafNumber(now.as_millis().max(current.number.0.saturating_add(1)))
        };
        let key = issue(&self.issuer, number, now)?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Current { number, issued: now, key };
        Ok(Some(number))
    }

    /// What the current certificate says.
    #[cfg(test)]
    pub(crate) fn shown(&self) -> Option<LeafNumber> {
        LeafNumber::of(self.current.lock().ok()?.key.cert.first()?)
    }

    pub(crate) fn number(&self) -> LeafNumber {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).number
    }
}

impl ResolvesServerCert for Leaves {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner).key))
    }
}

impl fmt::Debug for Leaves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaves").field("number", &self.number()).finish_non_exhaustive()
    }
}

/// What a client trusts: the pinned key, under the one name that all servers have.
pub(crate) fn anchor(key: &ServerPublicKey) -> TrustAnchor<'static> {
    let mut info = Vec::with_capacity(SPKI_PREFIX.len().saturating_add(32));
    info.extend_from_slice(SPKI_PREFIX);
    info.extend_from_slice(key.as_bytes());
    TrustAnchor {
        subject: Der::from_slice(ISSUER_SUBJECT),
        subject_public_key_info: Der::from(info),
        name_constraints: None,
    }
}

/// Why no leaf was made: the clock is beyond what certificates can say, or the system has no randomness.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub(crate) enum LeafError {
    #[error("the clock is out of range")]
    Clock,
    #[error("the operating system has no randomness")]
    Entropy,
    #[error("a certificate could not be made")]
    Certificate,
}

fn issue(issuer: &Issuer<'_, Ed25519>, number: LeafNumber, now: Timestamp) -> Result<Arc<CertifiedKey>, LeafError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(|_| LeafError::Entropy)?;
    let key = Ed25519::of_seed(&seed)?;
    let mut params = CertificateParams::new([SERVER_NAME.to_owned()]).map_err(|_| LeafError::Certificate)?;
    params.distinguished_name = common_name("waxwing leaf");
    params.serial_number = Some(number.0.into());
    if now > LAST_MOMENT {
        return Err(LeafError::Clock);
    }
    set_dates(&mut params, now.saturating_sub(SKEW), now.saturating_add(LIFE));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.signed_by(&key, issuer).map_err(|_| LeafError::Certificate)?;
    Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], Arc::new(key))))
}

#[allow(clippy::arithmetic_side_effects, reason = "below the year 9001, which `issue` sees to")]
fn set_dates(params: &mut CertificateParams, begin: Timestamp, end: Timestamp) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_millis(begin.as_millis());
    params.not_after = epoch + Duration::from_millis(end.as_millis());
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// An Ed25519 private key that signs certificates or TLS handshakes.
#[derive(Clone)]
struct Ed25519(Arc<Ed25519KeyPair>);

impl Ed25519 {
    fn of_seed(seed: &[u8; 32]) -> Result<Self, LeafError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| LeafError::Certificate)?;
        Ok(Self(Arc::new(pair)))
    }
}

impl rcgen::PublicKeyData for Ed25519 {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

impl rcgen::SigningKey for Ed25519 {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

impl rustls::sign::SigningKey for Ed25519 {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        if offered.contains(&SignatureScheme::ED25519) { Some(Box::new(self.clone())) } else { None }
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for Ed25519 {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

impl fmt::Debug for Ed25519 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ed25519(..)")
    }
}

/// The name in every leaf. A constant: the pinned key is the name, and a host name in it would say to whom one speaks.
pub(crate) const SERVER_NAME: &str = "waxwing.invalid";
/// How long a leaf lives.
const LIFE: Duration = Duration::from_secs(90 * 86_400);
/// After how long the next one is made.
const RENEWAL: Duration = Duration::from_secs(30 * 86_400);
const ISSUER_NAME: &str = "waxwing server";
/// The issuer's name as DER, without the outer SEQUENCE: one common name.
const ISSUER_SUBJECT: &[u8] = b"\x31\x17\x30\x15\x06\x03\x55\x04\x03\x0c\x0ewaxwing server";
/// A subjectPublicKeyInfo of Ed25519 (RFC 8410 §4) without the outer SEQUENCE, up to the 32 bytes of the key.
const SPKI_PREFIX: &[u8] = b"\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
/// The year 9000: a leaf of then still ends within the four digits of a certificate's year.
const LAST_MOMENT: Timestamp = Timestamp(221_845_392_000_000);
