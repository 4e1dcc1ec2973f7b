//! Names that can only be right.
//!
//! A stream belongs to an account and a region. One of the broker's own has a plain name; one of another account or
//! region is named with both before it:
//!
//! ```text
//! NAME                        orders
//! ACCOUNT/REGION/NAME         123456789012/eu-west-1/orders
//! ```
//!
//! What must hold: a qualified name stands wherever a plain one may, and is another stream than the plain one of the
//! same ending; which account and region are the broker's own is not asked here. Names are compared as texts, so all
//! streams of an account and region lie side by side in a listing.

use crate::limits::{ACCOUNT_CHARS, NAME_CHARS_MAX, REGION_CHARS_MAX};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadName {
    what: &'static str,
    text: String,
    rule: &'static str,
}

impl std::fmt::Display for BadName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.text[..self.text.floor_char_boundary(NAME_CHARS_MAX)];
        write!(f, "{shown:?} is not {}: use {}", self.what, self.rule)
    }
}

impl std::error::Error for BadName {}

macro_rules! names {
    ($($(#[doc = $doc:literal])+ $name:ident = $what:literal, $proof:ident, $rule:ident;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Proves that `text` is one.
            pub fn new(text: &str) -> Result<$name, BadName> {
                match $proof(text) {
                    true => Ok($name(text.to_owned())),
                    false => Err(BadName { what: $what, text: text.to_owned(), rule: $rule(text) }),
                }
            }

            /// Its text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<$name, BadName> {
                $name::new(text)
            }
        }
    )+};
}

names! {
    /// The name of a stream: 1 to 128 of `a-z A-Z 0-9 _ . -`, as in Kinesis; of another account or region than the
    /// broker's own with both before it, `ACCOUNT/REGION/NAME`.
    StreamName = "a stream name", is_stream, rule_of_streams;
    /// The name of a registered consumer: 1 to 128 of `a-z A-Z 0-9 _ . -`, as in Kinesis.
    ConsumerName = "a consumer name", is_plain, rule_of_plain;
    /// What an access key was made for: 1 to 128 of `a-z A-Z 0-9 _ . -`.
    KeyName = "a key name", is_plain, rule_of_plain;
    /// An account, as AWS numbers them: 12 digits.
    AccountId = "an account", is_account, rule_of_accounts;
    /// A region: 1 to 32 of `a-z 0-9 -`. Any that is spelled so is one.
    Region = "a region", is_region, rule_of_regions;
}

impl StreamName {
    /// The stream of this plain name in an account and region that are not the broker's own.
    ///
    /// # Errors
    ///
    /// When `name` is not plain.
    pub fn qualified(account: &AccountId, region: &Region, name: &str) -> Result<StreamName, BadName> {
        if is_plain(name) {
            return Ok(StreamName(format!("{account}/{region}/{name}")));
        }
        Err(BadName { what: "a plain stream name", text: name.to_owned(), rule: rule_of_plain(name) })
    }

    /// The account and region that the name is qualified with; `None` of a plain one, which is of the broker's own.
    pub fn account_and_region(&self) -> Option<(AccountId, Region)> {
        let (place, _) = self.0.rsplit_once('/')?;
        let (account, region) = place.split_once('/')?;
        Some((AccountId(account.to_owned()), Region(region.to_owned())))
    }

    /// The name within its account and region: 1 to 128 characters.
    pub fn base(&self) -> &str {
        self.0.rsplit_once('/').map_or(&*self.0, |(_, base)| base)
    }
}

fn is_stream(text: &str) -> bool {
    match text.rsplit_once('/') {
        None => is_plain(text),
        Some((place, base)) => {
            let is_place = |(account, region)| is_account(account) && is_region(region);
            is_plain(base) && place.split_once('/').is_some_and(is_place)
        }
    }
}

fn is_plain(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    (1..=NAME_CHARS_MAX).contains(&text.len()) && text.chars().all(allowed)
}

fn is_account(text: &str) -> bool {
    text.len() == ACCOUNT_CHARS && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_region(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=REGION_CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

/// Says how a stream of another account is named to those who have tried.
fn rule_of_streams(text: &str) -> &'static str {
    if text.contains('/') {
        "1 to 128 of a-z A-Z 0-9 _ . -, or ACCOUNT/REGION/NAME, such as 123456789012/eu-west-1/orders"
    } else {
        rule_of_plain(text)
    }
}

fn rule_of_plain(_: &str) -> &'static str {
    "1 to 128 of a-z A-Z 0-9 _ . -"
}

fn rule_of_accounts(_: &str) -> &'static str {
    "12 digits, such as 123456789012"
}

fn rule_of_regions(_: &str) -> &'static str {
    "1 to 32 of a-z 0-9 -, such as eu-west-1"
}

const _: () = assert!(NAME_CHARS_MAX == 128 && ACCOUNT_CHARS == 12 && REGION_CHARS_MAX == 32, "rules say so");

#[cfg(test)]
mod tests {
    use crate::limits::STREAM_NAME_CHARS_MAX;

    use super::*;

    fn place() -> (AccountId, Region) {
        let account = AccountId::new("123456789012").expect("it is one");
        (account, Region::new("eu-west-1").expect("it is one"))
    }

    #[test]
    fn a_qualified_name_is_taken_apart_as_it_was_put_together() {
        let (account, region) = place();
        let name = StreamName::qualified(&account, &region, "orders.a_b-c").expect("it is plain");
        assert_eq!(name.as_str(), "123456789012/eu-west-1/orders.a_b-c");
        assert_eq!((name.base(), name.account_and_region()), ("orders.a_b-c", Some(place())));
        assert_eq!(StreamName::new(name.as_str()), Ok(name.clone()));
        let plain = StreamName::new("orders.a_b-c").expect("it is one");
        assert_eq!((plain.base(), plain.account_and_region()), (plain.as_str(), None));
        assert_ne!(plain, name);
        assert!(StreamName::qualified(&account, &region, name.as_str()).is_err(), "it is qualified once");
    }

    #[test]
    fn the_longest_name_is_as_long_as_the_limit_says() {
        let account = AccountId::new(&"9".repeat(12)).expect("it is one");
        let region = Region::new(&"r".repeat(REGION_CHARS_MAX)).expect("it is one");
        let name = StreamName::qualified(&account, &region, &"n".repeat(NAME_CHARS_MAX)).expect("it is plain");
        assert_eq!(name.as_str().len(), STREAM_NAME_CHARS_MAX);
        assert_eq!(StreamName::new(name.as_str()), Ok(name));
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_rule() {
        let long = "n".repeat(129);
        for bad in ["", "a b", "ä", &long] {
            let message = StreamName::new(bad).expect_err(bad).to_string();
            assert!(message.contains("use 1 to 128 of") && !message.contains("ACCOUNT"), "{message}");
            assert!(ConsumerName::new(bad).is_err() && KeyName::new(bad).is_err());
        }
        for bad in [
            "/",
            "orders/",
            "/orders",
            "a/b",
            "123456789012/orders",
            "12345678901/eu-west-1/orders",
            "1234567890123/eu-west-1/orders",
            "12345678901x/eu-west-1/orders",
            "123456789012//orders",
            "123456789012/EU/orders",
            "123456789012/eu-west-1/",
            "123456789012/eu-west-1/a b",
            "/123456789012/eu-west-1/orders",
            "123456789012/eu-west-1/orders/more",
            &format!("123456789012/{}/orders", "r".repeat(33)),
            &format!("123456789012/eu-west-1/{long}"),
        ] {
            let message = StreamName::new(bad).expect_err(bad).to_string();
            assert!(message.contains("ACCOUNT/REGION/NAME") && message.len() < 300, "{message}");
        }
        assert!(ConsumerName::new("123456789012/eu-west-1/billing").is_err(), "consumers belong to their stream");
        assert!(AccountId::new("1234").expect_err("it is short").to_string().contains("an account: use 12 digits"));
        assert!(Region::new("EU West").expect_err("it has capitals").to_string().contains("a region: use 1 to 32"));
    }
}
