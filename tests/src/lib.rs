//! End-to-end tests of Waxwing: see `tests/` beside this crate's manifest. Nothing depends on this crate.
