//! E5: what decoding allocates is bounded by what came. A process of its own with one test in it, because an allocator counts
//! for all threads; counted by a crate, because counting by hand takes unsafe code.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a panic is the report"
)]

#[path = "samples/mod.rs"]
mod samples;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use waxwing_wire::{content, keyserver, relay};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

type Decode = fn(&[u8]) -> bool;

const DECODERS: [(&str, Decode); 8] = [
    ("waxwing.relay.Request", |bytes| relay::Request::decode(bytes).is_ok()),
    ("waxwing.relay.Reply", |bytes| relay::ServerFrame::decode(bytes).is_ok()),
    ("waxwing.relay.Put", |bytes| relay::Put::decode(bytes).is_ok()),
    ("waxwing.relay.FanOut", |bytes| relay::FanOut::decode(bytes).is_ok()),
    ("waxwing.keyserver.Request", |bytes| keyserver::Request::decode(bytes).is_ok()),
    ("waxwing.keyserver.Reply", |bytes| keyserver::Reply::decode(bytes).is_ok()),
    ("waxwing.keyserver.DeviceRequest", |bytes| keyserver::DeviceRequest::decode(bytes).is_ok()),
    ("waxwing.content.Content", |bytes| content::Content::decode(bytes).is_ok()),
];

/// Bytes allocated in all, freed ones included: never less than the peak. prost copies a bytes field twice, one after the other,
/// and a padded part is decoded once more: hence four times.
fn allocated(decode: Decode, bytes: &[u8]) -> (bool, usize) {
    let region = Region::new(ALLOCATOR);
    let accepted = decode(bytes);
    (accepted, region.change().bytes_allocated)
}

#[test]
fn e5_what_decoding_allocates_is_bounded_by_what_came() {
    refused_messages_allocate_nothing_whatever_they_claim();
    accepted_messages_allocate_at_most_four_times_what_came_and_a_constant();
    the_longest_lists_allocate_no_more();
}

fn refused_messages_allocate_nothing_whatever_they_claim() {
    for (name, decode) in DECODERS {
        for claim in [
            // Field 2 with 4 GiB announced; field 11 with 128 MiB; a million of nothing; nesting; a varint without end.
            vec![0x12, 0xff, 0xff, 0xff, 0xff, 0x0f],
            [&[0x08, 0x01, 0x5a, 0xff, 0xff, 0xff, 0x7f][..], &[0; 100]].concat(),
            [0x3a, 0x00].repeat(500_000),
            (0..50).fold(vec![], |inside, _| [&[0x12, inside.len() as u8][..], &inside].concat()),
            vec![0xff; 1 << 20],
        ] {
            let (accepted, used) = allocated(decode, &claim);
            assert!(!accepted && used == 0, "{name}: {used} bytes for {}", claim.len());
        }
    }
}

fn accepted_messages_allocate_at_most_four_times_what_came_and_a_constant() {
    for (name, case, bytes) in samples::vectors::encoded() {
        let decode = DECODERS.iter().find(|(known, _)| *known == name).unwrap().1;
        let (accepted, used) = allocated(decode, &bytes);
        assert!(accepted && used <= 4 * bytes.len() + 4_096, "{case}: {used} bytes for {}", bytes.len());
    }
}

fn the_longest_lists_allocate_no_more() {
    let entries = vec![relay::RegisterEntry::new(relay::EntryKind::Change, vec![1; 512]).unwrap(); 1_024];
    let head = relay::RegisterHead { version: 2_000, hash: relay::VersionHash::NONE, ended: false };
    let page = relay::RegisterPage { head, first: 1, before: relay::VersionHash::NONE, entries };
    let page = relay::ServerFrame::Reply { id: samples::id(1), result: Ok(relay::RelayReply::RegisterPage(page)) };
    let bound = keyserver::Bound { request: vec![1], prekeys: vec![vec![1]; 202] };
    let bound = keyserver::Request { id: samples::id(1), body: keyserver::KeyserverRequest::Bound(bound) };
    let recipients = (0..5_000_u32).map(|number| {
        let id = waxwing_wire::id::MailboxId::from_bytes(u128::from(number).to_be_bytes());
        let key = waxwing_wire::delivery::DeliveryKey::from_bytes([1; 16]);
        (id, key, waxwing_wire::padding::EnvelopeHeader::from_bytes([2; 48]))
    });
    let fan_out = relay::FanOut {
        delivery: waxwing_wire::id::DeliveryId::from_bytes([1; 16]),
        ttl: relay::Ttl::Day,
        shared: waxwing_wire::padding::SharedPart::new(vec![1; 65_488]).unwrap(),
        recipients: relay::Recipients::new(recipients.collect()).unwrap(),
    };
    for (name, decode, bytes) in [
        ("page", DECODERS[1].1, page.encode().unwrap()),
        ("bound", DECODERS[4].1, bound.encode().unwrap()),
        ("fan-out", DECODERS[3].1, fan_out.encode().unwrap()),
    ] {
        let (accepted, used) = allocated(decode, &bytes);
        assert!(accepted && used <= 4 * bytes.len() + 16_384, "{name}: {used} bytes for {}", bytes.len());
    }
}
