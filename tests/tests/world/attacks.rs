//! Attacks that clients answer, by their ids (spec/90-attacks.md).
