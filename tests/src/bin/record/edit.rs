//! Messages changed on the way: field by field, with or without a right MAC.

use curve25519_dalek::{EdwardsPoint, MontgomeryPoint, Scalar, constants::EIGHT_TORSION};

use waxwing_tests::peer::{Ciphertext, MessageType};

use crate::witness::{Field, Fields, MessageKeys, SignalMessage, SpqrHeader, State, rewrapped};

/// A prekey message with another value in a field; appended if it was absent.
pub fn with(body: &[u8], number: u32, value: Field) -> Vec<u8> {
    edited(body, |fields| put(fields, number, value))
}

/// A prekey message with other bytes in a field.
pub fn with_bytes(body: &[u8], number: u32, value: &[u8]) -> Vec<u8> {
    with(body, number, Field::Bytes(value.to_vec()))
}

pub fn without(body: &[u8], number: u32) -> Vec<u8> {
    edited(body, |fields| fields.0.retain(|(found, _)| *found != number))
}

pub fn bytes_of(body: &[u8], number: u32) -> Vec<u8> {
    Fields::parse(&body[1..]).bytes(number).unwrap().to_vec()
}

pub fn edited(body: &[u8], edit: impl FnOnce(&mut Fields)) -> Vec<u8> {
    let mut fields = Fields::parse(&body[1..]);
    edit(&mut fields);
    [&body[..1], &fields.encode()].concat()
}

/// The message inside a prekey message, or an ordinary one, with another value in a field and its old MAC.
pub fn inner_with(body: &[u8], kind: MessageType, number: u32, value: Field) -> Vec<u8> {
    inner_edited(body, kind, |message| put(&mut message.fields, number, value))
}

pub fn inner_edited(body: &[u8], kind: MessageType, edit: impl FnOnce(&mut SignalMessage)) -> Vec<u8> {
    let outer = Ciphertext { kind, body: body.into() };
    let mut message = SignalMessage::of(&outer);
    edit(&mut message);
    let bytes = [vec![message.version], message.fields.encode(), message.mac.to_vec()].concat();
    rewrap(&outer, &Ciphertext { kind: MessageType::Whisper, body: bytes.into() })
}

/// The same with a right MAC; `state` is the sender's before it sealed.
pub fn inner_sealed(
    body: &[u8],
    kind: MessageType,
    state: &State,
    [sender, receiver]: [&[u8]; 2],
    edit: impl FnOnce(&mut SignalMessage),
) -> Vec<u8> {
    let outer = Ciphertext { kind, body: body.into() };
    let mut message = SignalMessage::of(&outer);
    edit(&mut message);
    let keys = MessageKeys::derive(&state.sending().seed(), None);
    rewrap(&outer, &message.sealed(&keys, sender, receiver))
}

/// Which keys a message has that is sealed anew.
#[derive(Clone, Copy)]
pub enum Keyed {
    /// Salted with the post-quantum ratchet's key that the genuine one has.
    AsSent,
    /// Without salt.
    Without,
}

/// The same in a session with the post-quantum ratchet, with another header of it, or without one.
pub fn inner_sealed_triple(
    body: &[u8],
    kind: MessageType,
    state: &State,
    [sender, receiver]: [Vec<u8>; 2],
    keyed: Keyed,
    edit: &dyn Fn(&mut SpqrHeader) -> Option<Vec<u8>>,
) -> Vec<u8> {
    let outer = Ciphertext { kind, body: body.into() };
    let mut header = SpqrHeader::of(&outer).unwrap();
    let chain = state.spqr().unwrap().sending(header.epoch - 1).unwrap();
    let (stepped, key) = chain.step();
    assert_eq!(stepped.counter, header.index);
    let salt = match keyed {
        Keyed::AsSent => Some(&key),
        Keyed::Without => None,
    };
    let keys = MessageKeys::derive(&state.sending().seed(), salt);
    let mut message = SignalMessage::of(&outer);
    match edit(&mut header) {
        Some(field) => put(&mut message.fields, 5, Field::Bytes(field)),
        None => message.fields.0.retain(|(number, _)| *number != 5),
    }
    rewrap(&outer, &message.sealed(&keys, &sender, &receiver))
}

fn rewrap(outer: &Ciphertext, inner: &Ciphertext) -> Vec<u8> {
    match outer.kind {
        MessageType::PreKey => rewrapped(outer, inner).body.to_vec(),
        _ => inner.body.to_vec(),
    }
}

pub fn put(fields: &mut Fields, number: u32, value: Field) {
    match fields.0.iter_mut().find(|(found, _)| *found == number) {
        Some((_, field)) => *field = value,
        None => fields.0.push((number, value)),
    }
}

pub fn flipped(body: &[u8], at: usize, mask: u8) -> Vec<u8> {
    let mut body = body.to_vec();
    body[at] ^= mask;
    body
}

/// Keys that no honest party makes, with the name of what is wrong with them.
pub fn odd_keys(genuine: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let tagged = |u: [u8; 32]| [vec![5], u.to_vec()].concat();
    let order_two = tagged([0; 32]);
    let order_four = tagged(std::array::from_fn(|i| u8::from(i == 0)));
    let order_eight = tagged(EIGHT_TORSION[1].to_montgomery().to_bytes());
    // p = 2^255 - 19 itself encodes 0 once more.
    let mut above = [0xFF; 32];
    (above[0], above[31]) = (0xED, 0x7F);
    // 9 is the base point; 9 + p its other encoding.
    let mut base_again = [0xFF; 32];
    (base_again[0], base_again[31]) = (0xF6, 0x7F);
    vec![
        ("of order 2 (zero)", order_two),
        ("of order 4 (one)", order_four),
        ("of order 8", order_eight),
        ("p, a second encoding of zero", tagged(above)),
        ("p + 9, a second encoding of the base point", tagged(base_again)),
        ("with the top bit set", crate::witness::with_top_bit(genuine)),
        ("with a component of order 8", crate::witness::with_torsion(genuine)),
        ("on the twist", tagged(on_the_twist())),
        ("of type 6", [&[6], &genuine[1..]].concat()),
        ("without its last byte", genuine[..32].to_vec()),
        ("with a byte behind", [genuine, &[0]].concat()),
        ("empty", Vec::new()),
    ]
}

/// The smallest u from 2 on that is no point of the curve.
fn on_the_twist() -> [u8; 32] {
    let candidates = (2u8..).map(|u| std::array::from_fn(|i| if i == 0 { u } else { 0 }));
    candidates.into_iter().find(|u| MontgomeryPoint(*u).to_edwards(0).is_none()).unwrap()
}

/// A valid public key that is nobody's.
pub fn other_key(seed: u8) -> Vec<u8> {
    let point = EdwardsPoint::mul_base(&Scalar::from(u64::from(seed) + 1_000));
    [&[5], point.to_montgomery().as_bytes().as_slice()].concat()
}
