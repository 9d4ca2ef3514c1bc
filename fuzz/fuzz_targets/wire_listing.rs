#![no_main]
//! Listings (spec 11.8).
use libfuzzer_sys::fuzz_target;
use waxwing_wire::listing::ListingIn;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(object) = ListingIn::decode(bytes) {
        assert_eq!(object.encode(), bytes);
    }
});
