//! A15: somebody records the traffic today and breaks every Diffie-Hellman agreement later. PQXDH keeps the beginning secret;
//! the post-quantum ratchet keeps what follows secret even from somebody who learnt the session's keys once.

use waxwing_protocol::{Session, SignalMessage, Suite};

use crate::party::{Kyber, NOW, OneTime, Party, first_message, rng};

/// One conversation: the ciphertext of every message with the key epoch it is of, and the Double Ratchet's whole state after
/// each.
struct Run {
    ciphertexts: Vec<(u64, Vec<u8>)>,
    double_ratchets: Vec<Vec<u8>>,
}

/// All keys but those of the ratchet's KEM come from generators that are the same in every run.
fn run(kem_seed: u64) -> Run {
    crate::party::draw_from_the_start();
    let rng_of_keys = &mut rng(15);
    let kem = &mut rng(kem_seed);
    let (alice, bob) = (Party::new(1, rng_of_keys), Party::new(2, rng_of_keys));
    let mut at_alice = alice.initiate(&bob, Suite::Pqxdh, OneTime::With, rng_of_keys);
    let first = first_message(&mut at_alice, b"first");
    let (mut at_bob, _) = bob.join(&alice, &first, Kyber::OneTime, rng_of_keys).unwrap();
    let mut run = Run { ciphertexts: Vec::new(), double_ratchets: Vec::new() };
    for turn in 0..240 {
        let (from, to) = if turn % 2 == 0 { (&mut at_bob, &mut at_alice) } else { (&mut at_alice, &mut at_bob) };
        let message = from.seal(b"what is recorded", NOW, kem).unwrap().commit();
        let message = SignalMessage::decode(message.as_bytes()).unwrap();
        let opened = to.open(&message, &mut waxwing_protocol::Budget::default(), rng_of_keys).unwrap().commit();
        assert_eq!(opened, b"what is recorded");
        let key_epoch = u64::from(message.pq_ratchet().unwrap()[1]) - 1;
        run.ciphertexts.push((key_epoch, message.ciphertext().to_vec()));
        run.double_ratchets.extend([&at_alice, &at_bob].map(double_ratchet));
    }
    run
}

/// The state's record holds the Double Ratchet: root key, chain keys, ratchet keys.
fn double_ratchet(session: &Session) -> Vec<u8> {
    session.records().find(|(key, _)| key.as_bytes()[0] == b's').unwrap().1.to_vec()
}

/// Whoever breaks every Diffie-Hellman agreement, and even has every secret of the Double Ratchet at every moment, has the
/// same in both runs; but from the first epoch on no ciphertext is the same. So nothing of that opens them: what differs is
/// the KEM's secrets alone. (An epoch's chains that did without the KEM's secret would make all ciphertexts equal.)
#[test]
fn a15_the_double_ratchets_secrets_do_not_open_what_an_epoch_of_the_post_quantum_ratchet_protects() {
    let (one, other) = (run(1), run(2));
    assert_eq!(one.double_ratchets, other.double_ratchets);
    let mut newest = 0;
    for ((epoch, one), (other_epoch, other)) in one.ciphertexts.iter().zip(&other.ciphertexts) {
        assert_eq!(epoch, other_epoch);
        assert_eq!(one == other, *epoch == 0, "key epoch {epoch}");
        newest = newest.max(*epoch);
    }
    assert!(newest >= 2, "only epoch {newest} was reached");
}
