//! Runs each check in a process of its own, reads dudect's statistics, and compares them with what is expected.

use std::process::{Command, ExitCode};

use super::Check;

/// The first argument of a child.
pub(crate) const CHILD: &str = "--one-check";

/// Below it dudect sees no difference; its authors' bound.
const NOTHING: f64 = 4.5;
/// Above it there certainly is one; between the two, take more samples on a quieter machine.
const CERTAIN: f64 = 10.0;
/// A disturbance of the machine looks like a leak once; a leak looks like one each time.
const ATTEMPTS: usize = 3;

pub(crate) enum Expected {
    NoDifference,
    /// The planted leaks.
    Difference,
}

/// All checks whose name contains `filter`; fails if one does not come out as expected.
pub(crate) fn all(checks: &[Check], filter: Option<&str>) -> ExitCode {
    let mut failed = false;
    println!("{:18} {:>10} {:>10} {:>10}  verdict", "", "|t|", "samples", "|tau|");
    for check in checks.iter().filter(|check| filter.is_none_or(|filter| check.name.contains(filter))) {
        let mut verdict = "";
        for _ in 0..ATTEMPTS {
            let Statistics { t, tau, samples } = measure(check.name);
            verdict = judge(&check.expected, t);
            println!("{:18} {t:>10.2} {samples:>10} {tau:>10.5}  {verdict}", check.name);
            if verdict.starts_with("ok") {
                break;
            }
        }
        println!("    {}", check.what);
        failed |= !verdict.starts_with("ok");
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn judge(expected: &Expected, t: f64) -> &'static str {
    match expected {
        Expected::NoDifference if t < NOTHING => "ok: no difference",
        Expected::NoDifference if t < CERTAIN => "unclear: more samples, on a quieter machine",
        Expected::NoDifference => "LEAK",
        Expected::Difference if t > CERTAIN => "ok: the leak is found",
        Expected::Difference => "NOT FOUND: the check is blind",
    }
}

struct Statistics {
    t: f64,
    tau: f64,
    samples: u64,
}

fn measure(name: &str) -> Statistics {
    let output = Command::new(std::env::current_exe().unwrap()).args([CHILD, name]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{name} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    parse(&text).unwrap_or_else(|| panic!("no statistics in {text:?}"))
}

/// `bench agree ... : n == +0.100M, max t = +1.23456, max tau = +0.00390, (5/tau)^2 = 1640000`
fn parse(text: &str) -> Option<Statistics> {
    let line = text.lines().find(|line| line.contains("max tau"))?;
    let number = |after: &str| -> Option<f64> {
        let (_, rest) = line.split_once(after)?;
        rest.split([',', 'M']).next()?.trim().parse().ok()
    };
    let samples = number("n == ")? * 1e6;
    Some(Statistics { t: number("max t = ")?.abs(), tau: number("max tau = ")?.abs(), samples: samples as u64 })
}
