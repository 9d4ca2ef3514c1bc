//! What starting a session costs, in units of one x25519-dalek ladder measured in the same run.
//!
//! ```sh
//! cargo bench -p waxwing-protocol --features hazmat --bench agreement
//! ```
//! Criterion reports times with their confidence intervals. The table afterwards runs every row once a round, warmed up by an
//! untimed run, so that a machine that slows down or speeds up meanwhile does so for the unit as well; it compares medians and
//! fastest runs. With a filter that matches nothing (`-- nothing`) only the table is made.
//!
//! "agree" and "verify" take keys as bytes and include decoding them (as "parse, ratchet key"); sessions decode once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is the report")]
#![allow(missing_docs, reason = "a program")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use waxwing_protocol::{
    Bundle, BundleIn, DeviceId, IdentityKey, IdentityKeyPair, KyberPrekey, KyberPrekeyId, KyberPrekeyIn,
    KyberPrekeyRef, KyberPublicKey, LastResortUses, LocalDevice, OneTimePrekey, OneTimePrekeyId, OneTimePrekeyIn,
    PreKeySignalMessage, PrivatePrekeys, RatchetKey, RegistrationId, Session, SignedPrekey, SignedPrekeyId,
    SignedPrekeyIn, Timestamp, hazmat,
};
use x25519_dalek::{PublicKey, StaticSecret};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
/// Rounds of the table; each runs every row once.
const ROUNDS: usize = 2000;
/// Criterion's name of the unit.
const UNIT: &str = "x25519-dalek ladder";

/// What an operation may cost, in units. The official library natively: 8 to 8.8 and 8 to 9.5, with fewer checks.
const FLOORS: &[(&str, f64)] =
    &[("initiator, every check", 8.3), ("initiator, checked bundle", 6.5), ("responder", 7.3)];

struct Scene {
    rng: ChaCha20Rng,
    alice: IdentityKeyPair,
    bob: IdentityKeyPair,
    signed: SignedPrekey,
    one_time: OneTimePrekey,
    kyber: KyberPrekey,
    uses: LastResortUses,
    encoded: Encoded,
    first: Vec<u8>,
}

/// A bundle as it came from a server.
struct Encoded {
    identity: [u8; 33],
    signed: [u8; 33],
    signed_signature: [u8; 64],
    one_time: [u8; 33],
    kyber: Box<[u8]>,
    kyber_signature: [u8; 64],
}

impl Encoded {
    fn bundle_in(&self) -> BundleIn<'_> {
        BundleIn {
            registration_id: RegistrationId(1),
            device_id: DeviceId::new(1).unwrap(),
            identity_key: &self.identity,
            signed_prekey: SignedPrekeyIn {
                id: SignedPrekeyId(1),
                public_key: &self.signed,
                signature: &self.signed_signature,
            },
            one_time_prekey: Some(OneTimePrekeyIn { id: OneTimePrekeyId(2), public_key: &self.one_time }),
            kyber_prekey: Some(KyberPrekeyIn {
                id: KyberPrekeyId(3),
                public_key: &self.kyber,
                signature: &self.kyber_signature,
            }),
        }
    }
}

const fn local(identity: &IdentityKeyPair) -> LocalDevice<'_> {
    LocalDevice { identity, registration_id: RegistrationId(1), addresses: None }
}

impl Scene {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (alice, bob) = (IdentityKeyPair::generate(&mut rng), IdentityKeyPair::generate(&mut rng));
        let signed = SignedPrekey::generate(SignedPrekeyId(1), &bob, &mut rng);
        let one_time = OneTimePrekey::generate(OneTimePrekeyId(2), &mut rng);
        let kyber = KyberPrekey::generate(KyberPrekeyId(3), &bob, &mut rng);
        let encoded = Encoded {
            identity: bob.public_key().to_bytes(),
            signed: signed.public_key().to_bytes(),
            signed_signature: *signed.signature().as_bytes(),
            one_time: one_time.public_key().to_bytes(),
            kyber: kyber.public_key().to_bytes(),
            kyber_signature: *kyber.signature().as_bytes(),
        };
        let bundle = encoded.bundle_in().verify().unwrap();
        let first = initiate(&alice, &bundle, &mut rng);
        Self { rng, alice, bob, signed, one_time, kyber, uses: LastResortUses::new(), encoded, first }
    }

    /// Message bytes to plaintext and session.
    fn respond(&mut self) -> Session {
        let message = PreKeySignalMessage::decode(&self.first).unwrap();
        let prekeys = PrivatePrekeys {
            signed: &self.signed,
            one_time: Some(&self.one_time),
            kyber: Some(KyberPrekeyRef::LastResort(&self.kyber)),
            uses: &self.uses,
        };
        let mut session = Session::new();
        black_box(session.accept(local(&self.bob), prekeys, &message, &mut self.rng).unwrap().commit());
        session
    }
}

/// Checked bundle to first message.
fn initiate(alice: &IdentityKeyPair, bundle: &Bundle, rng: &mut ChaCha20Rng) -> Vec<u8> {
    let mut session = Session::new();
    session.initiate(local(alice), bundle, NOW, rng).unwrap().commit();
    session.seal(b"hello", NOW, rng).unwrap().commit().into_bytes()
}

/// A row of the table: what it is called, and one execution of it.
type Row<'s> = (&'static str, Box<dyn FnMut() + 's>);

/// Every operation with a scene of its own.
fn rows(scenes: &mut [Scene; 4]) -> Vec<Row<'_>> {
    let [one, two, three, four] = scenes;
    let (secret, public) = (StaticSecret::from([7; 32]), PublicKey::from([9; 32]));
    let bundle = two.encoded.bundle_in().verify().unwrap();
    let message = [5; 33];
    let signature = hazmat::sign(&four.alice, &message, &mut four.rng);
    let (kyber_public, kyber_secret) = hazmat::kyber_generate(&mut four.rng);
    let (ciphertext, _) = hazmat::kyber_encapsulate(&kyber_public, &mut four.rng);
    let encoded_kyber = kyber_public.to_bytes();
    let encoded = four.bob.public_key().to_bytes();
    let (alice, bob) = (&four.alice, four.bob.public_key());
    let rng = |seed| ChaCha20Rng::seed_from_u64(seed);
    let (mut for_sign, mut for_generate, mut for_encapsulate, mut for_pair) = (rng(1), rng(2), rng(3), rng(4));
    vec![
        (UNIT, Box::new(move || drop(black_box(secret.diffie_hellman(black_box(&public)))))),
        (
            "initiator, every check",
            Box::new(move || {
                let bundle = black_box(&one.encoded).bundle_in().verify().unwrap();
                black_box(initiate(&one.alice, &bundle, &mut one.rng));
            }),
        ),
        (
            "initiator, checked bundle",
            Box::new(move || drop(black_box(initiate(&two.alice, black_box(&bundle), &mut two.rng)))),
        ),
        ("responder", Box::new(move || drop(black_box(three.respond())))),
        ("agree", Box::new(move || drop(black_box(hazmat::agree(alice, black_box(bob)).unwrap())))),
        ("key pair", Box::new(move || drop(black_box(IdentityKeyPair::generate(&mut for_pair))))),
        (
            "sign",
            Box::new(move || {
                black_box(hazmat::sign(alice, black_box(&message), &mut for_sign));
            }),
        ),
        ("verify", Box::new(move || hazmat::verify(alice.public_key(), black_box(&message), &signature).unwrap())),
        (
            "parse, strict",
            Box::new(move || {
                black_box(IdentityKey::parse(black_box(&encoded)).unwrap());
            }),
        ),
        (
            "parse, ratchet key",
            Box::new(move || {
                black_box(RatchetKey::parse(black_box(&encoded)).unwrap());
            }),
        ),
        (
            "Kyber1024 parse",
            Box::new(move || drop(black_box(KyberPublicKey::parse(black_box(&encoded_kyber)).unwrap()))),
        ),
        ("Kyber1024 generate", Box::new(move || drop(black_box(hazmat::kyber_generate(&mut for_generate))))),
        (
            "Kyber1024 encapsulate",
            Box::new(move || {
                drop(black_box(hazmat::kyber_encapsulate(black_box(&kyber_public), &mut for_encapsulate)));
            }),
        ),
        (
            "Kyber1024 decapsulate",
            Box::new(move || drop(black_box(hazmat::kyber_decapsulate(&kyber_secret, black_box(&ciphertext))))),
        ),
    ]
}

fn main() {
    let mut scenes = [Scene::new(), Scene::new(), Scene::new(), Scene::new()];
    let mut rows = rows(&mut scenes);
    let mut criterion = Criterion::default().configure_from_args();
    for (name, run) in &mut rows {
        criterion.bench_function(name, |bencher| bencher.iter(&mut *run));
    }
    criterion.final_summary();
    table(&mut rows);
}

/// Interleaved rounds; medians and fastest runs in units of the unit's.
fn table(rows: &mut [Row<'_>]) {
    let mut samples = vec![Vec::with_capacity(ROUNDS); rows.len()];
    for _ in 0..ROUNDS {
        for ((_, run), samples) in rows.iter_mut().zip(&mut samples) {
            // Untimed first: the floors come from loops, with code and tables in the caches.
            run();
            let start = Instant::now();
            run();
            samples.push(start.elapsed());
        }
    }
    let summaries: Vec<(f64, f64)> = samples.iter_mut().map(|samples| summary(samples)).collect();
    let unit = rows.iter().position(|(name, _)| *name == UNIT).and_then(|position| summaries.get(position));
    let (unit_median, unit_fastest) = unit.copied().unwrap_or((1.0, 1.0));
    println!("\n{ROUNDS} interleaved rounds          median us    units   fastest    units    floor");
    for ((name, _), (median, fastest)) in rows.iter().zip(&summaries) {
        let units = median / unit_median;
        let floor = FLOORS.iter().find(|(floored, _)| floored == name).map(|(_, floor)| *floor);
        let verdict = floor.map_or_else(String::new, |floor| {
            format!("{floor:>8.2} {}", if units <= floor { "met" } else { "MISSED" })
        });
        let fastest_units = fastest / unit_fastest;
        println!("{name:<28} {median:>11.1} {units:>8.2} {fastest:>9.1} {fastest_units:>8.2} {verdict}");
    }
}

/// Median and fastest, in microseconds.
fn summary(samples: &mut [Duration]) -> (f64, f64) {
    samples.sort_unstable();
    let microseconds = |sample: Option<&Duration>| sample.map_or(f64::NAN, |sample| sample.as_secs_f64() * 1e6);
    (microseconds(samples.get(samples.len() / 2)), microseconds(samples.first()))
}
