//! The states that AWS shows of streams and consumers.
//!
//! rheos does what it is asked to before it answers, so a stream is ACTIVE at once; only a reshard that is under way
//! makes it UPDATING. With a state delay (`--kinesis-state-delay`) it is shown for so long as AWS would show it:
//! CREATING after its creation, UPDATING after a change, DELETING after its deletion. This is the one place that
//! decides it. Puts and reads are served all the while, as on AWS, but for the first and the last.

use rheos_core::catalog::StreamRecord;

use crate::arn::StreamArn;
use crate::error::{Error, ErrorKind};

/// The state of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamStatus {
    /// It was made a moment ago.
    Creating,
    /// Everything may be asked of it.
    Active,
    /// It was changed a moment ago, or is being resharded.
    Updating,
    /// It was deleted a moment ago.
    Deleting,
}

/// The state of a registered consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsumerStatus {
    /// It was registered a moment ago.
    Creating,
    /// It may subscribe.
    Active,
    /// It was deregistered a moment ago.
    Deleting,
}

/// How long a state is shown, and now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    /// The delay, in ms; 0 for none.
    pub delay_ms: u64,
    /// Now, in ms since 1970.
    pub now_ms: u64,
}

/// What is known of a thing beyond its record, for as long as the delay: both in ms since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LastChanges {
    /// When it was changed last, by a reshard or otherwise.
    pub changed_ms: Option<u64>,
    /// When it was deleted.
    pub deleted_ms: Option<u64>,
}

impl StreamStatus {
    /// The state of a stream. One that was deleted has none when the delay has passed.
    pub fn of(record: &StreamRecord, last: LastChanges, delay: Delay) -> Option<StreamStatus> {
        match last.deleted_ms {
            Some(deleted_ms) => delay.lasts(deleted_ms).then_some(StreamStatus::Deleting),
            None if delay.lasts(record.created_ms) => Some(StreamStatus::Creating),
            None if record.resharding.is_some() => Some(StreamStatus::Updating),
            None if last.changed_ms.is_some_and(|changed_ms| delay.lasts(changed_ms)) => Some(StreamStatus::Updating),
            None => Some(StreamStatus::Active),
        }
    }

    /// As it is called on the wire.
    pub fn name(self) -> &'static str {
        match self {
            StreamStatus::Creating => "CREATING",
            StreamStatus::Active => "ACTIVE",
            StreamStatus::Updating => "UPDATING",
            StreamStatus::Deleting => "DELETING",
        }
    }

    /// Refuses what only an active stream may be asked.
    pub(super) fn must_be_active(self, stream: &StreamArn) -> Result<(), Error> {
        if self == StreamStatus::Active { Ok(()) } else { Err(self.refuses(stream)) }
    }

    /// The refusal of a stream in this state.
    pub fn refuses(self, stream: &StreamArn) -> Error {
        let (name, account) = (stream.name(), stream.account());
        let message = format!("Stream {name} under account {account} not ACTIVE, instead in state {}", self.name());
        Error::new(ErrorKind::ResourceInUse, message)
    }
}

impl ConsumerStatus {
    /// The state of a consumer that was registered at `created_ms`, in ms since 1970. One that was deregistered has
    /// none when the delay has passed.
    pub fn of(created_ms: u64, deleted_ms: Option<u64>, delay: Delay) -> Option<ConsumerStatus> {
        match deleted_ms {
            Some(deleted_ms) => delay.lasts(deleted_ms).then_some(ConsumerStatus::Deleting),
            None if delay.lasts(created_ms) => Some(ConsumerStatus::Creating),
            None => Some(ConsumerStatus::Active),
        }
    }

    /// As it is called on the wire.
    pub fn name(self) -> &'static str {
        match self {
            ConsumerStatus::Creating => "CREATING",
            ConsumerStatus::Active => "ACTIVE",
            ConsumerStatus::Deleting => "DELETING",
        }
    }
}

impl Delay {
    /// Whether what happened at this time is still shown. What lies ahead of a clock that was set back is.
    fn lasts(self, since_ms: u64) -> bool {
        self.now_ms.saturating_sub(since_ms) < self.delay_ms
    }
}

#[cfg(test)]
mod tests {
    use rheos_core::catalog::Reshard;

    use super::*;
    use crate::operations::testing::{CREATED_MS, arn, record};

    fn status(record: &StreamRecord, last: LastChanges, delay_ms: u64, now_ms: u64) -> Option<&'static str> {
        StreamStatus::of(record, last, Delay { delay_ms, now_ms }).map(StreamStatus::name)
    }

    #[test]
    fn without_a_delay_a_stream_is_active_at_once() {
        let none = LastChanges::default();
        assert_eq!(status(&record(2), none, 0, CREATED_MS), Some("ACTIVE"));
        assert_eq!(status(&record(2), none, 0, CREATED_MS - 1), Some("ACTIVE"), "its second was moved on");
        let (resharding, _) = record(2).begin_reshard(Reshard::Scale { target: 4 }, None).expect("it can be");
        assert_eq!(status(&resharding, none, 0, CREATED_MS), Some("UPDATING"));
        let deleted = LastChanges { deleted_ms: Some(CREATED_MS), ..none };
        assert_eq!(status(&record(2), deleted, 0, CREATED_MS), None);
    }

    #[test]
    fn each_state_is_shown_for_as_long_as_the_delay() {
        let none = LastChanges::default();
        let at = |ms| CREATED_MS + ms;
        let changed = LastChanges { changed_ms: Some(at(600)), ..none };
        let deleted = LastChanges { deleted_ms: Some(at(700)), ..changed };
        for (last, now_ms, shown) in [
            (none, at(0), Some("CREATING")),
            (none, at(499), Some("CREATING")),
            (none, at(500), Some("ACTIVE")),
            (changed, at(1_099), Some("UPDATING")),
            (changed, at(1_100), Some("ACTIVE")),
            (deleted, at(1_199), Some("DELETING")),
            (deleted, at(1_200), None),
        ] {
            assert_eq!(status(&record(2), last, 500, now_ms), shown, "{last:?} at {now_ms}");
        }
    }

    #[test]
    fn consumers_have_states_too() {
        let at = |deleted, now_ms| {
            ConsumerStatus::of(1_000, deleted, Delay { delay_ms: 500, now_ms }).map(ConsumerStatus::name)
        };
        assert_eq!((at(None, 1_499), at(None, 1_500)), (Some("CREATING"), Some("ACTIVE")));
        assert_eq!((at(Some(2_000), 2_499), at(Some(2_000), 2_500)), (Some("DELETING"), None));
    }

    #[test]
    fn a_state_refuses_in_awss_words() {
        let refusal = StreamStatus::Updating.must_be_active(&arn()).expect_err("it is not active");
        assert_eq!(
            refusal.to_string(),
            "ResourceInUseException: Stream orders under account 000000000000 not ACTIVE, instead in state UPDATING"
        );
        assert_eq!(StreamStatus::Active.must_be_active(&arn()), Ok(()));
    }
}
