//! How the Kinesis face presents the broker: whose account it is, in which region, and how slowly states change.
//!
//! What must hold: a stream of the broker's own account and region has a plain name and no other, whatever that
//! account and region are called; so they can be changed from one start to the next, and the streams go along.

use std::time::Duration;

use rheos_kinesis::arn::StreamArn;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::name::{AccountId, BadName, Region, StreamName};

/// The settings of the Kinesis face.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KinesisSettings {
    /// The broker's own account: that of streams with plain names, and of keys that say no other.
    pub account: AccountId,
    /// The broker's own region.
    pub region: Region,
    /// How long a stream or consumer is shown as being made, changed or deleted after that was done.
    pub state_delay: Duration,
}

impl Default for KinesisSettings {
    /// Account `000000000000` in `us-east-1`, without a delay.
    fn default() -> KinesisSettings {
        KinesisSettings {
            account: AccountId::new("000000000000").expect("it has 12 digits"),
            region: Region::new("us-east-1").expect("it is spelled as one"),
            state_delay: Duration::ZERO,
        }
    }
}

impl KinesisSettings {
    /// The stream of this plain name in an account and a region, as the catalog knows it.
    ///
    /// # Errors
    ///
    /// When `name` is not plain.
    pub fn stream_name(&self, account: &AccountId, region: &Region, name: &str) -> Result<StreamName, BadName> {
        let qualified = StreamName::qualified(account, region, name)?;
        Ok(self.as_stored(qualified))
    }

    /// The stream that somebody means by a name, as the catalog knows it: who qualifies a name with the broker's own
    /// account and region means the plain one.
    pub fn as_stored(&self, name: StreamName) -> StreamName {
        match name.account_and_region() {
            Some((account, region)) if self.is_own(&account, &region) => {
                StreamName::new(name.base()).expect("what follows account and region is a name")
            }
            _ => name,
        }
    }

    /// Refuses the long name of a stream of the broker's own: it would be another stream than the one that it means.
    ///
    /// # Errors
    ///
    /// `BadRequest`, which says the name to use.
    pub(crate) fn refuse_own(&self, name: &StreamName) -> Result<(), WireError> {
        let stored = self.as_stored(name.clone());
        if stored == *name {
            return Ok(());
        }
        let message =
            format!("{name} is of the broker's own account and region, whose streams have plain names: use {stored}");
        Err(WireError::new(ErrorCode::BadRequest, message))
    }

    /// The ARN of the stream that the catalog knows by this name.
    pub fn arn(&self, name: &StreamName) -> StreamArn {
        let (account, region) = self.place(name);
        StreamArn::new(region, account, StreamName::new(name.base()).expect("a name ends in one"))
    }

    /// The account and the region of the stream that the catalog knows by this name.
    pub fn place(&self, name: &StreamName) -> (AccountId, Region) {
        name.account_and_region().unwrap_or_else(|| (self.account.clone(), self.region.clone()))
    }

    /// Whether the stream that the catalog knows by this name is of an account and a region.
    pub fn is_in(&self, name: &StreamName, account: &AccountId, region: &Region) -> bool {
        match name.as_str().rsplit_once('/') {
            None => self.is_own(account, region),
            Some((place, _)) => place.split_once('/') == Some((account.as_str(), region.as_str())),
        }
    }

    /// Whether these are the broker's own.
    pub fn is_own(&self, account: &AccountId, region: &Region) -> bool {
        (account, region) == (&self.account, &self.region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(account: &str, region: &str) -> (AccountId, Region) {
        (AccountId::new(account).expect("it is one"), Region::new(region).expect("it is one"))
    }

    #[test]
    fn own_streams_have_plain_names_and_all_others_do_not() {
        let settings = KinesisSettings::default();
        for (account, region, stored) in [
            ("000000000000", "us-east-1", "orders"),
            ("000000000000", "eu-west-1", "000000000000/eu-west-1/orders"),
            ("123456789012", "us-east-1", "123456789012/us-east-1/orders"),
        ] {
            let (account, region) = place(account, region);
            let name = settings.stream_name(&account, &region, "orders").expect("it is plain");
            assert_eq!(name.as_str(), stored);
            assert_eq!(settings.place(&name), (account.clone(), region.clone()));
            assert!(settings.is_in(&name, &account, &region));
            let elsewhere = Region::new("ap-south-1").expect("it is spelled as one");
            assert!(!settings.is_in(&name, &account, &elsewhere));
            assert_eq!(settings.arn(&name).to_string(), format!("arn:aws:kinesis:{region}:{account}:stream/orders"));
            assert_eq!(settings.as_stored(name.clone()), name);
            // An ARN's parts lead back to the same stream.
            let arn = settings.arn(&name);
            assert_eq!(settings.stream_name(arn.account(), arn.region(), arn.name().as_str()), Ok(name));
        }
        let spelled = StreamName::new("000000000000/us-east-1/orders").expect("it is one");
        assert_eq!(settings.as_stored(spelled.clone()).as_str(), "orders");
        let refused = settings.refuse_own(&spelled).expect_err("it has another name").message;
        assert!(refused.ends_with("whose streams have plain names: use orders"), "{refused}");
    }

    #[test]
    fn own_streams_go_along_when_the_account_is_changed() {
        let (account, region) = place("123456789012", "eu-west-1");
        let moved = KinesisSettings { account, region, ..KinesisSettings::default() };
        let orders = StreamName::new("orders").expect("it is one");
        assert_eq!(moved.arn(&orders).to_string(), "arn:aws:kinesis:eu-west-1:123456789012:stream/orders");
    }
}
