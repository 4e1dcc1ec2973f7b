//! Times as AWS's messages and signatures spell them. The time itself is always an argument.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const BASIC_FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// `Thu Jan 22 01:22:02 UTC 2015`, as the messages of iterators have it. A time after the year 9999 is shown as one at its end.
pub(crate) fn spoken(ms: u64) -> String {
    timestamp(ms / 1000).strftime("%a %b %d %H:%M:%S UTC %Y").to_string()
}

/// `20150122T012202Z`, as signatures have it. A time after the year 9999 is shown as one at its end.
pub(crate) fn basic(seconds: u64) -> String {
    timestamp(seconds).strftime(BASIC_FORMAT).to_string()
}

/// The seconds since 1970 of a time in the spelling of [`basic`]; nothing else and nothing earlier is one.
pub(crate) fn read_basic(text: &str) -> Option<u64> {
    let bytes: &[u8; 16] = text.as_bytes().try_into().ok()?;
    let number = |from: usize, to: usize| -> Option<i16> {
        let digits = &bytes[from..to];
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| digits.iter().fold(0, |n, digit| n * 10 + i16::from(digit - b'0')))
    };
    let small = |from: usize| number(from, from + 2).map(|number| number as i8);
    if (bytes[8], bytes[15]) != (b'T', b'Z') {
        return None;
    }
    let date = DateTime::new(number(0, 4)?, small(4)?, small(6)?, small(9)?, small(11)?, small(13)?, 0).ok()?;
    TimeZone::UTC.to_timestamp(date).ok()?.as_second().try_into().ok()
}

/// The seconds since 1970 of a `Date` header: `Thu, 22 Jan 2015 01:22:02 GMT`, or the spelling of [`basic`].
pub(crate) fn read_http_date(text: &str) -> Option<u64> {
    let read = || jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?.as_second().try_into().ok();
    read_basic(text).or_else(read)
}

/// Times after the last that jiff has, a day before the end of the year 9999, become it.
fn timestamp(seconds: u64) -> Timestamp {
    i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spelled_as_aws_does() {
        assert_eq!(spoken(1_421_889_722_999), "Thu Jan 22 01:22:02 UTC 2015");
        assert_eq!(basic(1_421_889_722), "20150122T012202Z");
        assert_eq!(
            (spoken(u64::MAX).as_str(), basic(0).as_str()),
            ("Thu Dec 30 22:00:00 UTC 9999", "19700101T000000Z")
        );
    }

    #[test]
    fn only_the_two_spellings_are_read() {
        assert_eq!(read_basic("20150122T012202Z"), Some(1_421_889_722));
        assert_eq!(read_http_date("20150122T012202Z"), Some(1_421_889_722));
        assert_eq!(read_http_date("Thu, 22 Jan 2015 01:22:02 GMT"), Some(1_421_889_722));
        for text in
            ["", "20150122T012202", "2015-01-22T01:22:02Z", "20151322T012202Z", "20150122T012460Z", "19691231T235959Z"]
        {
            assert_eq!((read_basic(text), read_http_date(text)), (None, None), "{text}");
        }
        assert_eq!((read_basic("+0150122T012202Z"), read_basic("2015012٢T01220Z")), (None, None));
    }
}
