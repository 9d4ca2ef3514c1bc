//! Whether time tells secrets: MAC comparison, agreement and signing under dudect (Reparaz, Balasch, Verbauwhede 2016), and
//! planted leaks that the same harness must find. On demand; `protocol/CONSTANT-TIME.md` says how to read it.
//!
//! ```sh
//! cargo bench -p waxwing-protocol --features hazmat --bench constant_time             # everything, with a verdict
//! cargo bench -p waxwing-protocol --features hazmat --bench constant_time -- agree    # one check
//! ```
//! Each check times one operation many times with inputs of two classes, mixed at random, and asks by Welch's t-test
//! whether the classes differ. All inputs exist before the clock runs and lie in memory alike, whatever their class.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a check that cannot go on stops"
)]

mod curve;
mod mac;
mod verdict;

use std::process::ExitCode;

use dudect_bencher::ctbench::{BenchMetadata, BenchName, BenchOpts, run_benches_console};
use dudect_bencher::rand::Rng as _;
use dudect_bencher::{BenchRng, Class, CtRunner};

use self::verdict::Expected;

/// One check.
pub(crate) struct Check {
    name: &'static str,
    what: &'static str,
    run: fn(&mut CtRunner, &mut BenchRng),
    expected: Expected,
}

const CHECKS: &[Check] = &[
    Check {
        name: "mac_compare",
        what: "the comparison of a received MAC: wrong in the first byte, or only in the last",
        run: mac::compare,
        expected: Expected::NoDifference,
    },
    Check {
        name: "mac_compare_leak",
        what: "planted: the same with an early exit",
        run: mac::compare_early_exit,
        expected: Expected::Difference,
    },
    Check {
        name: "open_forged",
        what: "Session::open of a forgery: MAC wrong in the first byte, or only in the last",
        run: mac::open,
        expected: Expected::NoDifference,
    },
    Check {
        name: "open_forged_leak",
        what: "planted: the same, and an early-exit comparison behind it",
        run: mac::open_early_exit,
        expected: Expected::Difference,
    },
    Check {
        name: "agree",
        what: "X25519: one private key of nearly no bits, or random ones",
        run: curve::agree,
        expected: Expected::NoDifference,
    },
    Check {
        name: "agree_leak",
        what: "planted: the same product by a variable-time multiplication",
        run: curve::agree_variable_time,
        expected: Expected::Difference,
    },
    Check {
        name: "sign_key",
        what: "XEdDSA: one private key of nearly no bits, or random ones",
        run: curve::sign_key,
        expected: Expected::NoDifference,
    },
    Check {
        name: "sign_nonce",
        what: "XEdDSA: one key and one nonce, or one key and random nonces",
        run: curve::sign_nonce,
        expected: Expected::NoDifference,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        // One check in a process of its own: the library prints its statistics and returns none.
        [flag, name] if flag == verdict::CHILD => run(name),
        _ => verdict::all(CHECKS, arguments.iter().find(|argument| !argument.starts_with('-')).map(String::as_str)),
    }
}

fn run(name: &str) -> ExitCode {
    let check = CHECKS.iter().find(|check| check.name == name).expect("the parent knows the names");
    let bench = BenchMetadata { name: BenchName(check.name), seed: None, benchfn: check.run };
    run_benches_console(BenchOpts::default(), vec![bench]).unwrap();
    ExitCode::SUCCESS
}

/// A fair coin.
pub(crate) fn class(rng: &mut BenchRng) -> Class {
    if rng.next_u32() & 1 == 0 { Class::Left } else { Class::Right }
}

/// How often a check is timed: `WAXWING_CT_SAMPLES` times its own number of thousands.
pub(crate) fn samples(thousands: usize) -> usize {
    let factor = std::env::var("WAXWING_CT_SAMPLES").ok().and_then(|value| value.parse::<f64>().ok()).unwrap_or(1.0);
    ((thousands * 1000) as f64 * factor) as usize
}
