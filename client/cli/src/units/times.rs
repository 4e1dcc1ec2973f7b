//! Moments as people write them, and positions, which may be moments.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rheos_client::Position;

use super::parse_duration_ms;
use crate::near::suggestion;

/// What a position on the command line may be.
pub(crate) const POSITIONS: &str = "\
Positions (--from, --until):
  trim-horizon                before the first record that is kept
  latest                      after the last record that is there now
  1041, after:1041            before and after the record with this sequence, in one shard
  -15m                        this long ago (ms s m h d w)
  2026-11-24T20:15:00Z        a time: with an offset (Z, +01:00), or else in the local time zone
  2026-11-24, @1795551300000  midnight of a day, and milliseconds since 1970";

/// A position: `trim-horizon`, `latest`, a sequence, `after:` and a sequence, or a moment.
pub(crate) fn parse_position(text: &str) -> Result<Position, String> {
    parse_position_at(text, Timestamp::now(), &TimeZone::system())
}

fn parse_position_at(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Position, String> {
    match text {
        TRIM_HORIZON => return Ok(Position::TrimHorizon),
        LATEST => return Ok(Position::Latest),
        _ => {}
    }
    let sequence = |digits: &str| digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
    if let Some(sequence) = sequence(text) {
        return Ok(Position::AtSequence(sequence));
    }
    if let Some(after) = text.strip_prefix(AFTER) {
        let after = sequence(after).ok_or_else(|| format!("{after:?} is no sequence; write after:1041"))?;
        return Ok(Position::AfterSequence(after));
    }
    let moment = match text.strip_prefix('@') {
        Some(at) => sequence(at).map_or_else(|| moment(at, zone), Some),
        None => text.strip_prefix('-').map_or_else(|| moment(text, zone), |ago| before(now, ago)),
    };
    moment.map(Position::AtTimestamp).ok_or_else(|| {
        let hint = suggestion(text, [TRIM_HORIZON, LATEST]);
        format!(
            "{text:?} is no position{hint}; write trim-horizon, latest, a sequence, after:SEQUENCE, a time such as \
             2026-11-24T20:15:00Z, or how long ago, such as -15m"
        )
    })
}

/// A moment, in ms since 1970; where no offset is said, in this time zone.
fn moment(text: &str, zone: &TimeZone) -> Option<u64> {
    let with_offset = text.parse::<Timestamp>().ok();
    let local = || zone.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    u64::try_from(with_offset.or_else(local)?.as_millisecond()).ok()
}

fn before(now: Timestamp, ago: &str) -> Option<u64> {
    u64::try_from(now.as_millisecond()).ok()?.checked_sub(parse_duration_ms(ago).ok()?)
}

/// A UTC time as RFC 3339 has it, to the second.
pub(crate) fn show_time_ms(ms: u64) -> String {
    shown(ms, |at| format!("{at:.0}"))
}

/// The same to the millisecond.
pub(crate) fn show_arrival_ms(ms: u64) -> String {
    shown(ms, |at| format!("{at:.3}"))
}

/// The same in a time zone, with its offset.
pub(crate) fn show_arrival_in(zone: &TimeZone, ms: u64) -> String {
    shown(ms, |at| format!("{:.3}", at.display_with_offset(zone.to_offset(at))))
}

/// Beyond the year 9999, which a broker's clock may say, there are only numbers.
fn shown(ms: u64, show: impl FnOnce(Timestamp) -> String) -> String {
    let at = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| format!("@{ms}"), show)
}

const TRIM_HORIZON: &str = "trim-horizon";
const LATEST: &str = "latest";
const AFTER: &str = "after:";

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz;

    const NOW_MS: u64 = 1_700_000_000_000;

    fn parse(text: &str) -> Result<Position, String> {
        let now = Timestamp::from_millisecond(NOW_MS as i64).unwrap();
        parse_position_at(text, now, &TimeZone::fixed(tz::offset(2)))
    }

    #[test]
    fn positions_are_read() {
        let at = Position::AtTimestamp;
        for (text, position) in [
            ("trim-horizon", Position::TrimHorizon),
            ("latest", Position::Latest),
            ("0", Position::AtSequence(0)),
            ("18446744073709551615", Position::AtSequence(u64::MAX)),
            ("after:7", Position::AfterSequence(7)),
            ("@1700000000000", at(NOW_MS)),
            ("@2023-11-14T22:13:20Z", at(NOW_MS)),
            ("2023-11-14T22:13:20.25Z", at(NOW_MS + 250)),
            ("2023-11-14T23:13:20+01:00", at(NOW_MS)),
            ("2023-11-15T00:13:20", at(NOW_MS)),
            ("2023-11-15 00:13", at(NOW_MS - 20_000)),
            ("2023-11-15", at(NOW_MS - 800_000)),
            ("-15m", at(NOW_MS - 900_000)),
            ("-0s", at(NOW_MS)),
        ] {
            assert_eq!(parse(text), Ok(position), "{text}");
        }
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for text in [
            "",
            "-1",
            "+5",
            "first",
            "@",
            "@yesterday",
            "2023-13-14T22:13:20Z",
            "2023-11-14T25:13:20Z",
            "1969-01-01T00:00:00Z",
            "after:",
            "after:-1",
            "-99999999d",
            "18446744073709551616",
        ] {
            assert!(parse(text).is_err_and(|why| why.contains("is no ")), "{text}");
        }
        assert!(parse("trim-horizn").unwrap_err().contains("did you mean trim-horizon?"));
    }

    #[test]
    fn moments_are_shown() {
        assert_eq!(show_time_ms(NOW_MS + 999), "2023-11-14T22:13:20Z");
        assert_eq!(show_time_ms(0), "1970-01-01T00:00:00Z");
        assert_eq!(show_arrival_ms(NOW_MS + 50), "2023-11-14T22:13:20.050Z");
        let zone = TimeZone::fixed(tz::offset(-3));
        assert_eq!(show_arrival_in(&zone, NOW_MS), "2023-11-14T19:13:20.000-03:00");
        assert_eq!(show_arrival_ms(u64::MAX), format!("@{}", u64::MAX));
    }
}
