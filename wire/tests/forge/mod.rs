//! Makes signed objects, good and bad, without the crate's encoder, labels or derivations: a protobuf writer of its own, and
//! ed25519-dalek, sha2 and hkdf directly. What it makes and the crate reads is therefore a check of both.
#![allow(
    dead_code,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::needless_pass_by_value,
    reason = "test code"
)]

pub(crate) mod vectors;

use curve25519_dalek::montgomery::MontgomeryPoint;
use ed25519_dalek::{Signer as _, SigningKey};
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};

/// 2026-01-01 00:00 UTC.
pub(crate) const NOW: u64 = 1_767_225_600_000;
pub(crate) const DAY: u64 = 86_400_000;

/// Appends protobuf fields in whatever order it is told.
#[derive(Clone, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    /// A varint field, left out if zero.
    pub(crate) fn uint(self, field: u32, value: u64) -> Self {
        if value == 0 { self } else { self.spelled(field, value) }
    }

    /// A varint field, written even if zero.
    pub(crate) fn spelled(mut self, field: u32, value: u64) -> Self {
        varint(&mut self.0, u64::from(field) << 3);
        varint(&mut self.0, value);
        self
    }

    pub(crate) fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        varint(&mut self.0, u64::from(field) << 3 | 2);
        varint(&mut self.0, value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    pub(crate) fn packed(self, field: u32, values: &[u64]) -> Self {
        let mut inner = Vec::new();
        values.iter().for_each(|value| varint(&mut inner, *value));
        if inner.is_empty() { self } else { self.bytes(field, &inner) }
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
}

pub(crate) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn labelled(label: &str, content: &[u8]) -> Vec<u8> {
    [label.as_bytes(), &[0], content].concat()
}

pub(crate) fn hash(label: &str, content: &[u8]) -> [u8; 32] {
    Sha256::digest(labelled(label, content)).into()
}

pub(crate) fn derive(key: &[u8; 32], label: &str, context: &[u8]) -> [u8; 32] {
    let mut output = [0; 32];
    Hkdf::<Sha256>::new(None, key).expand(&labelled(label, context), &mut output).unwrap();
    output
}

/// `Signed {body, signature}` with a signature by `seed` under `label`.
pub(crate) fn signed(seed: &[u8; 32], label: &str, body: &[u8]) -> Vec<u8> {
    let signature = SigningKey::from_bytes(seed).sign(&labelled(label, body)).to_bytes();
    framed(body, &signature)
}

pub(crate) fn framed(body: &[u8], signature: &[u8]) -> Vec<u8> {
    Writer::default().bytes(1, body).bytes(2, signature).0
}

pub(crate) fn public(seed: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(seed).verifying_key().to_bytes()
}

pub(crate) fn x25519(seed: &[u8; 32]) -> [u8; 32] {
    MontgomeryPoint::mul_base_clamped(*seed).to_bytes()
}

/// An account from its S.
#[derive(Clone, Copy)]
pub(crate) struct Account(pub(crate) [u8; 32]);

impl Account {
    pub(crate) fn recovery_seed(&self) -> [u8; 32] {
        derive(&self.0, "waxwing/1 recovery key", &[])
    }

    pub(crate) fn recovery(&self) -> [u8; 32] {
        public(&self.recovery_seed())
    }

    pub(crate) fn root_seed(&self, generation: u32) -> [u8; 32] {
        derive(&self.0, "waxwing/1 root key", &generation.to_be_bytes())
    }

    pub(crate) fn id(&self) -> [u8; 32] {
        hash("waxwing/1 account id", &self.recovery())
    }

    pub(crate) fn statement(&self, generation: u32) -> Statement {
        Statement {
            format: 1,
            account: self.id(),
            generation,
            root: public(&self.root_seed(generation)).to_vec(),
            last_trusted: (generation > 0).then(|| vec![0x77; 32]),
            extra: Vec::new(),
            seed: self.recovery_seed(),
            label: "waxwing/1 generation statement",
        }
    }

    /// The first manifest of a generation, of device 1.
    pub(crate) fn first(&self, generation: u32) -> Manifest {
        Manifest {
            account: self.id(),
            generation,
            sequence: 0,
            previous: self.statement(generation).hash().to_vec(),
            last_device: 1,
            servers: vec![server(1, &["keys.example.org:4433"])],
            devices: vec![Device::new(1, 0, 1)],
            is_final: false,
            content_format: 1,
            content_extra: Vec::new(),
            format: 1,
            issued: NOW,
            expires: NOW + 60 * DAY,
            extra: Vec::new(),
            seed: self.root_seed(generation),
            label: "waxwing/1 manifest",
        }
    }
}

pub(crate) fn server(seed: u8, hosts: &[&str]) -> Vec<u8> {
    let address = Writer::default().bytes(1, &public(&[seed; 32]));
    hosts.iter().fold(address, |address, host| address.bytes(2, host.as_bytes())).0
}

#[derive(Clone)]
pub(crate) struct Statement {
    pub(crate) format: u64,
    pub(crate) account: [u8; 32],
    pub(crate) generation: u32,
    pub(crate) root: Vec<u8>,
    pub(crate) last_trusted: Option<Vec<u8>>,
    pub(crate) extra: Vec<u8>,
    pub(crate) seed: [u8; 32],
    pub(crate) label: &'static str,
}

impl Statement {
    pub(crate) fn body(&self) -> Vec<u8> {
        let body = Writer::default().uint(1, self.format).bytes(2, &self.account).uint(3, u64::from(self.generation));
        let body = body.bytes(4, &self.root);
        let body = self.last_trusted.iter().fold(body, |body, hash| body.bytes(5, hash));
        body.raw(&self.extra).0
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        hash("waxwing/1 generation statement", &self.body())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        signed(&self.seed, self.label, &self.body())
    }
}

#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) id: u64,
    pub(crate) joined: u32,
    pub(crate) registration: u64,
    pub(crate) identity: Vec<u8>,
    pub(crate) signing_seed: [u8; 32],
    pub(crate) signing: Vec<u8>,
    pub(crate) certificate: Vec<u8>,
    pub(crate) suites: Vec<u64>,
    pub(crate) contents: Vec<u64>,
    /// What the counter-signature names, if not what the manifest says.
    pub(crate) elsewhere: Option<([u8; 32], u32, u8, u32)>,
    pub(crate) counter_signature: Option<Vec<u8>>,
    pub(crate) extra: Vec<u8>,
}

impl Device {
    pub(crate) fn new(id: u64, joined: u32, seed: u8) -> Self {
        Self {
            id,
            joined,
            registration: 1000 + u64::from(seed),
            identity: x25519(&[seed; 32]).to_vec(),
            signing_seed: [seed ^ 0x40; 32],
            signing: public(&[seed ^ 0x40; 32]).to_vec(),
            certificate: x25519(&[seed ^ 0x80; 32]).to_vec(),
            suites: vec![1],
            contents: vec![1],
            elsewhere: None,
            counter_signature: None,
            extra: Vec::new(),
        }
    }

    fn encode(&self, account: &[u8; 32], generation: u32) -> Vec<u8> {
        let (account, generation, id, joined) =
            self.elsewhere.unwrap_or((*account, generation, self.id as u8, self.joined));
        let mut join = vec![1];
        join.extend(account);
        join.extend(generation.to_be_bytes());
        join.push(id);
        join.extend(joined.to_be_bytes());
        join.extend((self.registration as u32).to_be_bytes());
        join.extend([&*self.identity, &*self.signing, &*self.certificate].concat());
        let made = SigningKey::from_bytes(&self.signing_seed).sign(&labelled("waxwing/1 device", &join)).to_bytes();
        Writer::default()
            .uint(1, self.id)
            .uint(2, u64::from(self.joined))
            .uint(3, self.registration)
            .bytes(4, &self.identity)
            .bytes(5, &self.signing)
            .bytes(6, &self.certificate)
            .packed(7, &self.suites)
            .packed(8, &self.contents)
            .bytes(9, self.counter_signature.as_deref().unwrap_or(&made))
            .raw(&self.extra)
            .0
    }
}

#[derive(Clone)]
pub(crate) struct Manifest {
    pub(crate) account: [u8; 32],
    pub(crate) generation: u32,
    pub(crate) sequence: u32,
    pub(crate) previous: Vec<u8>,
    pub(crate) last_device: u64,
    pub(crate) servers: Vec<Vec<u8>>,
    pub(crate) devices: Vec<Device>,
    pub(crate) is_final: bool,
    pub(crate) content_format: u64,
    pub(crate) content_extra: Vec<u8>,
    pub(crate) format: u64,
    pub(crate) issued: u64,
    pub(crate) expires: u64,
    pub(crate) extra: Vec<u8>,
    pub(crate) seed: [u8; 32],
    pub(crate) label: &'static str,
}

impl Manifest {
    pub(crate) fn content(&self) -> Vec<u8> {
        let content = Writer::default()
            .uint(1, self.content_format)
            .bytes(2, &self.account)
            .uint(3, u64::from(self.generation))
            .uint(4, u64::from(self.sequence))
            .bytes(5, &self.previous)
            .uint(6, self.last_device);
        let content = self.servers.iter().fold(content, |content, server| content.bytes(7, server));
        let devices = self.devices.iter().map(|device| device.encode(&self.account, self.generation));
        let content = devices.fold(content, |content, device| content.bytes(8, &device));
        content.uint(9, u64::from(self.is_final)).raw(&self.content_extra).0
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        hash("waxwing/1 manifest content", &self.content())
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        self.body_of(&self.content())
    }

    pub(crate) fn body_of(&self, content: &[u8]) -> Vec<u8> {
        let body = Writer::default().uint(1, self.format).bytes(2, content);
        body.uint(3, self.issued).uint(4, self.expires).raw(&self.extra).0
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        signed(&self.seed, self.label, &self.body())
    }

    /// The next content with the same devices.
    pub(crate) fn next(&self) -> Self {
        Self { sequence: self.sequence + 1, previous: self.hash().to_vec(), ..self.clone() }
    }

    /// The next content with one more device.
    pub(crate) fn with_device(&self, seed: u8) -> Self {
        let mut next = self.next();
        next.last_device += 1;
        next.devices.push(Device::new(next.last_device, next.sequence, seed));
        next
    }

    /// The next content without the device.
    pub(crate) fn without_device(&self, id: u64) -> Self {
        let mut next = self.next();
        next.devices.retain(|device| device.id != id);
        next
    }

    /// The next content, final.
    pub(crate) fn deleted(&self) -> Self {
        Self { is_final: true, devices: Vec::new(), servers: Vec::new(), ..self.next() }
    }

    /// The same content, signed later.
    pub(crate) fn renewed(&self, days: u64) -> Self {
        Self { issued: self.issued + days * DAY, expires: self.expires + days * DAY, ..self.clone() }
    }

    pub(crate) fn changed(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }
}
