//! Numbers as people write them: durations, sizes, moments, positions; and back.

mod numbers;
mod times;

pub(crate) use numbers::parse_number;
pub(crate) use times::{POSITIONS, parse_position, show_arrival_in, show_arrival_ms, show_time_ms};

const TIME_UNITS: &[(&str, u64)] =
    &[("w", 7 * 86_400_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const SIZE_UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// A time such as `24h` or `7d`, in milliseconds.
pub(crate) fn parse_duration_ms(text: &str) -> Result<u64, String> {
    parse_with_units(text, TIME_UNITS)
        .ok_or_else(|| format!("{text:?} is no time; write a number and ms, s, m, h, d or w, such as 24h"))
}

/// A size such as `1MiB`, in bytes.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    parse_with_units(text, SIZE_UNITS).ok_or_else(|| {
        format!("{text:?} is no size; write a number and B, KiB, MiB, GiB, TiB, KB, MB, GB or TB, such as 1MiB")
    })
}

/// Bytes a second such as `8MiB/s`; at least one.
pub(crate) fn parse_byte_rate(text: &str) -> Result<u64, String> {
    let bytes = text.strip_suffix("/s").and_then(|size| parse_with_units(size.trim_end(), SIZE_UNITS));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| {
        format!("{text:?} is no number of bytes a second; write a size, more than 0, and /s, such as 8MiB/s")
    })
}

fn parse_with_units(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim_start());
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// A hash key: `170141183460469231731687303715884105728`, or `0x80000000000000000000000000000000`.
pub(crate) fn parse_hash_key(text: &str) -> Result<u128, String> {
    let read = match text.strip_prefix("0x") {
        Some(hexadecimal) if !hexadecimal.starts_with('+') => u128::from_str_radix(hexadecimal, 16).ok(),
        Some(_) => None,
        // A sign, which `parse` alone would take, is none of it.
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        None => None,
    };
    read.ok_or_else(|| {
        format!("{text:?} is no hash key: a number up to 2^128 - 1, in decimal, or in hexadecimal after 0x")
    })
}

/// The largest unit that leaves a whole number: `7d`, `36h`.
pub(crate) fn show_duration_ms(ms: u64) -> String {
    let whole = TIME_UNITS[1..].iter().find(|(_, factor)| ms >= *factor && ms.is_multiple_of(*factor));
    whole.map_or_else(|| format!("{ms}ms"), |(name, factor)| format!("{}{name}", ms / factor))
}

/// Three digits and a unit: `1.5 MiB`.
pub(crate) fn show_bytes(bytes: u64) -> String {
    let units = [("TiB", 1u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, factor)| bytes >= *factor) {
        Some((name, factor)) if bytes.is_multiple_of(factor) => format!("{} {name}", bytes / factor),
        Some((name, factor)) => format!("{:.1} {name}", bytes as f64 / factor as f64),
        None => format!("{bytes} B"),
    }
}

/// Three digits and a unit: `420 µs`, `1.23 ms`.
pub(crate) fn show_nanos(nanos: u64) -> String {
    let units = [("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1_000)];
    let Some((name, factor)) = units.into_iter().find(|(_, factor)| nanos >= *factor) else {
        return format!("{nanos} ns");
    };
    let value = nanos as f64 / factor as f64;
    let decimals = match value {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {name}")
}

/// Digits in groups of three: `1,234,567`.
pub(crate) fn show_grouped(number: u64) -> String {
    let digits = number.to_string();
    let before = |at: usize| if at > 0 && (digits.len() - at).is_multiple_of(3) { "," } else { "" };
    digits.char_indices().map(|(at, digit)| format!("{}{digit}", before(at))).collect()
}

/// How much there is in a second: `0`, `3.2`, `5,000`, `1.23M`.
pub(crate) fn show_rate(per_second: f64) -> String {
    match per_second {
        0.0 => "0".to_owned(),
        ..9.95 => format!("{per_second:.1}"),
        ..999_999.5 => show_grouped(per_second.round() as u64),
        _ => format!("{:.2}M", per_second / 1e6),
    }
}

/// A stretch of time in its two largest units, for those that may be very long: `12 ms`, `4m 10s`, `3d 4h`.
pub(crate) fn show_span(seconds: f64) -> String {
    let whole = seconds as u64;
    let units =
        TIME_UNITS.iter().map(|(name, ms)| (*name, ms / 1_000)).filter(|(name, factor)| *factor > 0 && *name != "w");
    let units: Vec<(&str, u64)> = units.collect();
    let two = units.windows(2).find(|two| whole >= two[0].1);
    match two {
        Some(&[(large, large_seconds), (small, small_seconds)]) => {
            format!("{}{large} {}{small}", whole / large_seconds, whole % large_seconds / small_seconds)
        }
        _ if seconds > 0.0 => show_nanos((seconds * 1e9) as u64),
        _ => "0 s".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_shown() {
        for (text, ms, shown) in [
            ("24h", 86_400_000, "1d"),
            ("7d", 604_800_000, "7d"),
            ("36 h", 129_600_000, "36h"),
            ("2w", 1_209_600_000, "14d"),
            ("90m", 5_400_000, "90m"),
            ("120s", 120_000, "2m"),
            ("15MS", 15, "15ms"),
        ] {
            assert_eq!(parse_duration_ms(text), Ok(ms), "{text}");
            assert_eq!(show_duration_ms(ms), shown);
        }
        for text in ["", "24", "h", "-1h", "1.5h", "1y", "99999999999999999999d", "9999999999999999w"] {
            assert!(parse_duration_ms(text).is_err_and(|why| why.contains(&format!("{text:?}"))), "{text}");
        }
    }

    #[test]
    fn byte_rates_are_read() {
        for (text, bytes) in [("8MiB/s", 8 << 20), ("1/s", 1), ("2 MB /s", 2_000_000)] {
            assert_eq!(parse_byte_rate(text), Ok(bytes), "{text}");
        }
        for text in ["", "8MiB", "/s", "0/s", "0MiB/s", "-1/s", "8MiB/m", "1.5MiB/s", "none"] {
            assert!(parse_byte_rate(text).is_err_and(|why| why.contains(&format!("{text:?}"))), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_and_shown() {
        for (text, bytes, shown) in [
            ("1MiB", 1 << 20, "1 MiB"),
            ("10 mib", 10 << 20, "10 MiB"),
            ("1500", 1_500, "1.5 KiB"),
            ("2MB", 2_000_000, "1.9 MiB"),
            ("3GiB", 3 << 30, "3 GiB"),
            ("5TiB", 5 << 40, "5 TiB"),
            ("12B", 12, "12 B"),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
            assert_eq!(show_bytes(bytes), shown);
        }
        for text in ["", "MiB", "-1", "1.5MiB", "1 MiBs", "99999999999GiB"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn latencies_have_three_digits() {
        for (nanos, shown) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (42_040, "42.0 µs"),
            (420_400, "420 µs"),
            (999_600, "1000 µs"),
            (1_234_567, "1.23 ms"),
            (9_996_000, "10.0 ms"),
            (99_960_000, "100 ms"),
            (12_345_678_901, "12.3 s"),
            (u64::MAX, "18446744074 s"),
        ] {
            assert_eq!(show_nanos(nanos), shown);
        }
    }

    #[test]
    fn rates_are_short() {
        for (rate, shown) in [
            (0.0, "0"),
            (0.04, "0.0"),
            (3.21, "3.2"),
            (9.96, "10"),
            (5_000.4, "5,000"),
            (999_999.7, "1.00M"),
            (2.5e7, "25.00M"),
        ] {
            assert_eq!(show_rate(rate), shown);
        }
    }

    #[test]
    fn spans_have_two_units() {
        for (seconds, shown) in [
            (0.0, "0 s"),
            (0.012, "12.0 ms"),
            (59.9, "59.9 s"),
            (60.0, "1m 0s"),
            (250.0, "4m 10s"),
            (3_660.0, "1h 1m"),
            (273_600.0, "3d 4h"),
            (864_000.0, "10d 0h"),
        ] {
            assert_eq!(show_span(seconds), shown);
        }
    }

    #[test]
    fn long_numbers_are_grouped() {
        for (number, shown) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(show_grouped(number), shown);
        }
    }

    #[test]
    fn hash_keys_are_read() {
        for (text, key) in [
            ("0", 0),
            ("340282366920938463463374607431768211455", u128::MAX),
            ("0x80000000000000000000000000000000", 1 << 127),
            ("0xff", 255),
        ] {
            assert_eq!(parse_hash_key(text), Ok(key), "{text}");
        }
        for text in [
            "",
            "0x",
            "ff",
            "-1",
            "+1",
            "0x+1",
            "340282366920938463463374607431768211456",
            "0x1ffffffffffffffffffffffffffffffff",
        ] {
            assert!(parse_hash_key(text).is_err_and(|why| why.contains(&format!("{text:?}"))), "{text}");
        }
    }
}
