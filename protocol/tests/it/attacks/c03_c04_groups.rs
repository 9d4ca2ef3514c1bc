//! C3 and C4: what a removed member still reads, and whether a member can write as another (spec §7.3, §7.5).

use waxwing_protocol::{GroupOpenError, SenderKey, SenderKeyMessage};

use crate::group::{GROUP, Member, seal};
use crate::party::rng;

/// ATTACKS C3, protocol part: after the others' sender keys were replaced, a removed member opens none of the later
/// messages, and before that it opens all: the rotation is what shuts it out.
#[test]
fn c3_a_removed_member_opens_nothing_after_the_rotation() {
    let rng = &mut rng(14);
    let mut key = SenderKey::generate(GROUP, rng);
    let mut removed = Member::told(&key.distribution_message());
    let mut stays = Member::told(&key.distribution_message());
    let before: Vec<_> = (0..10).map(|_| seal(&mut key, b"before", rng)).collect();
    assert!(before.iter().all(|message| removed.open(message).is_ok()));

    let mut rotated = SenderKey::generate(GROUP, rng);
    stays.process(&rotated.distribution_message());
    let after: Vec<_> = (0..200).map(|_| seal(&mut rotated, b"after", rng)).collect();
    assert_eq!(after.iter().filter(|message| removed.open(message).is_ok()).count(), 0);
    assert!(after.iter().all(|message| stays.open(message).is_ok()));
}

/// ATTACKS C4: a member who holds every distribution message signs as another, or names another chain.
#[test]
fn c4_a_member_cannot_write_as_another_member() {
    let rng = &mut rng(13);
    let (mut mallory, mut nina) = (SenderKey::generate(GROUP, rng), SenderKey::generate(GROUP, rng));
    let mut of_nina = Member::told(&nina.distribution_message());

    // Mallory's message under Nina's name: an unknown chain.
    let message = seal(&mut mallory, b"I am Nina", rng);
    assert_eq!(of_nina.open(&message), Err(GroupOpenError::UnknownChain { chain_id: mallory.chain_id() }));

    // With Nina's chain id and chain key, which every member has, but Mallory's signature: forged.
    let honest = seal(&mut nina, b"I am Nina", rng);
    let (id, iteration, ciphertext) = (nina.chain_id(), honest.iteration(), honest.ciphertext().to_vec());
    let signature = *message.signature();
    let forged = SenderKeyMessage::new(GROUP, id, iteration, ciphertext.clone(), |_| signature);
    assert_eq!(of_nina.open(&forged), Err(GroupOpenError::Forged));

    // Nina's own signature moved to another iteration or another chain id: forged, or unknown.
    let signature = *honest.signature();
    let moved = SenderKeyMessage::new(GROUP, id, iteration + 1, ciphertext.clone(), |_| signature);
    assert_eq!(of_nina.open(&moved), Err(GroupOpenError::Forged));
    let wrong = SenderKeyMessage::new(GROUP, id ^ 1, iteration, ciphertext.clone(), |_| signature);
    assert_eq!(of_nina.open(&wrong), Err(GroupOpenError::UnknownChain { chain_id: id ^ 1 }));
    // Also where the other chain is one of Nina's: her signature is for the first.
    let second = SenderKey::generate(GROUP, rng);
    of_nina.process(&second.distribution_message());
    let wrong = SenderKeyMessage::new(GROUP, second.chain_id(), iteration, ciphertext, |_| signature);
    assert_eq!(of_nina.open(&wrong), Err(GroupOpenError::Forged));
    assert_eq!(of_nina.open(&honest).unwrap(), b"I am Nina");
}
