//! The attacks of the table in spec/90-attacks.md, by their ids, through the public API and with an attacker's means: bytes.

mod a01_prekey_signatures;
mod a02_type_confusion;
mod a03_a11_kyber;
mod a04_identity_misbinding;
mod a05_replayed_first_message;
mod a08_a09_edge_keys;
mod a10_signature_malleability;
mod a12_downgrade;
mod a14_deniability;
mod a15_harvest_now;
mod b03_b04_failed_open;
mod b10_bit_flips;
mod b13_padding;
mod b14_confusion;
mod b16_broken_rng;
mod b17_debug_output;
mod b18_chunks;
mod c03_c04_groups;
