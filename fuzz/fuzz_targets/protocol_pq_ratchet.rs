//! Two post-quantum ratchets over a network that loses, repeats, reorders and spoils fields, and passes the spoilt ones off
//! as authentic. Whatever it does: nothing panics, and an unspoilt field that is accepted has the key it was sent with. (A
//! spoilt chunk may stop the exchange, as only the peer itself could; it never makes the two ends disagree on a key.)
#![no_main]

mod protocol_harness;

use libfuzzer_sys::fuzz_target;
use protocol_harness::rng;
use waxwing_protocol::hazmat::PostQuantumRatchet;

struct Flying {
    field: Vec<u8>,
    key: Option<[u8; 32]>,
}

fuzz_target!(|data: &[u8]| {
    let rng = &mut rng(1);
    let mut ends = [PostQuantumRatchet::new(&[7; 32], true), PostQuantumRatchet::new(&[7; 32], false)];
    let mut flying: [Vec<Flying>; 2] = [Vec::new(), Vec::new()];
    let mut bytes = data.iter().copied();
    while let Some(step) = bytes.next() {
        let (side, action) = (usize::from(step & 1), step >> 1 & 7);
        let inbox = 1 - side;
        match action {
            // Up to 16 at once, so that few bytes lead through epochs.
            0..=2 => {
                for _ in 0..=step >> 4 {
                    let (field, key) = ends[side].send(rng).expect("there are numbers left");
                    flying[inbox].push(Flying { field, key: Some(*key) });
                }
            }
            3..=5 => {
                for _ in 0..=step >> 4 {
                    if !flying[side].is_empty() {
                        let at = if action == 5 { flying[side].len() - 1 } else { 0 };
                        deliver(&mut ends[side], &flying[side].remove(at));
                    }
                }
            }
            6 => {
                if let Some(repeated) = flying[side].first() {
                    deliver(&mut ends[side], repeated);
                }
            }
            _ => {
                if let Some(spoilt) = flying[side].last_mut()
                    && let (Some(at), Some(by)) = (bytes.next(), bytes.next())
                {
                    let at = usize::from(at) % spoilt.field.len();
                    spoilt.field[at] ^= by;
                    spoilt.key = spoilt.key.filter(|_| by == 0);
                }
            }
        }
    }
});

fn deliver(end: &mut PostQuantumRatchet, Flying { field, key }: &Flying) {
    let before = format!("{end:?}");
    match end.receive(field) {
        Ok(received) => assert!(key.is_none() || received.map(|key| *key) == *key, "another key"),
        Err(_) => assert_eq!(format!("{end:?}"), before),
    }
}
