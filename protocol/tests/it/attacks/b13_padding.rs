//! B13: an oracle for CBC padding. The MAC is looked at first, and what fails afterwards fails alike. (That it also takes the
//! same time is measured elsewhere, once there is a harness for it.)

use waxwing_protocol::{AcceptError, OpenError, PreKeySignalMessage, SignalMessage, Suite};

use crate::initiator::Initiator;
use crate::party::{Kyber, OneTime, Party, open, rng};
use crate::proto::{Framed, last_bytes};

/// Ciphertexts that decrypt to no padded plaintext, or are none.
fn bad_blocks() -> Vec<(&'static str, Vec<u8>)> {
    let block = |end: &[u8]| [&vec![0x41; 16 - end.len()][..], end].concat();
    vec![
        ("padding of zero", block(&[0])),
        ("padding of seventeen", block(&[17])),
        ("padding of 255", block(&[255])),
        ("padding that is not all the same", block(&[3, 2, 3])),
        ("padding that begins a byte late", block(&[5, 4, 4, 4])),
        (
            "a whole block of padding, one byte off",
            block(&[15; 16].map(|_| 16)).iter().skip(1).chain(&[15]).copied().collect(),
        ),
        ("two blocks with bad padding at the end", [block(&[1]), block(&[9])].concat()),
    ]
}

#[test]
fn b13_wrong_padding_under_a_right_mac_and_a_wrong_mac_are_the_same_error() {
    for suite in [Suite::X3dh, Suite::Pqxdh] {
        let rng = &mut rng(1);
        let (alice, bob) = (Party::without_post_quantum_ratchet(1, rng), Party::without_post_quantum_ratchet(2, rng));
        let mut initiator = Initiator::new(&alice, &bob, suite, OneTime::With, rng);

        // As a first message: the agreement succeeds, the MAC is right, the padding is not.
        for (name, blocks) in bad_blocks() {
            let mut initiator = Initiator::new(&alice, &bob, suite, OneTime::With, rng);
            let signal = initiator.signal_of(|keys| keys.encrypt_blocks(&blocks));
            let message = PreKeySignalMessage::decode(&initiator.wrap(&signal)).unwrap();
            let refused = bob.join(&alice, &message, Kyber::OneTime, rng).unwrap_err();
            assert_eq!(refused, AcceptError::Open(OpenError::Forged), "{name}");
        }

        let first = PreKeySignalMessage::decode(&initiator.first_message(b"hello")).unwrap();
        let (mut at_bob, _) = bob.join(&alice, &first, Kyber::OneTime, rng).unwrap();
        let chain = (initiator.chain_key, initiator.counter);
        let mut next = |ciphertext: &dyn Fn(&crate::initiator::Keys) -> Vec<u8>| {
            (initiator.chain_key, initiator.counter) = chain;
            initiator.signal_of(|keys| ciphertext(keys))
        };
        for (name, blocks) in bad_blocks() {
            let message = SignalMessage::decode(&next(&|keys| keys.encrypt_blocks(&blocks))).unwrap();
            assert_eq!(open(&mut at_bob, &message, rng).unwrap_err(), OpenError::Forged, "{name}");
        }
        for len in [0, 1, 15, 17, 31, 33] {
            let message = SignalMessage::decode(&next(&|_| vec![0x41; len])).unwrap();
            assert_eq!(open(&mut at_bob, &message, rng).unwrap_err(), OpenError::Forged, "{len} bytes of ciphertext");
        }
        // Any single byte of an honest ciphertext, the padding's included.
        let honest = next(&|keys| keys.encrypt(b"thirteen byte"));
        let framed = Framed::read(&honest, 8).unwrap();
        let ciphertext = last_bytes(&framed.fields, 4);
        assert_eq!(ciphertext.len(), 16);
        for position in 0..ciphertext.len() {
            for mask in 1..=255 {
                let mut spoiled = ciphertext.to_vec();
                spoiled[position] ^= mask;
                let message = SignalMessage::decode(&framed.with(4, &spoiled).write()).unwrap();
                assert_eq!(
                    open(&mut at_bob, &message, rng).unwrap_err(),
                    OpenError::Forged,
                    "byte {position} ^ {mask:#04x}"
                );
            }
        }
        let honest = SignalMessage::decode(&honest).unwrap();
        assert_eq!(open(&mut at_bob, &honest, rng).unwrap(), b"thirteen byte");
    }
}
