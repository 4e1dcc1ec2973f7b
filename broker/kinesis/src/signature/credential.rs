//! The credential of a signature: which key, and what for.
//!
//! ```text
//! RKABCDEFGHIJKLMNOPQR/20150122/eu-west-1/kinesis/aws4_request
//! ```

use super::{incomplete, invalid};
use crate::arn::Region;
use crate::error::Error;

pub(super) const TERMINATOR: &str = "aws4_request";

/// A key and a scope, as they were given.
#[derive(Debug, Clone)]
pub(super) struct Credential {
    pub(super) key_id: String,
    pub(super) date: String,
    pub(super) region: String,
    pub(super) service: String,
    pub(super) terminator: String,
}

impl Credential {
    pub(super) fn parse(text: &str) -> Result<Credential, Error> {
        let mut parts = text.split('/').map(str::to_owned);
        let mut next = || parts.next();
        match (next(), next(), next(), next(), next(), next()) {
            (Some(key_id), Some(date), Some(region), Some(service), Some(terminator), None) => {
                Ok(Credential { key_id, date, region, service, terminator })
            }
            _ => {
                let must =
                    "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term";
                Err(incomplete(format!("{must}, got '{text}'")))
            }
        }
    }

    /// The scope as it is signed.
    pub(super) fn scope(&self) -> String {
        format!("{}/{}/{}/{}", self.date, self.region, self.service, self.terminator)
    }

    /// Checks the scope against the service and the date of the signature; any region will do.
    pub(super) fn check(&self, service: &str, signed_date: &str) -> Result<Region, Error> {
        let region = Region::new(&self.region).ok();
        let mut faults = Vec::new();
        if region.is_none() {
            faults.push(format!("Credential should be scoped to a valid region, not '{}'.", self.region));
        }
        if self.service != service {
            faults.push(format!("Credential should be scoped to correct service: '{service}'."));
        }
        if self.terminator != TERMINATOR {
            let not = &self.terminator;
            faults.push(format!("Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{not}'."));
        }
        if !signed_date.starts_with(&self.date) || self.date.len() != DAY_CHARS {
            let day = &signed_date[..DAY_CHARS];
            let must = "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP";
            faults.push(format!("{must}: '{}' != '{day}', from '{signed_date}'.", self.date));
        }
        region.filter(|_| faults.is_empty()).ok_or_else(|| invalid(faults.join(" ")))
    }
}

const DAY_CHARS: usize = "YYYYMMDD".len();
