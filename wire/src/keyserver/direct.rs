//! A reply with bundles, written and read in place. Implements spec/13-frames.md §13.4 for spec/15-keyserver-messages.md §15.5.4.
//!
//! It is the longest reply and the one that a key server gives most often; by way of prost's structs each of its objects is copied four
//! times. Invariants: what is written is what prost would write; what is read has passed the same scans; whatever is not as usual
//! is left to the usual way ([`message`]), and so are all errors.
use alloc::vec::Vec;

use super::{AccountObjects, BUNDLES, Bundle, Bundles, KeyserverReply, Reply};
use crate::{
    canonical::{self, Described as _, Mode},
    frame::padded,
    message::{Broken, DecodeError, FromWire as _, ToWire as _},
    proto::keyserver as proto,
    relay::RequestId,
};

/// None: it cannot be encoded, and [`crate::message::encode`] says why.
pub(super) fn encode(id: RequestId, bundles: &Bundles) -> Option<Vec<u8>> {
    let length = bundles_length(bundles);
    let size = padded::size_for(length.checked_add(padded::PREFIX)?, BUNDLES)?;
    let id = usize::try_from(id.to_wire()).ok()?;
    let mut out = Vec::with_capacity(size.checked_add(MOST_HEAD)?);
    out.push(ID);
    number(&mut out, id)?;
    out.push(PART);
    number(&mut out, size)?;
    let end = out.len().checked_add(size)?;
    out.extend_from_slice(&u32::try_from(length).ok()?.to_be_bytes());
    let begin = out.len();
    write_bundles(&mut out, bundles)?;
    let message = out.get(begin..).filter(|message| message.len() == length)?;
    canonical::scan(message, proto::Bundles::SCHEMA, Mode::Strict).ok()?;
    out.resize(end, 0);
    Some(out)
}

/// None: it is another reply, or none.
pub(super) fn decode(bytes: &[u8]) -> Option<Result<Reply, DecodeError>> {
    let mut rest = bytes.strip_prefix(&[ID])?;
    let id = u32::try_from(prost::decode_length_delimiter(&mut rest).ok()?).ok()?;
    let mut part = rest.strip_prefix(&[PART])?;
    let length = prost::decode_length_delimiter(&mut part).ok()?;
    if part.len() != length {
        return None;
    }
    if let Err(error) = canonical::scan(bytes, proto::Reply::SCHEMA, Mode::Strict) {
        return Some(Err(error.into()));
    }
    Some(reply(id, part).map_err(Broken::into_error))
}

fn reply(id: u32, part: &[u8]) -> Result<Reply, Broken> {
    let id = RequestId::from_wire(id).map_err(|broken| broken.at("Reply", "id"))?;
    let bundles = padded::unwrap::<proto::Bundles, _>(part, BUNDLES).map_err(|broken| broken.at("Reply", "body"))?;
    Ok(Reply { id, result: Ok(KeyserverReply::Bundles(bundles)) })
}

fn write_bundles(out: &mut Vec<u8>, bundles: &Bundles) -> Option<()> {
    let Bundles { account, bundles } = bundles;
    out.push(ACCOUNT);
    number(out, account_length(account))?;
    let AccountObjects { recovery_key, statement, manifest } = account;
    object(out, RECOVERY_KEY, recovery_key)?;
    object(out, STATEMENT, statement)?;
    object(out, MANIFEST, manifest)?;
    for bundle in bundles {
        out.push(BUNDLE);
        number(out, bundle_length(bundle))?;
        let Bundle { device, signed, one_time, kyber, last_resort } = bundle;
        out.push(DEVICE);
        number(out, device.value().into())?;
        object(out, SIGNED, signed)?;
        if let Some(one_time) = one_time {
            out.push(ONE_TIME);
            number(out, one_time.len())?;
            out.extend_from_slice(one_time);
        }
        object(out, KYBER, kyber)?;
        if *last_resort {
            out.extend_from_slice(&[LAST_RESORT, 1]);
        }
    }
    Some(())
}

fn bundles_length(bundles: &Bundles) -> usize {
    bundles.bundles.iter().map(bundle_length).chain([account_length(&bundles.account)]).map(delimited).fold(0, add)
}

fn account_length(account: &AccountObjects) -> usize {
    let AccountObjects { recovery_key, statement, manifest } = account;
    [recovery_key.as_slice(), statement, manifest].map(object_length).into_iter().fold(0, add)
}

fn bundle_length(bundle: &Bundle) -> usize {
    let Bundle { device, signed, one_time, kyber, last_resort } = bundle;
    let device = prost::length_delimiter_len(device.value().into()).saturating_add(1);
    let one_time = one_time.as_ref().map_or(0, |one_time| delimited(one_time.len()));
    [device, object_length(signed), one_time, object_length(kyber), if *last_resort { 2 } else { 0 }]
        .into_iter()
        .fold(0, add)
}

/// What is empty is not written; where it must not be, the scan says so.
fn object(out: &mut Vec<u8>, key: u8, bytes: &[u8]) -> Option<()> {
    if !bytes.is_empty() {
        out.push(key);
        number(out, bytes.len())?;
        out.extend_from_slice(bytes);
    }
    Some(())
}

fn object_length(bytes: &[u8]) -> usize {
    if bytes.is_empty() { 0 } else { delimited(bytes.len()) }
}

/// A field of so many bytes, with its key and length.
fn delimited(length: usize) -> usize {
    prost::length_delimiter_len(length).saturating_add(length).saturating_add(1)
}

/// As protobuf writes lengths and numbers alike.
fn number(out: &mut Vec<u8>, number: usize) -> Option<()> {
    prost::encode_length_delimiter(number, out).ok()
}

fn add(one: usize, two: usize) -> usize {
    one.saturating_add(two)
}

const fn key(field: u8, wire: u8) -> u8 {
    field << 3 | wire
}

const VARINT: u8 = 0;
const LEN: u8 = 2;

// The numbers of keyserver.proto.
const ID: u8 = key(1, VARINT);
const PART: u8 = key(9, LEN);
const ACCOUNT: u8 = key(1, LEN);
const BUNDLE: u8 = key(2, LEN);
const RECOVERY_KEY: u8 = key(1, LEN);
const STATEMENT: u8 = key(2, LEN);
const MANIFEST: u8 = key(3, LEN);
const DEVICE: u8 = key(1, VARINT);
const SIGNED: u8 = key(2, LEN);
const ONE_TIME: u8 = key(3, LEN);
const KYBER: u8 = key(4, LEN);
const LAST_RESORT: u8 = key(5, VARINT);

/// Both keys and both numbers before a padded part, at the most.
const MOST_HEAD: usize = 12;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a panic is the report")]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::{id::DeviceId, message};

    fn sample(id: u32, statement: usize, manifest: usize, bundles: &[(usize, Option<usize>, usize, bool)]) -> Reply {
        let bundle =
            |(at, (signed, one_time, kyber, last_resort)): (usize, &(usize, Option<usize>, usize, bool))| Bundle {
                device: DeviceId::try_from(u32::try_from(1 + 7 * at).unwrap()).unwrap(),
                signed: vec![2; *signed],
                one_time: one_time.map(|one_time| vec![3; one_time]),
                kyber: vec![4; *kyber],
                last_resort: *last_resort,
            };
        let bundles = Bundles {
            account: AccountObjects {
                recovery_key: [1; 32],
                statement: vec![8; statement],
                manifest: vec![9; manifest],
            },
            bundles: bundles.iter().enumerate().map(bundle).collect(),
        };
        Reply { id: RequestId::new(id).unwrap(), result: Ok(KeyserverReply::Bundles(bundles)) }
    }

    fn samples() -> Vec<Reply> {
        let usual = (231, Some(158), 1_906, false);
        let mut samples = vec![
            sample(1, 171, 700, &[]),
            sample(127, 1, 1, &[(1, None, 1, true)]),
            sample(128, 1_100, 16_460, &[usual; 16]),
            sample(u32::MAX, 171, 717, &[usual, (231, None, 1_906, false), (127, Some(128), 2_130, true)]),
        ];
        // Around each of the padded sizes.
        for manifest in 1_600..1_900 {
            samples.push(sample(300, 171, manifest, &[usual]));
            samples.push(sample(300, 171, manifest + 3_000, &[usual; 3]));
        }
        // What no decoder accepts.
        samples.extend([
            sample(1, 0, 717, &[usual]),
            sample(1, 171, 0, &[usual]),
            sample(1, 1_101, 717, &[usual]),
            sample(1, 171, 16_461, &[usual]),
            sample(1, 171, 717, &[usual; 17]),
            sample(1, 171, 717, &[(0, None, 1_906, false)]),
            sample(1, 171, 717, &[(231, None, 0, false)]),
            sample(1, 171, 717, &[(231, Some(2_131), 1_906, false)]),
            sample(1, 171, 717, &[(231, Some(0), 1_906, false)]),
        ]);
        samples
    }

    #[test]
    fn a_reply_is_written_as_prost_writes_it_or_not_at_all() {
        let (mut same, mut refused) = (0, 0);
        for reply in samples() {
            let Ok(KeyserverReply::Bundles(bundles)) = &reply.result else { continue };
            let usual = message::encode::<proto::Reply, Reply>(&reply);
            match (encode(reply.id, bundles), usual) {
                (Some(direct), Ok(usual)) => {
                    assert_eq!(direct, usual);
                    assert_eq!(decode(&direct), Some(Ok(reply)));
                    same += 1;
                }
                (None, Err(_)) => refused += 1,
                (direct, usual) => panic!("{direct:?} {usual:?}"),
            }
        }
        assert!(same > 600 && refused >= 7, "{same} {refused}");
    }

    #[test]
    fn a_reply_that_is_broken_anywhere_is_read_as_prost_reads_it() {
        let reply = sample(300, 30, 30, &[(20, Some(10), 30, false), (10, None, 30, true)]);
        let good = reply.encode().unwrap();
        let used = 4 + 2 + 4 + 250;
        let mut direct = 0;
        for place in (0..used).chain(good.len() - 3..good.len()) {
            for change in [1, 2, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[place] ^= change;
                let usual = message::decode::<proto::Reply, Reply>(&bytes);
                if let Some(read) = decode(&bytes) {
                    assert_eq!(read, usual, "{place} {change}");
                    direct += 1;
                }
                assert_eq!(Reply::decode(&bytes), usual);
            }
        }
        assert!(direct > 500, "{direct}");
        for length in (0..40).chain(good.len() - 3..good.len()) {
            assert_eq!(Reply::decode(&good[..length]), message::decode::<proto::Reply, Reply>(&good[..length]));
        }
        let longer = [good.as_slice(), &[0x52, 0]].concat();
        assert_eq!(Reply::decode(&longer), message::decode::<proto::Reply, Reply>(&longer));
    }
}
