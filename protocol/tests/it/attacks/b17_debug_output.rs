//! B17: secrets in logs. Every type that holds one is printed, in both styles, and searched for any four bytes of it, as hex
//! and as the decimal numbers that derived output would show. (What stays in memory: `memory.rs`.)

use std::fmt::Debug;

use waxwing_protocol::{
    Budget, IdentityKeyPair, KyberPrekeyRef, KyberSecretKey, LastResortUses, PrivatePrekeys,
    SenderKeyDistributionMessage, Session, Suite, agreement,
};

use crate::initiator::Initiator;
use crate::party::{Kyber, NOW, OneTime, Party, first_message, ordinary_message, rng};
use crate::proto::{bytes, varint, write};

fn assert_hides(value: &dyn Debug, secrets: &[&[u8]]) {
    for text in [format!("{value:?}"), format!("{value:#?}")] {
        let text = text.to_lowercase();
        // Numbers without layout: "[1,2,3]" however it was broken into lines.
        let dense: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        for secret in secrets {
            for window in secret.windows(4) {
                let decimal: Vec<_> = window.iter().map(u8::to_string).collect();
                assert!(!dense.contains(&hex::encode(window)), "{text}");
                assert!(!dense.contains(&format!("{},", decimal.join(","))), "{text}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "1, 2")]
fn b17_the_search_finds_derived_output() {
    assert_hides(&vec![9_u8, 1, 2, 3, 4, 5], &[&[1, 2, 3, 4]]);
}

#[test]
#[should_panic(expected = "01020304")]
fn b17_the_search_finds_hex() {
    assert_hides(&hex::encode([9, 1, 2, 3, 4, 5]), &[&[1, 2, 3, 4]]);
}

#[test]
fn b17_no_debug_output_shows_a_secret() {
    let rng = &mut rng(1);
    let (alice, bob) = (Party::new(1, rng), Party::new(2, rng));
    let (identity, signed, one_time) =
        (bob.identity.private_key(), bob.signed.private_key(), bob.one_time.private_key());
    let kyber = bob.kyber.secret_key().to_bytes();
    // Without the public key that stands inside, whose first bytes are shown on purpose.
    let kyber_secrets: [&[u8]; 2] = [&kyber[1..1537], &kyber[3137..]];
    let long_term: [&[u8]; 5] = [&identity[..], &signed[..], &one_time[..], kyber_secrets[0], kyber_secrets[1]];
    assert_hides(&bob.identity, &long_term);
    assert_hides(&bob.signed, &long_term);
    assert_hides(&bob.one_time, &long_term);
    assert_hides(&bob.kyber, &long_term);
    assert_hides(bob.kyber.secret_key(), &long_term);
    assert_hides(&KyberSecretKey::parse(&kyber).unwrap(), &long_term);
    assert_hides(&bob.local(&alice), &long_term);
    let uses = LastResortUses::new();
    let prekeys = PrivatePrekeys {
        signed: &bob.signed,
        one_time: Some(&bob.one_time),
        kyber: Some(KyberPrekeyRef::LastResort(&bob.kyber)),
        uses: &uses,
    };
    assert_hides(&prekeys, &long_term);
    assert_hides(&IdentityKeyPair::from_private_key(&[0x5A; 32]), &[&[0x5A; 32]]);

    // A session whose secrets another implementation computed from the same randomness.
    let seed = 77;
    let mut known = Initiator::new(&alice, &bob, Suite::Pqxdh, OneTime::With, &mut crate::party::rng(seed));
    let (root, chain, ratchet) = (known.root_key, known.chain_key, known.ratchet_private);
    let _ = known.signal(b"");
    let mut session = alice.initiate(&bob, Suite::Pqxdh, OneTime::With, &mut crate::party::rng(seed));
    let plaintext = b"plaintext of some length, not for the log";
    let secrets: [&[u8]; 5] = [&root, &chain, &ratchet, &known.chain_key, plaintext];
    assert_hides(&session, &secrets);
    assert_hides(&session.seal(plaintext, NOW, &mut crate::party::draw()).unwrap(), &secrets);
    assert_hides(&session.seal(plaintext, NOW, &mut crate::party::draw()).unwrap().delta(), &secrets);
    assert_hides(&session.archive(), &secrets);
    assert_hides(&session.archive().delta(), &secrets);
    assert_hides(
        &alice.initiate_in(&mut Session::new(), &bob, Suite::Pqxdh, OneTime::With, &mut self::rng(seed)),
        &secrets,
    );
    let first = first_message(&mut session, plaintext);
    assert_hides(&session, &secrets);
    assert_hides(&first, &secrets);
    let prekeys = bob.prekeys_for(&first, Kyber::OneTime);
    assert_hides(&agreement::respond(&bob.identity, prekeys, &first).unwrap(), &secrets);
    assert_hides(agreement::respond(&bob.identity, prekeys, &first).unwrap().secrets(), &secrets);
    let bundle = bob.bundle(OneTime::With);
    let initiation = agreement::initiate(&alice.identity, &bundle, &mut crate::party::rng(seed)).unwrap();
    assert_hides(&initiation, &secrets);
    let mut at_bob = Session::new();
    let opened = bob.accept(&mut at_bob, &alice, &first, Kyber::OneTime, rng).unwrap();
    assert_hides(&opened, &secrets);
    assert_hides(&opened.delta(), &secrets);
    let _ = opened.commit();
    let answer = ordinary_message(&mut at_bob, plaintext);
    let opened = session.open(&answer, &mut Budget::default(), rng).unwrap();
    assert_hides(&opened, &secrets);
    assert_hides(&opened.delta(), &secrets);

    let fields = [bytes(1, [1; 16]), varint(2, 1_u32), varint(3, 1_u32), bytes(4, [0x5A; 32])];
    let signing_key = bytes(5, bob.signed.public_key().to_bytes());
    let encoded = [&[0x33][..], &write(&fields), &write(&[signing_key])].concat();
    assert_hides(&SenderKeyDistributionMessage::decode(&encoded).unwrap(), &[&[0x5A; 32]]);
}
