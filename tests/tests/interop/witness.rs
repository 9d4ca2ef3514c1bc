//! Keys and bytes by hand, from the published specifications and the fact sheet: what a message consists of, which keys
//! it was sealed with, how a chain and a root move, XEdDSA as its specification has it. None of our crates is involved.

use curve25519_dalek::{EdwardsPoint, MontgomeryPoint, Scalar, constants::EIGHT_TORSION};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};

use waxwing_tests::peer::{Bytes, Ciphertext, MessageType};

/// A protobuf message as its fields in order of appearance.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Fields(pub(crate) Vec<(u32, Field)>);

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Field {
    Number(u64),
    Fixed64(u64),
    Bytes(Vec<u8>),
}

impl Fields {
    pub(crate) fn parse(mut bytes: &[u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let field = match key & 7 {
                0 => Field::Number(varint(&mut bytes)),
                1 => Field::Fixed64(u64::from_le_bytes(take(&mut bytes, 8).try_into().unwrap())),
                2 => {
                    let length = varint(&mut bytes) as usize;
                    Field::Bytes(take(&mut bytes, length).to_vec())
                }
                wire => panic!("wire type {wire}"),
            };
            fields.push(((key >> 3) as u32, field));
        }
        Self(fields)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, field) in &self.0 {
            let key = u64::from(*number) << 3;
            match field {
                Field::Number(value) => {
                    put_varint(&mut out, key);
                    put_varint(&mut out, *value);
                }
                Field::Fixed64(value) => {
                    put_varint(&mut out, key | 1);
                    out.extend_from_slice(&value.to_le_bytes());
                }
                Field::Bytes(bytes) => {
                    put_varint(&mut out, key | 2);
                    put_varint(&mut out, bytes.len() as u64);
                    out.extend_from_slice(bytes);
                }
            }
        }
        out
    }

    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.0.iter().map(|(number, _)| *number).collect()
    }

    pub(crate) fn all(&self, number: u32) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter_map(move |(found, field)| match field {
            Field::Bytes(bytes) if *found == number => Some(bytes.as_slice()),
            _ => None,
        })
    }

    pub(crate) fn bytes(&self, number: u32) -> Option<&[u8]> {
        self.all(number).last()
    }

    pub(crate) fn number(&self, number: u32) -> Option<u64> {
        self.0.iter().rev().find_map(|(found, field)| match field {
            Field::Number(value) if *found == number => Some(*value),
            _ => None,
        })
    }

    /// A nested message.
    pub(crate) fn nested(&self, number: u32) -> Option<Self> {
        self.bytes(number).map(Self::parse)
    }
}

fn take<'b>(bytes: &mut &'b [u8], length: usize) -> &'b [u8] {
    let (taken, rest) = bytes.split_at(length);
    *bytes = rest;
    taken
}

pub(crate) fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
    }
    panic!("a varint of more than ten bytes")
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A `SignalMessage`: version byte, fields, MAC.
#[derive(Clone, Debug)]
pub(crate) struct SignalMessage {
    pub(crate) version: u8,
    pub(crate) fields: Fields,
    pub(crate) mac: [u8; 8],
}

impl SignalMessage {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let (body, mac) = bytes.split_last_chunk().unwrap();
        Self { version: body[0], fields: Fields::parse(&body[1..]), mac: *mac }
    }

    /// Of a message that is ordinary, or inside a prekey message.
    pub(crate) fn of(message: &Ciphertext) -> Self {
        match message.kind {
            MessageType::PreKey => Self::parse(Fields::parse(&message.body[1..]).bytes(4).unwrap()),
            _ => Self::parse(&message.body),
        }
    }

    /// What the MAC is over, besides the identities.
    fn authenticated(&self) -> Vec<u8> {
        [vec![self.version], self.fields.encode()].concat()
    }

    /// The MAC that these keys give it.
    pub(crate) fn mac_under(&self, keys: &MessageKeys, sender: &[u8], receiver: &[u8]) -> [u8; 8] {
        let mac = hmac(&keys.mac, &[sender, receiver, &self.authenticated()].concat());
        *mac.first_chunk().unwrap()
    }

    /// Itself with a right MAC, as an ordinary message.
    pub(crate) fn sealed(mut self, keys: &MessageKeys, sender: &[u8], receiver: &[u8]) -> Ciphertext {
        self.mac = self.mac_under(keys, sender, receiver);
        Ciphertext { kind: MessageType::Whisper, body: [self.authenticated(), self.mac.to_vec()].concat().into() }
    }
}

/// Puts a `SignalMessage` in the place of the one inside a prekey message.
pub(crate) fn rewrapped(outer: &Ciphertext, inner: &Ciphertext) -> Ciphertext {
    let mut fields = Fields::parse(&outer.body[1..]);
    for (number, field) in &mut fields.0 {
        if *number == 4 {
            *field = Field::Bytes(inner.body.to_vec());
        }
    }
    let body = [vec![outer.body[0]], fields.encode()].concat();
    Ciphertext { kind: MessageType::PreKey, body: body.into() }
}

/// The keys of one message.
#[derive(Clone, Debug)]
pub(crate) struct MessageKeys {
    pub(crate) mac: [u8; 32],
}

impl MessageKeys {
    /// From a message seed, with SPQR's key if there is one.
    pub(crate) fn derive(seed: &[u8; 32], spqr: Option<&[u8; 32]>) -> Self {
        let okm = hkdf::<80>(spqr.map(<[u8; 32]>::as_slice), seed, b"WhisperMessageKeys");
        Self { mac: okm[32..64].try_into().unwrap() }
    }
}

/// The current state in an exported session record.
#[derive(Clone, Debug)]
pub(crate) struct State(pub(crate) Fields);

/// One chain of such a state.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) ratchet_public: Vec<u8>,
    pub(crate) ratchet_private: Vec<u8>,
    pub(crate) index: u64,
    pub(crate) key: [u8; 32],
}

impl State {
    pub(crate) fn of(record: &Bytes) -> Self {
        Self(Fields::parse(record).nested(1).unwrap())
    }

    pub(crate) fn root(&self) -> [u8; 32] {
        self.0.bytes(4).unwrap().try_into().unwrap()
    }

    pub(crate) fn sending(&self) -> Chain {
        Chain::parse(self.0.bytes(6).unwrap())
    }

    /// The SPQR state, if the session has SPQR.
    pub(crate) fn spqr(&self) -> Option<Spqr> {
        self.0.nested(15).filter(|fields| !fields.0.is_empty()).map(|fields| Spqr { fields })
    }

    /// Oldest first.
    pub(crate) fn receiving(&self) -> Vec<Chain> {
        self.0.all(7).map(Chain::parse).collect()
    }
}

impl Chain {
    fn parse(bytes: &[u8]) -> Self {
        let fields = Fields::parse(bytes);
        let key = fields.nested(3).unwrap();
        Self {
            ratchet_public: fields.bytes(1).unwrap_or_default().to_vec(),
            ratchet_private: fields.bytes(2).unwrap_or_default().to_vec(),
            index: key.number(1).unwrap_or(0),
            key: key.bytes(2).unwrap().try_into().unwrap(),
        }
    }

    /// The seed of the chain's next message.
    pub(crate) fn seed(&self) -> [u8; 32] {
        hmac(&self.key, &[1])
    }
}

/// The chain key after this one.
pub(crate) fn next_chain_key(key: &[u8; 32]) -> [u8; 32] {
    hmac(key, &[2])
}

/// A root step: the next root and a new chain key.
pub(crate) fn root_step(root: &[u8; 32], private: &[u8], public: &[u8]) -> ([u8; 32], [u8; 32]) {
    let okm = hkdf::<64>(Some(root), &agree(private, public), b"WhisperRatchet");
    (okm[..32].try_into().unwrap(), okm[32..].try_into().unwrap())
}

/// X25519 of 32 private and 33 public bytes.
pub(crate) fn agree(private: &[u8], public: &[u8]) -> [u8; 32] {
    let point = MontgomeryPoint(public[1..].try_into().unwrap());
    point.mul_clamped(private.try_into().unwrap()).to_bytes()
}

pub(crate) fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// HKDF-SHA256.
pub(crate) fn hkdf<const N: usize>(salt: Option<&[u8]>, ikm: &[u8], info: &[u8]) -> [u8; N] {
    let mut okm = [0; N];
    Hkdf::<Sha256>::new(salt, ikm).expand(info, &mut okm).unwrap();
    okm
}

/// The SPQR state of a session as far as it matters here; the field numbers are those of the library's own records.
#[derive(Clone, Debug)]
pub(crate) struct Spqr {
    fields: Fields,
}

/// One direction of one epoch: its counter and the chain's next secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SpqrChain {
    pub(crate) counter: u64,
    pub(crate) next: [u8; 32],
}

impl Spqr {
    /// What the chains begin with; it is there until the versions are negotiated.
    pub(crate) fn auth_key(&self) -> Option<[u8; 32]> {
        self.fields.nested(1).map(|start| start.bytes(1).unwrap().try_into().unwrap())
    }

    /// The chains are made with the first message.
    pub(crate) fn has_chains(&self) -> bool {
        self.fields.bytes(2).is_some()
    }

    pub(crate) fn next_root(&self) -> [u8; 32] {
        self.fields.nested(2).unwrap().bytes(4).unwrap().try_into().unwrap()
    }

    /// The sending chain of an epoch, if it is kept.
    pub(crate) fn sending(&self, epoch: u64) -> Option<SpqrChain> {
        self.link(epoch, 1)
    }

    /// The receiving chain of an epoch, if it is kept.
    pub(crate) fn receiving(&self, epoch: u64) -> Option<SpqrChain> {
        self.link(epoch, 2)
    }

    /// The links are in order, and the last is of the current epoch.
    fn link(&self, epoch: u64, direction: u32) -> Option<SpqrChain> {
        let chain = self.fields.nested(2)?;
        let links: Vec<_> = chain.all(3).collect();
        let age = usize::try_from(chain.number(2).unwrap_or(0).checked_sub(epoch)?).ok()?;
        let link = links.len().checked_sub(age + 1).map(|at| Fields::parse(links[at]))?.nested(direction)?;
        let next = link.bytes(2).and_then(|bytes| bytes.try_into().ok())?;
        Some(SpqrChain { counter: link.number(1).unwrap_or(0), next })
    }

    /// The number of the exchange's state in the library's record.
    pub(crate) fn exchange_state(&self) -> u64 {
        self.fields.nested(3).unwrap().0[0].0.into()
    }

    /// The authenticator's root and MAC key, wherever the state keeps them: two strings of 32 bytes in one message.
    pub(crate) fn authenticator(&self) -> ([u8; 32], [u8; 32]) {
        let state = self.fields.nested(3).unwrap();
        let (_, Field::Bytes(variant)) = &state.0[0] else { panic!("the state is no message") };
        let inner = Fields::parse(variant).nested(1).unwrap();
        let inner = inner.nested(1).unwrap_or(inner);
        let keys = inner.nested(2).unwrap();
        (keys.bytes(1).unwrap().try_into().unwrap(), keys.bytes(2).unwrap().try_into().unwrap())
    }
}

/// The root and the two chains (initiator to responder, and back) that SPQR begins with.
pub(crate) fn spqr_start(auth_key: &[u8; 32]) -> ([u8; 32], SpqrChain, SpqrChain) {
    let okm = hkdf::<96>(None, auth_key, b"Signal PQ Ratchet V1 Chain  Start");
    let chain = |range: std::ops::Range<usize>| SpqrChain { counter: 0, next: okm[range].try_into().unwrap() };
    (okm[..32].try_into().unwrap(), chain(32..64), chain(64..96))
}

impl SpqrChain {
    /// The chain one step on, and the key of that step.
    pub(crate) fn step(self) -> (Self, [u8; 32]) {
        let counter = self.counter + 1;
        let info =
            [&u32::try_from(counter).unwrap().to_be_bytes(), b"Signal PQ Ratchet V1 Chain Next".as_slice()].concat();
        let okm = hkdf::<64>(None, &self.next, &info);
        (Self { counter, next: okm[..32].try_into().unwrap() }, okm[32..].try_into().unwrap())
    }
}

/// The authenticator's root and MAC key after its first update.
pub(crate) fn spqr_authenticator(auth_key: &[u8; 32]) -> ([u8; 32], [u8; 32]) {
    let info = [b"Signal_PQCKA_V1_MLKEM768:Authenticator Update".as_slice(), &1_u64.to_be_bytes()].concat();
    let okm = hkdf::<64>(None, &[[0; 32], *auth_key].concat(), &info);
    (okm[..32].try_into().unwrap(), okm[32..].try_into().unwrap())
}

/// The `pq_ratchet` field of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SpqrHeader {
    pub(crate) version: u8,
    pub(crate) epoch: u64,
    pub(crate) index: u64,
    pub(crate) kind: u8,
    pub(crate) chunk: Option<(u64, Vec<u8>)>,
    pub(crate) rest: Vec<u8>,
}

impl SpqrHeader {
    /// Of a message that has one.
    pub(crate) fn of(message: &Ciphertext) -> Option<Self> {
        let fields = SignalMessage::of(message).fields;
        let (&version, mut bytes) = fields.bytes(5)?.split_first()?;
        let (epoch, index) = (varint(&mut bytes), varint(&mut bytes));
        let kind = take(&mut bytes, 1)[0];
        let chunk = [1, 2, 3, 5, 6].contains(&kind).then(|| (varint(&mut bytes), take(&mut bytes, 32).to_vec()));
        Some(Self { version, epoch, index, kind, chunk, rest: bytes.to_vec() })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.version];
        put_varint(&mut out, self.epoch);
        put_varint(&mut out, self.index);
        out.push(self.kind);
        if let Some((index, bytes)) = &self.chunk {
            put_varint(&mut out, *index);
            out.extend_from_slice(bytes);
        }
        out.extend_from_slice(&self.rest);
        out
    }
}

/// XEdDSA exactly as its specification has it: the sign bit of the public key is zero, the private scalar is negated
/// where that needs it, and nothing is stored in the signature's top bit.
pub(crate) fn xeddsa_by_the_specification(private: &[u8; 32], message: &[u8], random: &[u8; 64]) -> [u8; 64] {
    let scalar = Scalar::from_bytes_mod_order(clamped(private));
    let is_negative = EdwardsPoint::mul_base(&scalar).compress().0[31] >> 7 == 1;
    let scalar = if is_negative { -scalar } else { scalar };
    let public = EdwardsPoint::mul_base(&scalar).compress().0;
    assert_eq!(public[31] >> 7, 0);

    let prefix = [[0xFE].as_slice(), &[0xFF; 31]].concat();
    let nonce = wide(&[&prefix, scalar.as_bytes(), message, random]);
    let commitment = EdwardsPoint::mul_base(&nonce).compress().0;
    let challenge = wide(&[&commitment, &public, message]);
    let response = nonce + challenge * scalar;
    [commitment, response.to_bytes()].concat().try_into().unwrap()
}

/// Whether the Edwards form of the public key of this private key has sign bit 1.
pub(crate) fn edwards_sign(private: &[u8; 32]) -> u8 {
    EdwardsPoint::mul_base_clamped(clamped(private)).compress().0[31] >> 7
}

/// The same public key with the bit set that X25519 ignores.
pub(crate) fn with_top_bit(public: &[u8]) -> Vec<u8> {
    let mut key = public.to_vec();
    key[32] |= 0x80;
    key
}

/// A public key with a component of order eight, which clamped private keys annihilate.
pub(crate) fn with_torsion(public: &[u8]) -> Vec<u8> {
    let point = MontgomeryPoint(public[1..].try_into().unwrap()).to_edwards(0).unwrap();
    let mixed = (point + EIGHT_TORSION[1]).to_montgomery();
    assert_eq!(mixed.mul_clamped([9; 32]), point.to_montgomery().mul_clamped([9; 32]));
    [&public[..1], mixed.as_bytes()].concat()
}

fn clamped(private: &[u8; 32]) -> [u8; 32] {
    let mut bytes = *private;
    bytes[0] &= 248;
    bytes[31] = bytes[31] & 127 | 64;
    bytes
}

fn wide(parts: &[&[u8]]) -> Scalar {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}
