//! B17: what stays in memory after keys were dropped. A process of its own uses every kind of key and then reads its own
//! memory (`/proc/self/mem`): a secret must be found while it is in use, which shows that the search works, and nowhere once
//! it was dropped.
//!
//! Searched is everything writable but the stack: the heap and every anonymous mapping. On the stack, copies that a function
//! left behind are overwritten by the next calls at best; no library in safe Rust can promise more (SECURITY.md).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;

use rand_chacha::rand_core::Rng;
use waxwing_protocol::{Budget, PreKeySignalMessage, Session, SignalMessage, Suite};

use crate::initiator::{Initiator, dh, hkdf, hmac, public_part};
use crate::party::{Kyber, NOW, OneTime, Party, ordinary_message, rng};

const CHILD: &str = "WAXWING_MEMORY_CHILD";
const TEST: &str = "memory::b17_no_secret_stays_on_the_heap_after_its_owner_was_dropped";

/// Secrets are kept for the comparison under this mask, so that the search does not find its own list.
const MASK: u8 = 0xA7;

struct Needle {
    name: &'static str,
    masked: [u8; 32],
}

impl Needle {
    fn new(name: &'static str, secret: &[u8]) -> Self {
        let mut masked = [MASK; 32];
        masked.iter_mut().zip(secret).for_each(|(masked, byte)| *masked ^= byte);
        Self { name, masked }
    }
}

#[test]
fn b17_no_secret_stays_on_the_heap_after_its_owner_was_dropped() {
    if std::env::var_os(CHILD).is_some() {
        return in_the_child();
    }
    // One thread: no other test allocates in between.
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--test-threads=1", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}\n{stderr}");
}

fn in_the_child() {
    the_search_finds_what_is_there();
    long_term_keys();
    sessions();
}

fn the_search_finds_what_is_there() {
    let planted: Box<[u8; 32]> = Box::new(std::array::from_fn(|i| i as u8 ^ 0x5C));
    let needle = Needle::new("planted", &*planted);
    assert_found(&[needle.masked], &["planted"]);
    // An allocation that is freed without wiping stays readable: the search would notice a crate that does not wipe.
    drop(planted);
    let mut large = vec![0_u8; 1 << 20];
    large[777_777..777_809].iter_mut().enumerate().for_each(|(i, byte)| *byte = i as u8 ^ 0x5C);
    assert_found(&[needle.masked], &["planted in a large allocation"]);
    large.fill(0);
}

fn long_term_keys() {
    let rng = &mut rng(1);
    let bob = Party::new(2, rng);
    let kyber = bob.kyber.secret_key().to_bytes();
    let needles = [
        Needle::new("identity", &*bob.identity.private_key()),
        Needle::new("signed prekey", &*bob.signed.private_key()),
        Needle::new("one-time prekey", &*bob.one_time.private_key()),
        Needle::new("Kyber prekey, first bytes", &kyber[1..33]),
        Needle::new("Kyber prekey, in the middle", &kyber[700..732]),
        Needle::new("Kyber prekey, z", &kyber[3137..]),
    ];
    drop(kyber);
    assert_all_found(&needles);
    // Restored from storage, used for an agreement and for signatures: every path that touches them.
    let signature = *bob.signed.signature();
    let restored =
        waxwing_protocol::SignedPrekey::restore(bob.signed.id(), &bob.signed.private_key(), signature, &bob.identity);
    let again = waxwing_protocol::KyberPrekey::generate(bob.kyber.id(), &bob.identity, rng);
    let alice = Party::new(1, rng);
    let first = crate::party::first_message(&mut alice.initiate(&bob, Suite::Pqxdh, OneTime::With, rng), b"hello");
    drop(bob.join(&alice, &first, Kyber::OneTime, rng).unwrap());
    assert_all_found(&needles);
    drop((restored.unwrap(), again, bob));
    assert_none_found(&needles);
}

/// Root key, chain keys, ratchet keys, kept seeds and plaintexts, as another implementation computes them.
fn sessions() {
    let setup = &mut rng(2);
    let (alice, bob) = (Party::without_post_quantum_ratchet(1, setup), Party::without_post_quantum_ratchet(2, setup));
    let mut initiator = Initiator::new(&alice, &bob, Suite::Pqxdh, OneTime::With, setup);
    let first = PreKeySignalMessage::decode(&initiator.first_message(b"hello")).unwrap();
    // The responder draws its ratchet key from a generator that we can draw from as well.
    let mut at_bob = bob.join(&alice, &first, Kyber::OneTime, &mut rng(3)).unwrap().0;
    let mut ratchet = [0; 32];
    rng(3).fill_bytes(&mut ratchet);
    let sender = public_part(&crate::initiator::encoded(&crate::initiator::public_of(&initiator.ratchet_private)));
    let [root, sending] = hkdf(&initiator.root_key, &dh(&ratchet, &sender), b"WhisperRatchet");
    ratchet[0] &= 248;
    ratchet[31] = ratchet[31] & 127 | 64;

    // Two messages that do not come: their seeds are kept.
    let kept = hmac(&initiator.chain_key, &[&[0x01]]);
    let _ = (initiator.signal(b"late"), initiator.signal(b"lost"));
    let marker: [u8; 32] = std::array::from_fn(|i| 0x80 ^ (i as u8 * 7));
    let third = SignalMessage::decode(&initiator.signal(&marker)).unwrap();
    let plaintext = Needle::new("plaintext of a message that is not committed", &marker);
    // What this test's own cipher left behind would be blamed on the crate.
    assert_none_found(std::slice::from_ref(&plaintext));
    {
        let opened = at_bob.open(&third, &mut Budget::default(), setup).unwrap();
        assert_found(&[plaintext.masked], &[plaintext.name]);
        drop(opened);
    }
    assert_none_found(&[plaintext]);
    assert_eq!(at_bob.open(&third, &mut Budget::default(), setup).unwrap().commit(), marker);

    let needles = [
        Needle::new("root key", &root),
        Needle::new("sending chain key", &sending),
        Needle::new("receiving chain key", &initiator.chain_key),
        Needle::new("ratchet key", &ratchet),
        Needle::new("seed of a skipped message", &kept),
    ];
    assert_all_found(&needles);
    // A step of the chain leaves nothing of the one before it.
    let _ = ordinary_message(&mut at_bob, b"answer");
    assert_none_found(&needles[1..2]);
    // Deltas and records hold everything; a session that was loaded holds it again.
    drop(at_bob.seal(b"not sent", NOW, &mut crate::party::draw()).unwrap().delta());
    let records: Vec<_> = at_bob.records().collect();
    let again = Session::load(records.iter().map(|(key, value)| (key.as_bytes(), value.as_slice()))).unwrap();
    drop(records);
    drop(at_bob);
    for needle in [&needles[0], &needles[2], &needles[3], &needles[4]] {
        assert_found(&[needle.masked], &[needle.name]);
    }
    drop(again);
    assert_none_found(&needles);
}

fn assert_all_found(needles: &[Needle]) {
    for needle in needles {
        assert_found(&[needle.masked], &[needle.name]);
    }
}

fn assert_found(masked: &[[u8; 32]], names: &[&str]) {
    for (masked, name) in masked.iter().zip(names) {
        assert!(count(masked) > 0, "{name}: in use, and not found: the search does not work");
    }
}

fn assert_none_found(needles: &[Needle]) {
    for Needle { name, masked } in needles {
        assert_eq!(count(masked), 0, "{name}: still in memory after its owner was dropped");
    }
}

/// How often a secret stands in this process's writable memory, the stacks of this thread and the main thread excepted.
fn count(masked: &[u8; 32]) -> usize {
    let on_this_stack = std::ptr::from_ref(&masked).addr() as u64;
    let memory = File::open("/proc/self/mem").unwrap();
    let mappings = std::fs::read_to_string("/proc/self/maps").unwrap();
    assert!(mappings.contains("[heap]") && mappings.contains("[stack]"));
    let (stack, others): (Vec<_>, Vec<_>) =
        mappings.lines().filter_map(writable).partition(|(start, end)| (*start..*end).contains(&on_this_stack));
    assert!(stack.iter().all(|(start, end)| end - start < 4 << 20), "a stack and nothing else: {stack:x?}");
    others.into_iter().map(|(start, end)| count_in(&memory, start, end, masked)).sum()
}

/// The address range of a line of `/proc/self/maps`, if it is to be searched.
fn writable(line: &str) -> Option<(u64, u64)> {
    let mut columns = line.split_whitespace();
    let (start, end) = columns.next()?.split_once('-')?;
    let is_writable = columns.next()?.starts_with("rw");
    let is_stack = line.ends_with("[stack]");
    let parse = |text| u64::from_str_radix(text, 16).unwrap();
    (is_writable && !is_stack).then(|| (parse(start), parse(end)))
}

/// The buffer stands on the stack, which is not searched, and is wiped.
fn count_in(memory: &File, start: u64, end: u64, masked: &[u8; 32]) -> usize {
    let mut buffer = [0_u8; 64 * 1024];
    let (mut at, mut found) = (start, 0);
    while at < end {
        let len = usize::try_from((end - at).min(buffer.len() as u64)).unwrap();
        // A guard page or the like cannot be read, and cannot hold anything.
        if memory.read_exact_at(&mut buffer[..len], at).is_ok() {
            let is_match = |window: &&[u8]| window.iter().zip(masked).all(|(byte, masked)| byte ^ MASK == *masked);
            found += buffer[..len].windows(32).filter(is_match).count();
        }
        if len <= 32 {
            break;
        }
        // A match that crosses the border is found in the next piece.
        at += len as u64 - if at + (len as u64) < end { 31 } else { 0 };
    }
    buffer.fill(0);
    std::hint::black_box(&buffer);
    found
}
