//! The relay as its operator and its clients meet it: the binary, QUIC, and nothing of its insides. Spec §17.17 to §17.19.
mod backup;
mod bench;
mod blobs;
mod exchange;
mod kill;
mod life;
mod malformed;
mod operator;
mod people;
mod primitives;
mod relay;
mod storm;
mod traces;

/// A number from the environment, so that a test can be made as long as one likes.
fn variable(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}
