//! The sent form: what Signal's server takes apart for the recipients (spec §8.6). No Waxwing server sees it.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;

use thiserror::Error;

use super::error::SealError;
use super::message::V2_RECEIVED;
use super::seal::Recipient;
use super::v2::{EPHEMERAL_LEN, Header};
use crate::address::{DeviceId, RegistrationId, ServiceId};
use crate::message::DecodeError;

/// No longer sent form is parsed or made: 1 MiB.
pub const MAX_SENT_LEN: usize = 1024 * 1024;

const VERSION: u8 = 0x23;
/// Recipients are bare UUIDs.
const LEGACY_VERSION: u8 = 0x22;
/// Stands where the first device would.
const NO_DEVICES: u8 = 0;
const ANOTHER_DEVICE_FOLLOWS: u16 = 0x8000;
const REGISTRATION_ID: u16 = 0x3FFF;

/// A sent form, as a server reads it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SentMessage<'a> {
    recipients: Vec<SentRecipient>,
    excluded: Vec<ServiceId>,
    shared: &'a [u8],
}

/// A recipient of a sent form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SentRecipient {
    /// The account.
    pub service_id: ServiceId,
    /// Its devices in the order they came.
    pub devices: Vec<(DeviceId, RegistrationId)>,
    /// What all of them need to open.
    pub header: Header,
}

/// Why there is no received form for an account.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum NotAddressed {
    /// The sent form does not name it.
    #[error("the account is not among the recipients")]
    Unknown,
    /// The sent form names it as one who gets nothing.
    #[error("the account is excluded")]
    Excluded,
}

impl<'a> SentMessage<'a> {
    /// Parses a sent form of either version (spec §8.6).
    ///
    /// # Errors
    /// [`DecodeError`]: the sender is at fault.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_SENT_LEN {
            return Err(DecodeError::TooLong { got: bytes.len() });
        }
        let mut reader = Reader { rest: bytes, whole: bytes.len() };
        let version = match reader.byte()? {
            VERSION => VERSION,
            LEGACY_VERSION => LEGACY_VERSION,
            other => return Err(DecodeError::UnknownVersion { got: other }),
        };
        let mut recipients = Recipients::default();
        // The count is the sender's word: nothing is reserved for it, and every round takes bytes.
        for _ in 0..reader.count()? {
            recipients.add(reader.entry(version)?)?;
        }
        if reader.rest.len() < EPHEMERAL_LEN {
            return Err(DecodeError::TooShort { got: bytes.len() });
        }
        Ok(Self { recipients: recipients.named, excluded: recipients.excluded, shared: reader.rest })
    }

    /// Who gets it.
    #[must_use]
    pub fn recipients(&self) -> &[SentRecipient] {
        &self.recipients
    }

    /// Who of the group gets nothing.
    #[must_use]
    pub fn excluded(&self) -> &[ServiceId] {
        &self.excluded
    }

    /// Ephemeral key ‖ ciphertext.
    #[must_use]
    pub const fn shared(&self) -> &'a [u8] {
        self.shared
    }

    /// The received form for an account's devices (spec §8.7).
    ///
    /// # Errors
    /// [`NotAddressed`].
    pub fn received_by(&self, account: ServiceId) -> Result<Vec<u8>, NotAddressed> {
        match self.recipients.iter().find(|recipient| recipient.service_id == account) {
            Some(recipient) => Ok([&[V2_RECEIVED], recipient.header.as_bytes().as_slice(), self.shared].concat()),
            None if self.excluded.contains(&account) => Err(NotAddressed::Excluded),
            None => Err(NotAddressed::Unknown),
        }
    }
}

/// What the sent form cannot say, or says ambiguously.
pub(super) fn check(recipients: &[Recipient<'_>], excluded: &[ServiceId]) -> Result<(), SealError> {
    for (index, recipient) in recipients.iter().enumerate() {
        check_devices(index, recipient.devices)?;
    }
    let accounts = recipients.iter().map(|recipient| recipient.service_id).chain(excluded.iter().copied());
    let mut seen = BTreeMap::new();
    for (index, account) in accounts.enumerate() {
        if seen.insert(account, ()).is_some() {
            return Err(SealError::RepeatedRecipient { index });
        }
    }
    Ok(())
}

fn check_devices(index: usize, devices: &[(DeviceId, RegistrationId)]) -> Result<(), SealError> {
    if devices.is_empty() {
        return Err(SealError::NoDevices { index });
    }
    let mut seen = 0_u128;
    for (device, registration_id) in devices {
        if registration_id.0 > REGISTRATION_ID.into() {
            return Err(SealError::RegistrationId { index, got: registration_id.0 });
        }
        // Device ids are 1 to 127.
        let bit = 1_u128.wrapping_shl(device.get().into());
        if seen & bit != 0 {
            return Err(SealError::RepeatedDevice { index, device: device.get() });
        }
        seen |= bit;
    }
    Ok(())
}

/// Writes what [`check`] let through.
pub(super) fn encode(
    recipients: &[Recipient<'_>],
    headers: &[Header],
    excluded: &[ServiceId],
    shared: &[u8],
) -> Result<Vec<u8>, SealError> {
    let mut bytes = Vec::from([VERSION]);
    // Writing to a vector cannot fail.
    let _ = prost::encode_length_delimiter(recipients.len().saturating_add(excluded.len()), &mut bytes);
    for (index, (recipient, header)) in recipients.iter().zip(headers).enumerate() {
        bytes.extend(recipient.service_id.to_fixed_width());
        let last = recipient.devices.len().saturating_sub(1);
        for (at, (device, registration_id)) in recipient.devices.iter().enumerate() {
            let id = u16::try_from(registration_id.0)
                .map_err(|_| SealError::RegistrationId { index, got: registration_id.0 })?;
            let more = if at < last { ANOTHER_DEVICE_FOLLOWS } else { 0 };
            bytes.push(device.get());
            bytes.extend((id | more).to_be_bytes());
        }
        bytes.extend(header.as_bytes());
    }
    for account in excluded {
        bytes.extend(account.to_fixed_width());
        bytes.push(NO_DEVICES);
    }
    bytes.extend_from_slice(shared);
    if bytes.len() > MAX_SENT_LEN {
        return Err(SealError::TooLong { len: bytes.len(), max: MAX_SENT_LEN });
    }
    Ok(bytes)
}

/// Recipients as they accumulate: a service id may come again with more devices, but not with none.
#[derive(Default)]
struct Recipients {
    named: Vec<SentRecipient>,
    excluded: Vec<ServiceId>,
    /// Place in `named`; `None` for the excluded.
    seen: BTreeMap<ServiceId, Option<usize>>,
}

impl Recipients {
    fn add(&mut self, entry: (ServiceId, Option<SentRecipient>)) -> Result<(), DecodeError> {
        const REPEATED: DecodeError = DecodeError::Invalid { field: "recipient" };
        match (self.seen.entry(entry.0), entry.1) {
            (Entry::Vacant(vacant), None) => {
                vacant.insert(None);
                self.excluded.push(entry.0);
            }
            (Entry::Vacant(vacant), Some(recipient)) => {
                vacant.insert(Some(self.named.len()));
                self.named.push(recipient);
            }
            (Entry::Occupied(occupied), Some(more)) => {
                let at = occupied.get().ok_or(REPEATED)?;
                let known = self.named.get_mut(at).ok_or(REPEATED)?;
                known.devices.extend(more.devices);
            }
            (Entry::Occupied(_), None) => return Err(REPEATED),
        }
        Ok(())
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    whole: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(DecodeError::TooShort { got: self.whole })?;
        self.rest = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        self.take::<1>().map(|[byte]| byte)
    }

    /// A minimal varint.
    fn count(&mut self) -> Result<usize, DecodeError> {
        const INVALID: DecodeError = DecodeError::Invalid { field: "count" };
        let before = self.rest.len();
        let count = prost::decode_length_delimiter(&mut self.rest).map_err(|_| INVALID)?;
        let read = before.saturating_sub(self.rest.len());
        if read == prost::length_delimiter_len(count) { Ok(count) } else { Err(INVALID) }
    }

    fn entry(&mut self, version: u8) -> Result<(ServiceId, Option<SentRecipient>), DecodeError> {
        let service_id = self.service_id(version)?;
        let mut devices = Vec::new();
        loop {
            let device = self.byte()?;
            if device == NO_DEVICES && devices.is_empty() {
                return Ok((service_id, None));
            }
            let device = DeviceId::new(device.into()).map_err(|_| DecodeError::Invalid { field: "device_id" })?;
            let word = u16::from_be_bytes(self.take()?);
            devices.push((device, RegistrationId((word & REGISTRATION_ID).into())));
            if word & ANOTHER_DEVICE_FOLLOWS == 0 {
                break;
            }
        }
        let header = Header::from_bytes(self.take()?);
        Ok((service_id, Some(SentRecipient { service_id, devices, header })))
    }

    fn service_id(&mut self, version: u8) -> Result<ServiceId, DecodeError> {
        if version == LEGACY_VERSION {
            return self.take().map(ServiceId::aci);
        }
        ServiceId::from_fixed_width(&self.take()?).ok_or(DecodeError::Invalid { field: "service_id" })
    }
}
