//! Streams: made, deleted, described, listed, and their terms changed.

mod create;
mod delete;
mod describe;
mod list;
mod terms;

use rheos_core::catalog::StreamRecord;
use rheos_protocol::message::StreamMode;

pub use create::{CreateAsked, SHARDS_WHEN_NONE_ASKED, create};
pub use delete::admit_deletion;
pub use describe::{describe, describe_summary};
pub use list::ListAsked;
pub use terms::{
    decrease_retention, increase_retention, update_distribution, update_max_record_size, update_mode,
    update_warm_throughput,
};

use super::status::StreamStatus;
use crate::arn::StreamArn;
use crate::error::{Error, ErrorKind};
use crate::shapes::structures::STREAM_MODE_DETAILS;
use crate::value::{Structure, TimestampMs};

/// What the broker knows of a stream that a call is about.
#[derive(Debug, Clone, Copy)]
pub struct StreamView<'a> {
    /// The ARN by which the caller knows it.
    pub arn: &'a StreamArn,
    /// Its record, whatever name it has there.
    pub record: &'a StreamRecord,
    /// Its state.
    pub status: StreamStatus,
}

impl StreamView<'_> {
    /// As it is called on the wire.
    fn mode(&self) -> &'static str {
        match self.record.terms.mode {
            StreamMode::Provisioned => PROVISIONED,
            StreamMode::OnDemand(_) => ON_DEMAND,
        }
    }

    fn mode_details(&self) -> Structure {
        Structure::of(&STREAM_MODE_DETAILS).with("StreamMode", self.mode())
    }

    /// Whole seconds, as AWS gives them: its clients tell lives of a name apart by them.
    fn created(&self) -> TimestampMs {
        whole_seconds(self.record.created_ms)
    }

    /// Refuses what only a provisioned stream may be asked.
    pub(super) fn must_be_provisioned(&self) -> Result<(), Error> {
        if self.record.terms.mode == StreamMode::Provisioned {
            return Ok(());
        }
        let message = format!("Request is invalid. Stream {} is in On-Demand mode.", self.named());
        Err(Error::new(ErrorKind::Validation, message))
    }

    /// `orders under account 000000000000`.
    pub(super) fn named(&self) -> String {
        format!("{} under account {}", self.arn.name(), self.arn.account())
    }
}

const PROVISIONED: &str = "PROVISIONED";
const ON_DEMAND: &str = "ON_DEMAND";

/// A time in ms since 1970 as AWS shows creations: without a fraction of a second.
pub(super) fn whole_seconds(ms: u64) -> TimestampMs {
    let ms = ms - ms % 1_000;
    TimestampMs(i64::try_from(ms).unwrap_or(i64::MAX))
}
