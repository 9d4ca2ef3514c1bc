//! Who a message is from and to: service ids, device ids, registration ids (spec §1.7).

use alloc::string::String;

use thiserror::Error;

/// A device of an account: 1 to 127 (spec §1.7).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DeviceId(u8);

/// A device id outside 1 to 127.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("device id {got} is not in 1..=127")]
pub struct DeviceIdError {
    /// The number that came.
    pub got: u32,
}

impl DeviceId {
    /// Checks the range.
    ///
    /// # Errors
    /// [`DeviceIdError`] outside 1 to 127.
    pub fn new(id: u32) -> Result<Self, DeviceIdError> {
        match u8::try_from(id) {
            Ok(id @ 1..=127) => Ok(Self(id)),
            _ => Err(DeviceIdError { got: id }),
        }
    }

    /// The number, 1 to 127.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// The random number that a device draws when it registers, so that peers notice a reinstallation (spec §1.7).
///
/// Any `u32` is accepted from peers; ours have 14 bits because sealed sender v2 carries no more.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RegistrationId(pub u32);

impl RegistrationId {
    /// Draws one from 1 to 16,383.
    #[must_use]
    pub fn generate(rng: &mut impl rand_core::CryptoRng) -> Self {
        loop {
            let id = rng.next_u32() & 0x3FFF;
            if id != 0 {
                return Self(id);
            }
        }
    }
}

/// Which of an account's two identities is meant (spec §1.7).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ServiceIdKind {
    /// The account itself; 0x00 on the wire.
    Aci,
    /// The account as its phone number; 0x01 on the wire.
    Pni,
}

/// An account's id on the wire: kind and UUID, 17 bytes in fixed-width form (spec §1.7).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ServiceId {
    /// Which identity of the account.
    pub kind: ServiceIdKind,
    /// The UUID's 16 bytes, big-endian as RFC 9562 prints them.
    pub uuid: [u8; 16],
}

impl ServiceId {
    /// An account's main identity.
    #[must_use]
    pub const fn aci(uuid: [u8; 16]) -> Self {
        Self { kind: ServiceIdKind::Aci, uuid }
    }

    /// The fixed-width form: kind ‖ UUID, 17 bytes (spec §1.7).
    #[must_use]
    pub fn to_fixed_width(self) -> [u8; 17] {
        let kind = match self.kind {
            ServiceIdKind::Aci => 0,
            ServiceIdKind::Pni => 1,
        };
        let mut bytes = [kind; 17];
        let [_, uuid @ ..] = &mut bytes;
        *uuid = self.uuid;
        bytes
    }

    /// Parses the fixed-width form.
    pub(crate) fn from_fixed_width(bytes: &[u8; 17]) -> Option<Self> {
        let [kind, uuid @ ..] = *bytes;
        let kind = match kind {
            0 => ServiceIdKind::Aci,
            1 => ServiceIdKind::Pni,
            _ => return None,
        };
        Some(Self { kind, uuid })
    }

    /// The string form: a lower-case hyphenated UUID, `PNI:` before it for a PNI (spec §1.7).
    #[must_use]
    pub fn to_text(self) -> String {
        let mut text = String::from(match self.kind {
            ServiceIdKind::Aci => "",
            ServiceIdKind::Pni => PNI,
        });
        for (at, byte) in self.uuid.iter().enumerate() {
            if HYPHENS_BEFORE.contains(&at) {
                text.push('-');
            }
            text.extend([byte >> 4, byte & 0x0F].map(|digit| char::from_digit(digit.into(), 16).unwrap_or_default()));
        }
        text
    }

    /// Parses the string form, digits of either case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, text) = match text.strip_prefix(PNI) {
            Some(rest) => (ServiceIdKind::Pni, rest),
            None => (ServiceIdKind::Aci, text),
        };
        let mut digits = text.bytes();
        let mut uuid = [0; 16];
        for (at, byte) in uuid.iter_mut().enumerate() {
            if HYPHENS_BEFORE.contains(&at) && digits.next() != Some(b'-') {
                return None;
            }
            for _ in 0..2 {
                let digit = char::from(digits.next()?).to_digit(16)?;
                *byte = (*byte << 4) | u8::try_from(digit).ok()?;
            }
        }
        digits.next().is_none().then_some(Self { kind, uuid })
    }
}

/// What the string form of a PNI begins with.
const PNI: &str = "PNI:";
/// The bytes of a UUID that a hyphen stands before.
const HYPHENS_BEFORE: [usize; 4] = [4, 6, 8, 10];

/// A device of an account, as both sides must name it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DeviceAddress {
    /// The account.
    pub service_id: ServiceId,
    /// Its device.
    pub device_id: DeviceId,
}

/// Who a session is between. With it, the first messages carry both addresses under their MAC (spec §4.6), so that a
/// server which delivers a message to the wrong account or device is found out.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SessionAddresses {
    /// Our own device.
    pub local: DeviceAddress,
    /// The peer's.
    pub remote: DeviceAddress,
}

impl SessionAddresses {
    /// The value of the field when we send: sender ‖ recipient, 36 bytes.
    pub(crate) fn sending(&self) -> [u8; 36] {
        addresses_field(self.local, self.remote)
    }

    /// The value that the field must have when the peer sends.
    pub(crate) fn receiving(&self) -> [u8; 36] {
        addresses_field(self.remote, self.local)
    }
}

impl SessionAddresses {
    /// For our own records: local ‖ remote, 36 bytes.
    pub(crate) fn to_record(self) -> [u8; 36] {
        addresses_field(self.local, self.remote)
    }

    pub(crate) fn from_record(record: &[u8; 36]) -> Option<Self> {
        let (local, remote) = record.split_at(18);
        Some(Self { local: DeviceAddress::from_record(local)?, remote: DeviceAddress::from_record(remote)? })
    }
}

impl DeviceAddress {
    fn from_record(record: &[u8]) -> Option<Self> {
        let [service_id @ .., device_id] = record else { return None };
        let service_id = ServiceId::from_fixed_width(service_id.try_into().ok()?)?;
        Some(Self { service_id, device_id: DeviceId::new((*device_id).into()).ok()? })
    }
}

fn addresses_field(sender: DeviceAddress, recipient: DeviceAddress) -> [u8; 36] {
    let mut field = [0; 36];
    let (from, to) = field.split_at_mut(18);
    for (half, address) in [(from, sender), (to, recipient)] {
        let (service_id, device_id) = half.split_at_mut(17);
        service_id.copy_from_slice(&address.service_id.to_fixed_width());
        device_id.copy_from_slice(&[address.device_id.get()]);
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_ids_are_1_to_127() {
        for id in [0, 128, 255, 256, u32::MAX] {
            assert_eq!(DeviceId::new(id), Err(DeviceIdError { got: id }));
        }
        assert_eq!(DeviceId::new(1).unwrap().get(), 1);
        assert_eq!(DeviceId::new(127).unwrap().get(), 127);
    }

    #[test]
    fn service_ids_have_one_string_form_and_parse_it_in_either_case() {
        let uuid = "9d0652a3-dcc3-4d11-975f-74d61598733f";
        let aci = ServiceId::parse(uuid).unwrap();
        assert_eq!((aci.kind, aci.uuid[0], aci.uuid[15]), (ServiceIdKind::Aci, 0x9D, 0x3F));
        assert_eq!(aci.to_text(), uuid);
        assert_eq!(ServiceId::parse(&uuid.to_uppercase()), Some(aci));
        let pni = ServiceId::parse(&alloc::format!("PNI:{uuid}")).unwrap();
        assert_eq!((pni.kind, pni.uuid), (ServiceIdKind::Pni, aci.uuid));
        assert_eq!(pni.to_text(), alloc::format!("PNI:{uuid}"));
        for id in [aci, pni] {
            assert_eq!(ServiceId::from_fixed_width(&id.to_fixed_width()), Some(id));
        }
        let short = &uuid[1..];
        let without_hyphens = uuid.replace('-', "");
        let misplaced = "9d0652a3d-cc3-4d11-975f-74d61598733f";
        let with_more = alloc::format!("{uuid}0");
        for bad in
            ["", "alice", short, &without_hyphens, misplaced, &with_more, "pni:9d0652a3-dcc3-4d11-975f-74d61598733f"]
        {
            assert_eq!(ServiceId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_addresses_field_is_sender_then_recipient() {
        let local = DeviceAddress { service_id: ServiceId::aci([0xAA; 16]), device_id: DeviceId(3) };
        let remote = DeviceAddress {
            service_id: ServiceId { kind: ServiceIdKind::Pni, uuid: [0xBB; 16] },
            device_id: DeviceId(127),
        };
        let addresses = SessionAddresses { local, remote };
        let mut expected = alloc::vec![0x00];
        expected.extend([0xAA; 16]);
        expected.extend([3, 0x01]);
        expected.extend([0xBB; 16]);
        expected.push(127);
        assert_eq!(addresses.sending()[..], expected);
        assert_eq!(SessionAddresses { local: remote, remote: local }.receiving()[..], expected);
    }
}
