//! Keys and signatures: the library's own, and some that nobody honest makes.

use curve25519_dalek::{Scalar, constants::EIGHT_TORSION, edwards::CompressedEdwardsY};
use sha2::{Digest, Sha512};

use waxwing_protocol::{KyberPublicKey, KyberSecretKey};
use waxwing_tests::peer::{Address, KeyPair, PartyOptions, Peer, PrekeyKind};

use crate::{
    Peers,
    agreement_refused::{Strictness, public_key_error},
    case::KeyCase,
    edit::{flipped, odd_keys},
    stage::{digest, verdict},
    witness,
};

pub fn record(peers: &Peers) -> Vec<KeyCase> {
    let mut cases = Vec::new();
    for peer in [&peers.v0_72_1, &peers.v0_90_0, &peers.v0_103_0] {
        peer.reset().unwrap();
        key_pairs(peer, &mut cases);
        signatures(peer, &mut cases);
        kyber(peer, &mut cases);
    }
    public_keys(&peers.v0_72_1, &mut cases);
    public_keys(&peers.v0_103_0, &mut cases);
    forged_signatures(&peers.v0_72_1, &mut cases);
    forged_signatures(&peers.v0_103_0, &mut cases);
    odd_kyber_keys(&peers.v0_103_0, &mut cases);
    cases
}

fn key_pairs(peer: &Peer, cases: &mut Vec<KeyCase>) {
    let library = peer.version().to_string();
    let mut push = |name: &str, private: &[u8], public: &[u8]| {
        let name = format!("{name}, {library}");
        cases.push(KeyCase::KeyPair { name, library: library.clone(), private: private.into(), public: public.into() });
    };
    let KeyPair { private, public } = peer.generate_key_pair().unwrap();
    push("a random key pair", &private, &public);
    for (name, private) in [
        ("all bits of the private key set, clamped on load", [0xFF; 32]),
        ("no bit of the private key set, clamped on load", [0; 32]),
        ("a private key with all five fixed bits wrong", unclamped(&library)),
    ] {
        push(name, &private, &peer.key_pair(&private).unwrap().public);
    }
}

fn unclamped(name: &str) -> [u8; 32] {
    let mut private = digest("unclamped", name);
    private[0] |= 7;
    private[31] = (private[31] | 0x80) & 0xBF;
    private
}

/// The library's own, with both sign bits, and those of the published scheme.
fn signatures(peer: &Peer, cases: &mut Vec<KeyCase>) {
    let library = peer.version().to_string();
    for sign in [0, 1] {
        let (private, public) = key_with_sign(peer, sign);
        let message = peer.generate_key_pair().unwrap().public;
        let theirs = peer.sign(&private, &message).unwrap();
        assert_eq!(theirs[63] >> 7, sign);
        let published = witness::xeddsa_by_the_specification(&private, &message, &[7; 64]);
        for (what, signature) in
            [("the library's signature", theirs.to_vec()), ("a signature as published", published.into())]
        {
            let verdict = verdict_on(peer, &public, &message, &signature);
            assert_eq!(verdict, "accepts");
            cases.push(KeyCase::Signature {
                name: format!("{what} by a key with sign {sign}, {library}"),
                library: library.clone(),
                public: (&*public).into(),
                message: (&*message).into(),
                signature: (&*signature).into(),
                verdict,
                error: None,
            });
        }
    }
}

fn key_with_sign(peer: &Peer, sign: u8) -> ([u8; 32], Vec<u8>) {
    loop {
        let KeyPair { private, public } = peer.generate_key_pair().unwrap();
        let private: [u8; 32] = (*private).try_into().unwrap();
        if witness::edwards_sign(&private) == sign {
            return (private, public.to_vec());
        }
    }
}

fn verdict_on(peer: &Peer, public: &[u8], message: &[u8], signature: &[u8]) -> String {
    match peer.verify(public, message, signature) {
        Ok(true) => "accepts".into(),
        Ok(false) => "refuses".into(),
        Err(error) => verdict::<()>(Err(error)),
    }
}

fn forged_signatures(peer: &Peer, cases: &mut Vec<KeyCase>) {
    let library = peer.version().to_string();
    let (private, public) = key_with_sign(peer, 1);
    let message = peer.generate_key_pair().unwrap().public.to_vec();
    let other = peer.generate_key_pair().unwrap().public.to_vec();
    let genuine = peer.sign(&private, &message).unwrap().to_vec();
    let mut push = |name: &str, public: &[u8], message: &[u8], signature: &[u8]| {
        cases.push(KeyCase::Signature {
            name: format!("{name}, {library}"),
            library: library.clone(),
            public: public.into(),
            message: message.into(),
            signature: signature.into(),
            verdict: verdict_on(peer, public, message, signature),
            error: Some("BundleError::SignedPrekeySignature".into()),
        });
    };
    for at in [0, 31, 32, 62] {
        push(&format!("bit 0 of byte {at} flipped"), &public, &message, &flipped(&genuine, at, 1));
    }
    push("the sign bit flipped", &public, &message, &flipped(&genuine, 63, 0x80));
    push("s beyond 2^253", &public, &message, &flipped(&genuine, 63, 0x20));
    push("s + l, the other encoding of s", &public, &message, &plus_order(&genuine, 1));
    push("s + 2l", &public, &message, &plus_order(&genuine, 2));
    push("the signature of another key", &other, &message, &genuine);
    push("the signature of another message", &public, &other, &genuine);
    push("R of order 1", &public, &message, &small_commitment(&private, &message, 0));
    push("R of order 4", &public, &message, &small_commitment(&private, &message, 2));
    push("zeros", &public, &message, &[0; 64]);
    push("its last byte cut", &public, &message, &genuine[..63]);
    push("another byte at the end", &public, &message, &[&*genuine, &[0]].concat());
    push("empty", &public, &message, &[]);
}

/// s + n·l, with the sign bit kept.
fn plus_order(signature: &[u8], times: u8) -> Vec<u8> {
    const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let order = ::hex::decode(ORDER).unwrap();
    let sign = signature[63] & 0x80;
    let mut sum = signature.to_vec();
    sum[63] &= 0x7F;
    for _ in 0..times {
        let mut carry = 0;
        for (byte, add) in sum[32..].iter_mut().zip(&order) {
            let total = u16::from(*byte) + u16::from(*add) + carry;
            (*byte, carry) = (total as u8, total >> 8);
        }
    }
    sum[63] |= sign;
    sum
}

/// A signature that satisfies R = sB - hA with an R of small order, which only the owner of a key can make: it stands for
/// nothing, but for other messages too, once h is a multiple of 8.
fn small_commitment(private: &[u8; 32], message: &[u8], torsion: usize) -> Vec<u8> {
    let commitment: CompressedEdwardsY = EIGHT_TORSION[torsion].compress();
    let key = clamped(private);
    let public = curve25519_dalek::EdwardsPoint::mul_base(&key).compress();
    let hash = Sha512::new().chain_update(commitment.0).chain_update(public.0).chain_update(message);
    let challenge = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
    // sB - hA = 0; the library's equation then holds for R = 0 only.
    let response = challenge * key;
    let mut signature = [commitment.0, response.to_bytes()].concat();
    signature[63] |= public.0[31] & 0x80;
    signature
}

fn clamped(private: &[u8; 32]) -> Scalar {
    let mut bytes = *private;
    bytes[0] &= 248;
    bytes[31] = bytes[31] & 127 | 64;
    Scalar::from_bytes_mod_order(bytes)
}

fn public_keys(peer: &Peer, cases: &mut Vec<KeyCase>) {
    let library = peer.version().to_string();
    let genuine = peer.generate_key_pair().unwrap().public;
    let mut keys = odd_keys(&genuine);
    keys.push(("an honest one", genuine.to_vec()));
    for (what, bytes) in keys {
        let error = |strictness| {
            let error =
                if what == "an honest one" { String::new() } else { public_key_error(what, &bytes, strictness) };
            (!error.is_empty()).then(|| format!("PublicKeyError::{error}"))
        };
        cases.push(KeyCase::PublicKey {
            name: format!("a public key {what}, {library}"),
            library: library.clone(),
            verdict: verdict(peer.public_key(&bytes)),
            strict: error(Strictness::Strict),
            ratchet: error(Strictness::Ratchet),
            bytes: (&*bytes).into(),
        });
    }
}

fn kyber(peer: &Peer, cases: &mut Vec<KeyCase>) {
    let library = peer.version().to_string();
    for number in 0..2 {
        let options = PartyOptions::new(format!("owner {number}"), Address::new("owner", 1));
        let party = peer.create_party(&options).unwrap();
        let prekey = party.generate_prekey(PrekeyKind::Kyber, 1).unwrap();
        cases.push(KeyCase::KyberPrekey {
            name: format!("Kyber prekey {number}, {library}"),
            library: library.clone(),
            identity: (&*party.info().identity_private).into(),
            public: (&*prekey.public).into(),
            private: (&*prekey.private).into(),
            signature: (&**prekey.signature.as_ref().unwrap()).into(),
        });
    }
}

fn odd_kyber_keys(peer: &Peer, cases: &mut Vec<KeyCase>) {
    let library = peer.version().to_string();
    let KeyPair { public, private } = peer.generate_kyber().unwrap();
    let typed = |key: &[u8], kind: u8| [&[kind], &key[1..]].concat();
    let mut coefficient = public.to_vec();
    // The first coefficient's 12 bits: 3,329.
    (coefficient[1], coefficient[2]) = (0x01, coefficient[2] & 0xF0 | 0x0D);
    for (name, bytes) in [
        ("an honest Kyber public key", public.to_vec()),
        ("a Kyber public key with a coefficient of 3,329", coefficient),
        ("a Kyber public key of type 7", typed(&public, 7)),
        ("a Kyber public key of type 5", typed(&public, 5)),
        ("a Kyber public key without its last byte", public[..1568].to_vec()),
        ("a Kyber public key with one more byte", [&*public, &[0]].concat()),
        ("an empty Kyber public key", Vec::new()),
    ] {
        let error = KyberPublicKey::parse(&bytes).err().map(|error| format!("PublicKeyError::{error:?}"));
        let verdict = verdict(peer.kyber_public(&bytes));
        let (name, library) = (name.into(), library.clone());
        cases.push(KeyCase::KyberPublicKey { name, library, verdict, error, bytes: (&*bytes).into() });
    }
    for (name, bytes) in [
        ("an honest Kyber secret key", private.to_vec()),
        ("a Kyber secret key with another hash of its public key", flipped(&private, 1 + 1536 + 1568, 1)),
        ("a Kyber secret key with another public key", flipped(&private, 1 + 1536 + 1567, 1)),
        ("a Kyber secret key of type 7", typed(&private, 7)),
        ("a Kyber secret key without its last byte", private[..3168].to_vec()),
        ("a Kyber secret key with one more byte", [&*private, &[0]].concat()),
    ] {
        let error = KyberSecretKey::parse(&bytes).err().map(|error| format!("KyberSecretKeyError::{error:?}"));
        let verdict = verdict(peer.kyber_private(&bytes));
        let (name, library) = (name.into(), library.clone());
        cases.push(KeyCase::KyberSecretKey { name, library, verdict, error, bytes: (&*bytes).into() });
    }
}
