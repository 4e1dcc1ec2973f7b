//! Bugs planted on purpose, each in one line of the code that it breaks: the proof that the tests would see it.
//!
//! What must hold: without the feature `planted`, for which only a build of the tests asks, none is there, and
//! asking costs nothing. With it the environment variable `RHEOS_PLANTED` names at most one for the process.

/// A bug that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A put is acked when it is staged.
    AckOnStage,
    /// A put is acked when its commit is submitted.
    AckOnSubmit,
    /// What is rotten is cut as if it were a torn write.
    RotCutAsTail,
    /// The watermark of a commit does not prove the commit before it.
    WatermarkOffByOne,
    /// A segment's head carries nothing over.
    CarryOverForgotten,
    /// A segment's head carries no producers over.
    ProducersForgotten,
    /// A segment without a footer does not end where its successor says.
    SuccessorIgnored,
    /// A shard that was opened in the middle of a segment whose footer is missing is damage.
    ChildrenUnknown,
    /// A put is taken whose predecessor was refused.
    BehindNotEnforced,
    /// A put that is sent again is stored again.
    ResendStoredAgain,
    /// A shard that is being closed takes puts.
    ClosingAdmits,
    /// The bytes of the tail are charged to nobody.
    TailNotCharged,
    /// Staged bytes are charged to nobody.
    StagedNotCharged,
    /// Who waits for a shard is told of every other commit.
    LostWakeUp,
    /// A segment goes an hour before its last record has expired.
    TrimmedEarly,
    /// A record counts as expired an hour before it has.
    ExpiredEarly,
    /// A write that failed is taken for one that completed.
    FailedWriteAcked,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 17] = [
        Bug::AckOnStage,
        Bug::AckOnSubmit,
        Bug::RotCutAsTail,
        Bug::WatermarkOffByOne,
        Bug::CarryOverForgotten,
        Bug::ProducersForgotten,
        Bug::SuccessorIgnored,
        Bug::ChildrenUnknown,
        Bug::BehindNotEnforced,
        Bug::ResendStoredAgain,
        Bug::ClosingAdmits,
        Bug::TailNotCharged,
        Bug::StagedNotCharged,
        Bug::LostWakeUp,
        Bug::TrimmedEarly,
        Bug::ExpiredEarly,
        Bug::FailedWriteAcked,
    ];

    /// What the environment calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Bug::AckOnStage => "ack-on-stage",
            Bug::AckOnSubmit => "ack-on-submit",
            Bug::RotCutAsTail => "rot-cut-as-tail",
            Bug::WatermarkOffByOne => "watermark-off-by-one",
            Bug::CarryOverForgotten => "carry-over-forgotten",
            Bug::ProducersForgotten => "producers-forgotten",
            Bug::SuccessorIgnored => "successor-ignored",
            Bug::ChildrenUnknown => "children-unknown",
            Bug::BehindNotEnforced => "behind-not-enforced",
            Bug::ResendStoredAgain => "resend-stored-again",
            Bug::ClosingAdmits => "closing-admits",
            Bug::TailNotCharged => "tail-not-charged",
            Bug::StagedNotCharged => "staged-not-charged",
            Bug::LostWakeUp => "lost-wake-up",
            Bug::TrimmedEarly => "trimmed-early",
            Bug::ExpiredEarly => "expired-early",
            Bug::FailedWriteAcked => "failed-write-acked",
        }
    }

    /// Whether one is in this process that has the numbers of puts come in any order.
    pub(crate) fn lets_puts_out_of_order() -> bool {
        Bug::BehindNotEnforced.is_planted() || Bug::ResendStoredAgain.is_planted()
    }

    /// Whether it is in this process.
    #[cfg(not(feature = "planted"))]
    #[inline(always)]
    pub(crate) const fn is_planted(self) -> bool {
        false
    }

    /// Whether it is in this process.
    #[cfg(feature = "planted")]
    pub(crate) fn is_planted(self) -> bool {
        static PLANTED: std::sync::OnceLock<Option<Bug>> = std::sync::OnceLock::new();
        #[allow(clippy::disallowed_methods, reason = "a build with bugs in it is no broker")]
        let named = || {
            let name = std::env::var("RHEOS_PLANTED").ok()?;
            Some(
                *Bug::ALL.iter().find(|bug| bug.name() == name).expect("RHEOS_PLANTED names a bug that can be planted"),
            )
        };
        *PLANTED.get_or_init(named) == Some(self)
    }
}
