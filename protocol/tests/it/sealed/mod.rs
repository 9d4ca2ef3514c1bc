//! Sealed sender through the public API (spec/08-sealed-sender.md).

mod agreements;
mod attacks;
mod certificates;
mod content;
mod properties;
mod scene;
mod sizes;
mod vectors;
mod version1;
mod version2;
