//! Clients with their stores and their drivers, over real connections to real servers in this process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says where")]
mod person;
mod talking;
