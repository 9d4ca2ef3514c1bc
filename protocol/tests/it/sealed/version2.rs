//! Version 2: many recipients (spec §8.5 to §8.8).

use waxwing_protocol::sealed::{Header, NotAddressed, OpenError, Recipient, SealError, SealedMessage, SentMessage};
use waxwing_protocol::{DecodeError, DeviceId, IdentityKeyPair, RegistrationId, ServiceId, ServiceIdKind};

use super::scene::{EXPIRES, Scene, bob, received, varint};

fn devices(list: &[(u32, u32)]) -> Vec<(DeviceId, RegistrationId)> {
    list.iter().map(|(device, id)| (DeviceId::new(*device).unwrap(), RegistrationId(*id))).collect()
}

fn aci(n: u8) -> ServiceId {
    ServiceId::aci([n; 16])
}

#[test]
fn each_recipient_opens_with_its_own_header_and_no_other() {
    let mut scene = Scene::new(1);
    let keys: Vec<_> = (0..40).map(|_| IdentityKeyPair::generate(&mut scene.rng)).collect();
    let public: Vec<_> = keys.iter().map(|pair| *pair.public_key()).collect();
    let mut rng = scene.rng.clone();
    let fan_out = scene.content(b"to many").seal_fan_out(&scene.alice, &public, &mut rng).unwrap();
    assert_eq!(fan_out.headers().len(), 40);
    for (index, key) in keys.iter().enumerate() {
        let sealed = received(&fan_out.envelope(index).unwrap());
        let opened = SealedMessage::decode(&sealed).unwrap().open(key).unwrap();
        assert_eq!(opened.verify(&scene.trust(), EXPIRES, bob()).unwrap().message(), b"to many");
        let other = received(&fan_out.envelope((index + 1) % 40).unwrap());
        assert_eq!(SealedMessage::decode(&other).unwrap().open(key), Err(OpenError::Forged));
    }
    assert_eq!(fan_out.envelope(40), None);
}

/// Forty recipients are sealed on several threads, each alone on one: the same random bytes lead to the same headers.
#[test]
fn many_at_once_and_one_by_one_give_the_same_bytes() {
    let mut scene = Scene::new(2);
    let keys: Vec<_> = (0..40).map(|_| *IdentityKeyPair::generate(&mut scene.rng).public_key()).collect();
    let (content, rng) = (scene.content(b"m"), &scene.rng);
    let together = content.seal_fan_out(&scene.alice, &keys, &mut rng.clone()).unwrap();
    for (key, header) in keys.iter().zip(together.headers()) {
        let alone = content.seal_fan_out(&scene.alice, &[*key], &mut rng.clone()).unwrap();
        assert_eq!((alone.shared(), alone.headers()), (together.shared(), [*header].as_slice()));
    }
}

/// Spec §8.10: of the received form only the version's low nibble is free; of an envelope nothing.
#[test]
fn every_bit_but_the_version_s_low_nibble_is_covered() {
    let scene = Scene::new(3);
    let content = scene.content(b"message");
    let fan_out = content.seal_fan_out(&scene.alice, &[*scene.bob.public_key()], &mut scene.rng.clone()).unwrap();
    let sealed = received(&fan_out.envelope(0).unwrap());
    let mut free = Vec::new();
    for bit in 0..sealed.len() * 8 {
        let mut forged = sealed.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        if SealedMessage::decode(&forged).is_ok_and(|message| message.open(&scene.bob).is_ok()) {
            free.push(bit);
        }
    }
    assert_eq!(free, [0, 1, 2, 3]);
}

#[test]
fn whatever_is_truncated_or_extended_is_refused() {
    let scene = Scene::new(4);
    let content = scene.content(b"message");
    let fan_out = content.seal_fan_out(&scene.alice, &[*scene.bob.public_key()], &mut scene.rng.clone()).unwrap();
    let sealed = received(&fan_out.envelope(0).unwrap());
    for len in 0..sealed.len() {
        let opened = SealedMessage::decode(&sealed[..len]).map(|message| message.open(&scene.bob));
        assert!(!matches!(opened, Ok(Ok(_))), "{len}");
    }
    let longer = [&sealed[..], &[0]].concat();
    assert_eq!(scene.open(&longer), Err(OpenError::Forged));
    for version in [0x30, 0x44, 0xF2] {
        let outcome = SealedMessage::decode(&[&[version], &sealed[1..]].concat());
        assert_eq!(outcome, Err(DecodeError::UnknownVersion { got: version >> 4 }));
    }
}

#[test]
fn the_sent_form_says_who_gets_it_and_a_server_can_take_it_apart() {
    let mut scene = Scene::new(5);
    let carol = IdentityKeyPair::generate(&mut scene.rng);
    let pni = ServiceId { kind: ServiceIdKind::Pni, uuid: [3; 16] };
    let (at_bob, at_carol) = (devices(&[(1, 0), (2, 0x3FFF), (127, 5)]), devices(&[(3, 77)]));
    let recipients = [
        Recipient { service_id: aci(2), identity_key: *scene.bob.public_key(), devices: &at_bob },
        Recipient { service_id: pni, identity_key: *carol.public_key(), devices: &at_carol },
    ];
    let content = scene.content(b"sent");
    let sent = content.seal_sent(&scene.alice, &recipients, &[aci(9), aci(8)], &mut scene.rng.clone()).unwrap();
    assert_eq!(sent[..2], [0x23, 4]);
    let read = SentMessage::decode(&sent).unwrap();
    assert_eq!(read.excluded(), [aci(9), aci(8)]);
    assert_eq!(read.recipients().len(), 2);
    assert_eq!((read.recipients()[0].service_id, &read.recipients()[0].devices), (aci(2), &at_bob));
    assert_eq!((read.recipients()[1].service_id, &read.recipients()[1].devices), (pni, &at_carol));
    for (account, key) in [(aci(2), &scene.bob), (pni, &carol)] {
        let received = read.received_by(account).unwrap();
        let opened = SealedMessage::decode(&received).unwrap().open(key).unwrap();
        assert_eq!(opened.verify(&scene.trust(), EXPIRES, bob()).unwrap().message(), b"sent");
    }
    assert_eq!(read.received_by(aci(9)), Err(NotAddressed::Excluded));
    assert_eq!(read.received_by(aci(3)), Err(NotAddressed::Unknown));

    // The split that relays take carries the same bytes: only what names people is missing.
    let keys = [*scene.bob.public_key(), *carol.public_key()];
    let fan_out = content.seal_fan_out(&scene.alice, &keys, &mut scene.rng.clone()).unwrap();
    assert_eq!(read.shared(), fan_out.shared());
    assert_eq!(read.received_by(pni).unwrap(), received(&fan_out.envelope(1).unwrap()));
}

#[test]
fn recipients_that_the_sent_form_cannot_name_are_refused() {
    let scene = Scene::new(6);
    let (one, none, twice, wide) =
        (devices(&[(1, 1)]), devices(&[]), devices(&[(1, 1), (2, 1), (1, 2)]), devices(&[(1, 1), (2, 0x4000)]));
    let key = *scene.bob.public_key();
    let to = |account, devices| Recipient { service_id: aci(account), identity_key: key, devices };
    let cases = [
        (vec![to(2, &none)], vec![], SealError::NoDevices { index: 0 }),
        (vec![to(2, &one), to(3, &twice)], vec![], SealError::RepeatedDevice { index: 1, device: 1 }),
        (vec![to(2, &wide)], vec![], SealError::RegistrationId { index: 0, got: 0x4000 }),
        (vec![to(2, &one), to(2, &one)], vec![], SealError::RepeatedRecipient { index: 1 }),
        (vec![to(2, &one)], vec![aci(2)], SealError::RepeatedRecipient { index: 1 }),
        (vec![to(2, &one)], vec![aci(3), aci(3)], SealError::RepeatedRecipient { index: 2 }),
    ];
    for (recipients, excluded, error) in cases {
        let outcome = scene.content(b"m").seal_sent(&scene.alice, &recipients, &excluded, &mut scene.rng.clone());
        assert_eq!(outcome, Err(error));
    }
    let nobody = scene.content(b"m").seal_sent(&scene.alice, &[], &[aci(1)], &mut scene.rng.clone()).unwrap();
    assert_eq!(SentMessage::decode(&nobody).unwrap().excluded(), [aci(1)]);
}

/// One entry of a sent form by hand.
fn entry(account: u8, devices: &[(u8, u16)], header: u8) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend([account; 16]);
    for (at, (device, id)) in devices.iter().enumerate() {
        bytes.push(*device);
        bytes.extend((id | if at + 1 < devices.len() { 0x8000 } else { 0 }).to_be_bytes());
    }
    match devices {
        [] => bytes.push(0),
        _ => bytes.extend([header; 48]),
    }
    bytes
}

fn form(version: u8, count: u64, entries: &[Vec<u8>], shared: usize) -> Vec<u8> {
    [vec![version], varint(count), entries.concat(), vec![7; shared]].concat()
}

/// What the official library's parser does with these, all versions (found by trial).
#[test]
fn the_sent_form_is_read_as_the_official_library_reads_it() {
    let one = entry(1, &[(1, 5)], 1);
    let read = |bytes: &[u8]| SentMessage::decode(bytes).map(|sent| sent.recipients().to_vec());
    let repeated = form(0x23, 2, &[one.clone(), entry(1, &[(2, 6)], 9)], 32);
    let recipients = read(&repeated).unwrap();
    assert_eq!(recipients.len(), 1);
    assert_eq!(recipients[0].devices, devices(&[(1, 5), (2, 6)]));
    assert_eq!(recipients[0].header, Header::from_bytes([1; 48]), "the first header counts");
    assert_eq!(read(&form(0x23, 1, &[entry(1, &[(1, 0x4005)], 1)], 32)).unwrap()[0].devices, devices(&[(1, 5)]));
    assert_eq!(read(&form(0x23, 0, &[], 32)), Ok(vec![]));

    let repeats = DecodeError::Invalid { field: "recipient" };
    let none = entry(1, &[], 0);
    for entries in [[one.clone(), none.clone()], [none.clone(), one.clone()], [none.clone(), none.clone()]] {
        assert_eq!(read(&form(0x23, 2, &entries, 32)), Err(repeats));
    }
    let too_short = |bytes: Vec<u8>| assert_eq!(read(&bytes), Err(DecodeError::TooShort { got: bytes.len() }));
    too_short(form(0x23, 1, std::slice::from_ref(&one), 31));
    too_short(form(0x23, u64::from(u32::MAX), std::slice::from_ref(&one), 7));
    for device in [128, 255] {
        let bytes = form(0x23, 1, &[entry(1, &[(device, 5)], 1)], 32);
        assert_eq!(read(&bytes), Err(DecodeError::Invalid { field: "device_id" }));
    }
    let bytes = form(0x23, 1, &[entry(1, &[(1, 5), (0, 5)], 1)], 32);
    assert_eq!(read(&bytes), Err(DecodeError::Invalid { field: "device_id" }));
    let mut kind = form(0x23, 1, std::slice::from_ref(&one), 32);
    kind[2] = 2;
    assert_eq!(read(&kind), Err(DecodeError::Invalid { field: "service_id" }));
    for version in [0x20, 0x21, 0x24, 0x33, 0x11] {
        assert_eq!(
            read(&form(version, 1, std::slice::from_ref(&one), 32)),
            Err(DecodeError::UnknownVersion { got: version })
        );
    }
    // The library reads a count that is not minimal, and goes on one byte too early.
    let padded = [vec![0x23, 0x81, 0x00], one.clone(), vec![7; 32]].concat();
    assert_eq!(read(&padded), Err(DecodeError::Invalid { field: "count" }));
    let endless = [vec![0x23], vec![0xFF; 10], one.clone()].concat();
    assert_eq!(read(&endless), Err(DecodeError::Invalid { field: "count" }));

    // The older form: bare UUIDs.
    let legacy = form(0x22, 2, &[one[1..].to_vec(), entry(2, &[], 0)[1..].to_vec()], 40);
    let sent = SentMessage::decode(&legacy).unwrap();
    assert_eq!((sent.recipients()[0].service_id, sent.excluded()), (aci(1), [aci(2)].as_slice()));
    assert_eq!(sent.shared(), [7; 40]);

    let long = vec![0x23; waxwing_protocol::sealed::MAX_SENT_LEN + 1];
    assert_eq!(read(&long), Err(DecodeError::TooLong { got: long.len() }));
}
