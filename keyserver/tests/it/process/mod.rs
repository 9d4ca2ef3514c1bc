//! The key server as its operator and its clients meet it: the binary, QUIC, and nothing of its insides. Spec §19.12.
mod full;
mod kill;
mod life;
mod people;
mod race;
mod server;
mod traces;

/// A number from the environment, so that a test can be made as long as one likes.
fn variable(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}
