//! Whole numbers, with words for what is none.

use std::str::FromStr;

/// A whole number.
pub(crate) fn parse_number<T: FromStr>(text: &str) -> Result<T, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = || text.parse().map_err(|_| format!("{text} is too large"));
    if digits { number() } else { Err(format!("{text:?} is no whole number")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read() {
        assert_eq!((parse_number("0"), parse_number("4294967295")), (Ok(0), Ok(u32::MAX)));
        for (text, why) in [("", "no whole"), ("-1", "no whole"), ("1.5", "no whole"), ("4294967296", "too large")] {
            assert!(parse_number::<u32>(text).is_err_and(|said| said.contains(why)), "{text}");
        }
    }
}
