//! Figures round by round, and their medians.
use std::io;

/// What a figure counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    /// More is better.
    PerSecond,
    /// A second; more is better.
    Megabytes,
    /// Less is better.
    Microseconds,
    /// Likewise.
    Bytes,
}

/// A row's name, its figures round by round, and those of what it is compared with.
#[derive(Clone, Debug)]
pub struct Figure {
    name: String,
    unit: Unit,
    rounds: Vec<f64>,
    beside: Vec<(&'static str, Vec<f64>)>,
}

#[derive(Debug, Default)]
pub(super) struct Table(Vec<Figure>);

impl Table {
    /// One round's figures.
    pub(super) fn row(&mut self, name: &str, unit: Unit, figure: f64, beside: &[(&'static str, f64)]) {
        let at = self.0.iter().position(|row| row.name == name).unwrap_or_else(|| {
            let beside = beside.iter().map(|(name, _)| (*name, Vec::new())).collect();
            self.0.push(Figure { name: name.to_owned(), unit, rounds: Vec::new(), beside });
            self.0.len().saturating_sub(1)
        });
        let Some(row) = self.0.get_mut(at) else { return };
        row.rounds.push(figure);
        for ((_, rounds), (_, figure)) in row.beside.iter_mut().zip(beside) {
            rounds.push(*figure);
        }
    }

    pub(super) fn print(&self, out: &mut impl io::Write) -> io::Result<()> {
        for Figure { name, unit, rounds, beside } in &self.0 {
            let unit = match unit {
                Unit::PerSecond => "/s",
                Unit::Megabytes => "MB/s",
                Unit::Microseconds => "µs",
                Unit::Bytes => "B",
            };
            write!(out, "{name:<36}{:>10.0} {unit:<4}", median(rounds))?;
            for (other, figures) in beside {
                // The ratio of each round, so that what slows both slows neither.
                let ratios: Vec<_> = rounds.iter().zip(figures).map(|(one, other)| one / other).collect();
                write!(out, "  {:.2} of {other} ({:.0})", median(&ratios), median(figures))?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

fn median(figures: &[f64]) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is the report")]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_the_median_and_the_median_of_the_ratios() {
        let mut table = Table::default();
        for (figure, other) in [(10.0, 20.0), (30.0, 40.0), (20.0, 20.0)] {
            table.row("puts", Unit::PerSecond, figure, &[("other", other)]);
        }
        let mut out = Vec::new();
        table.print(&mut out).unwrap();
        let line = String::from_utf8(out).unwrap();
        assert!(line.contains("puts") && line.contains("20 /s") && line.contains("0.75 of other (20)"), "{line}");
    }
}
