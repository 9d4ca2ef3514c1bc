//! Lengths of time and dates, as people write them.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::{civil::DateTime, tz::TimeZone};
use waxwing_wire::time::Timestamp;

/// `90s`, `30m`, `8h`, `2d`, `1w`.
#[must_use]
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
    count.checked_mul(seconds).filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

/// In the largest unit that fits, and never too short: `1s`, `2m`, `3h`, `7d`.
#[must_use]
pub(crate) fn rounded(length: Duration) -> String {
    let seconds = length.as_secs().saturating_add(u64::from(length.subsec_nanos() > 0)).max(1);
    let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')];
    let (unit, name) = units.into_iter().find(|(unit, _)| *unit <= seconds).unwrap_or((1, 's'));
    format!("{}{name}", seconds.div_ceil(unit))
}

/// A date, or a date and a time, in the reader's zone.
#[must_use]
pub(crate) fn date(text: &str) -> Option<Timestamp> {
    let civil: DateTime = text.parse().ok()?;
    let time = civil.to_zoned_datetime(TimeZone::system()).ok()?.timestamp().as_millisecond();
    u64::try_from(time).ok().map(Timestamp)
}

/// By this machine's clock.
#[must_use]
pub(crate) fn now() -> Timestamp {
    Timestamp::EPOCH.saturating_add(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_and_nonsense_is_not() {
        assert_eq!(parse("8h"), Some(Duration::from_secs(28_800)));
        assert_eq!(parse("2w"), Some(Duration::from_secs(1_209_600)));
        for nonsense in ["", "h", "8", "0h", "-1h", "8 h", "99999999999999999999w", "1ü"] {
            assert_eq!(parse(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn lengths_are_written_as_they_are_read_and_never_too_short() {
        for (millis, text) in
            [(0, "1s"), (1_001, "2s"), (59_000, "59s"), (60_000, "1m"), (61_000, "2m"), (604_799_000, "7d")]
        {
            let written = rounded(Duration::from_millis(millis));
            assert_eq!(written, text);
            assert!(parse(&written).unwrap() >= Duration::from_millis(millis));
        }
    }

    #[test]
    fn dates_are_read_in_the_readers_zone() {
        let day = date("2026-11-27").unwrap();
        assert_eq!(date("2026-11-27T01:00").unwrap().0, day.0 + 3_600_000);
        assert_eq!(date("yesterday"), None);
    }
}
