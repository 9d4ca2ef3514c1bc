#![no_main]
//! Generation statements (spec 11.4): total, and what decodes encodes to the same bytes.
use libfuzzer_sys::fuzz_target;
use waxwing_wire::statement::GenerationStatementIn;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(object) = GenerationStatementIn::decode(bytes) {
        assert_eq!(object.encode(), bytes);
    }
});
