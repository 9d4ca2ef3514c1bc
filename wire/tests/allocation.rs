//! E5: nothing is allocated beyond the announced ceiling. A binary of its own, because it counts every allocation of the
//! process: one test, nothing beside it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a panic is the report"
)]

#[path = "forge/mod.rs"]
mod forge;

use peak_alloc::PeakAlloc;
use waxwing_wire::{
    address::ServerAddress, link::ContactLink, listing::ListingIn, manifest::ManifestIn, moved::MovedIn, name::Name,
    prekey::PrekeyIn, reach::ReachEntryIn, reach::ReachRecordIn, request::BoundRequestIn,
    statement::GenerationStatementIn, words::AccountSecret,
};

use forge::{Writer, vectors::ALICE};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The most that `decode` holds at once, beyond what was there before.
fn peak(decode: impl FnOnce()) -> usize {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    decode();
    ALLOCATOR.peak_usage().saturating_sub(before)
}

#[test]
fn e5_a_decoder_holds_at_most_a_small_multiple_of_its_input_and_nothing_for_what_the_scan_refuses() {
    let huge = u64::from(u32::MAX);
    let length = |length: u64| {
        let mut bytes = vec![0x0a];
        forge::varint(&mut bytes, length);
        bytes
    };
    let device = Writer::default().uint(1, 1).0;
    let many = (0..7_000).fold(Writer::default(), |content, _| content.bytes(8, &device)).0;
    let sixteen = (2..=16).fold(ALICE.first(0), |manifest, seed| manifest.with_device(seed)).encode();
    let mut cases: Vec<(&str, Vec<u8>)> = vec![
        ("a length of 4 GiB", length(huge)),
        ("a length of 2^63", length(1 << 63)),
        ("a megabyte of zeros", vec![0; 1 << 20]),
        ("a megabyte in one field", Writer::default().bytes(1, &vec![0; 1 << 20]).0),
        ("a megabyte of empty fields", [0x0a, 0x00].repeat(1 << 19)),
        ("ten thousand layers", [0x0a, 0x7f].repeat(10_000)),
        ("seven thousand devices", ALICE.first(0).changed(|m| m.extra = many).encode()),
        ("a manifest of 16 devices", sixteen),
        ("a first manifest", ALICE.first(0).encode()),
        ("a statement", ALICE.statement(0).encode()),
    ];
    let mut state = 1u64;
    for length in [10usize, 100, 1_000, 10_000, 100_000] {
        let byte = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            u8::try_from(state >> 56).unwrap()
        };
        cases.push(("noise", (0..length).map(byte).collect()));
    }
    for (name, bytes) in cases {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let link = format!("waxwing:contact/1/{}", "a".repeat(bytes.len()));
        let used = [
            peak(|| drop(ManifestIn::decode(&bytes))),
            peak(|| drop(GenerationStatementIn::decode(&bytes))),
            peak(|| drop(ReachEntryIn::decode(&bytes))),
            peak(|| drop(ReachRecordIn::decode(&bytes))),
            peak(|| drop(ListingIn::decode(&bytes))),
            peak(|| drop(MovedIn::decode(&bytes))),
            peak(|| drop(PrekeyIn::decode(&bytes))),
            peak(|| drop(BoundRequestIn::decode(&bytes))),
            peak(|| drop(text.parse::<ServerAddress>())),
            peak(|| drop(link.parse::<ContactLink>())),
            peak(|| {
                let _ = text.parse::<Name>();
            }),
            peak(|| drop(AccountSecret::from_words(&text))),
        ];
        // Body, content and values are held at once: three times the input. A parsed device takes about a KiB (its keys are
        // held as curve points), of which there are at most 16. And the largest kind bounds all, whatever arrives.
        let fixed = |decoder| if decoder == 0 { 20 * 1024 } else { 4 * 1024 };
        for (decoder, used) in used.into_iter().enumerate() {
            let ceiling = (3 * bytes.len() + fixed(decoder)).min(4 * 65_536);
            assert!(used <= ceiling, "{name}, decoder {decoder}: {used} bytes for {} of input", bytes.len());
        }
        if name.contains("length of") || name.contains("layers") || name.contains("empty fields") {
            assert_eq!(used[..8], [0; 8], "{name}: the scan refuses before anything is allocated");
        }
    }
}
