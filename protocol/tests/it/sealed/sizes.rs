//! Envelopes have one of six sizes (spec §8.8; ATTACKS D3).

use waxwing_protocol::sealed::{ContentKind, EnvelopeSize, Header, MAX_CONTENT_LEN, Padding, SealError, SealedMessage};
use waxwing_protocol::{DecodeError, IdentityKeyPair};

use super::scene::{EXPIRES, Scene, bob};

/// ATTACKS D3: every length that fits leads to exactly the size asked for, at every boundary of the padding's own length.
#[test]
fn d3_every_length_that_fits_an_envelope_fills_it_exactly() {
    let mut scene = Scene::new(1);
    let bob_key = *scene.bob.public_key();
    for size in EnvelopeSize::ALL {
        let target = |len: usize| scene.content(&vec![7; len]).unpadded_len();
        // Fields' lengths take more bytes as messages grow: search the longest message that fits.
        let longest = (0..=size.capacity()).rev().find(|len| target(*len) <= size.capacity()).unwrap();
        let interesting = [0, 1, 2, 3, 126, 127, 128, 129, 130, 131, 132, 133, 200, 300];
        let near_varint_growth = (16_370..16_395).map(|gap: usize| size.capacity().saturating_sub(gap));
        let lengths =
            interesting.iter().map(|gap| longest.saturating_sub(*gap)).chain(near_varint_growth).chain([0, 1]);
        for len in lengths.filter(|len| target(*len) <= size.capacity()).collect::<Vec<_>>() {
            let message = vec![7; len];
            let (certificate, mut rng) = (scene.certificate.clone(), scene.rng.clone());
            let content = waxwing_protocol::sealed::Content::new(&certificate, ContentKind::Signal, &message);
            let content = content.with_padding(Padding::To(size));
            let fan_out = content.seal_fan_out(&scene.alice, &[bob_key], &mut rng).unwrap();
            assert_eq!(fan_out.shared().len(), size.bytes() - Header::LEN, "{len} in {size:?}");
            let envelope = fan_out.envelope(0).unwrap();
            assert_eq!(envelope.len(), size.bytes());
            let opened = SealedMessage::from_envelope(&envelope).unwrap().open(&scene.bob).unwrap();
            let verified = opened.verify(&scene.trust(), EXPIRES, bob()).unwrap();
            assert_eq!(verified.message(), message, "{len} in {size:?}");
            scene.rng = rng;
        }
        let message = vec![7; longest + 1];
        let content = scene.content(&message).with_padding(Padding::To(size));
        let len = content.unpadded_len();
        assert_eq!(content.encode(), Err(SealError::TooLong { len, max: size.capacity() }));
        assert_eq!(len, size.capacity() + 1, "the limit is no shorter than it must be");
    }
}

/// ATTACKS D3: what differs between a receipt and a text is not how long their envelopes are.
#[test]
fn d3_a_receipt_and_a_text_have_the_same_size() {
    let scene = Scene::new(2);
    let mut rng = scene.rng.clone();
    let mut sizes = Vec::new();
    for message in [&[1_u8; 60][..], &[2; 900], &[3; 1_800]] {
        let content = scene.content(message);
        let size = EnvelopeSize::smallest_for(content.unpadded_len()).unwrap();
        let content = content.with_padding(Padding::To(size));
        let fan_out = content.seal_fan_out(&scene.alice, &[*scene.bob.public_key()], &mut rng).unwrap();
        sizes.push(fan_out.envelope(0).unwrap().len());
    }
    assert_eq!(sizes, [2_560; 3]);
}

#[test]
fn an_envelope_of_any_other_size_is_refused() {
    for len in [0, 2_559, 2_561, 4_095, 65_537] {
        let outcome = SealedMessage::from_envelope(&vec![0; len]);
        assert_eq!(outcome, Err(DecodeError::Invalid { field: "envelope" }), "{len}");
    }
}

#[test]
fn the_longest_content_seals_and_opens_in_every_form_and_one_byte_more_does_not() {
    let scene = Scene::new(3);
    let mut rng = scene.rng.clone();
    let overhead = scene.content(&[0; 200_000]).unpadded_len() - 200_000;
    let message = vec![1; MAX_CONTENT_LEN - overhead];
    let content = scene.content(&message);
    assert_eq!(content.unpadded_len(), MAX_CONTENT_LEN);
    let v1 = content.seal_v1(&scene.alice, scene.bob.public_key(), &mut rng).unwrap();
    let v2 = content.seal_fan_out(&scene.alice, &[*scene.bob.public_key()], &mut rng).unwrap();
    for sealed in [v1, super::scene::received(&v2.envelope(0).unwrap())] {
        assert!(sealed.len() <= waxwing_protocol::MAX_MESSAGE_LEN);
        assert!(scene.open(&sealed).is_ok());
    }
    let message = vec![1; message.len() + 1];
    let too_long = Err(SealError::TooLong { len: MAX_CONTENT_LEN + 1, max: MAX_CONTENT_LEN });
    assert_eq!(scene.content(&message).encode(), too_long);
    let bytes = vec![0x22; waxwing_protocol::MAX_MESSAGE_LEN + 1];
    assert_eq!(SealedMessage::decode(&bytes), Err(DecodeError::TooLong { got: bytes.len() }));
}

#[test]
fn every_upload_of_one_content_has_bytes_of_its_own() {
    let scene = Scene::new(4);
    let mut rng = scene.rng.clone();
    let keys: Vec<_> = (0..3).map(|_| *IdentityKeyPair::generate(&mut rng).public_key()).collect();
    let content = scene.content(b"m");
    let one = content.seal_fan_out(&scene.alice, &keys, &mut rng).unwrap();
    let two = content.seal_fan_out(&scene.alice, &keys, &mut rng).unwrap();
    assert_ne!(one.shared()[..32], two.shared()[..32]);
    assert!(one.shared().iter().zip(two.shared()).filter(|(a, b)| a == b).count() < one.shared().len() / 16);
    for (one, two) in one.headers().iter().zip(two.headers()) {
        assert_ne!(one.as_bytes()[..32], two.as_bytes()[..32]);
        assert_ne!(one.as_bytes()[32..], two.as_bytes()[32..]);
    }
}
