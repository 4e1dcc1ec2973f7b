//! The order of a reshard: which step follows which, whatever a step came to.
//!
//! ```text
//!   intent in the catalog ─► Drain ─► Commit ─► Announce ─► over: done
//!                              │        │ ▲
//!                              │        └─┘ outcome unknown: again
//!                              └──► Undo ─► Reopen ─► over: undone
//! ```
//!
//! What must hold: parents are opened again only when the catalog surely has no children of them; nobody hears of
//! children before the catalog has them; a start takes up every intent at [`Step::Drain`], so a crash anywhere
//! before the commit is finished too, and one after it has nothing left to do.

use rheos_protocol::error::{ErrorCode, WireError};

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Have the parents admit nothing more, and their logs say where they end.
    Drain,
    /// In one transaction: parents closed at these ends, children open, intent gone.
    Commit,
    /// Tell the logs, then everybody else, which shards there are.
    Announce,
    /// Take the intent out of the catalog.
    Undo,
    /// Have the parents take puts again.
    Reopen,
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// It is done.
    Done,
    /// It has not happened, and will not.
    Refused,
    /// It may have happened, or may happen when it is tried again.
    Unknown,
    /// The stream is gone, or the broker stops: there is nobody left to do it for.
    Gone,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// This, at once.
    Step(Step),
    /// The same again, after a wait.
    Again,
    /// Nothing.
    Over,
}

/// What follows a step that came to this.
pub fn next(step: Step, came: Came) -> Next {
    match (step, came) {
        (_, Came::Gone) => Next::Over,
        (Step::Drain, Came::Done) => Next::Step(Step::Commit),
        // Nothing has changed yet but that the parents wait.
        (Step::Drain, Came::Refused | Came::Unknown) => Next::Step(Step::Undo),
        (Step::Commit, Came::Done) => Next::Step(Step::Announce),
        (Step::Commit, Came::Refused) => Next::Step(Step::Undo),
        (Step::Undo, Came::Done) => Next::Step(Step::Reopen),
        // While the catalog cannot say, the parents stay as they are: they may be closed.
        (Step::Commit, Came::Unknown) | (Step::Undo, Came::Refused | Came::Unknown) => Next::Again,
        (Step::Announce | Step::Reopen, Came::Done | Came::Refused | Came::Unknown) => Next::Over,
    }
}

/// What the catalog's refusal means for the step that asked.
pub fn came(error: &WireError) -> Came {
    match error.code {
        ErrorCode::StreamNotFound | ErrorCode::GoingAway => Came::Gone,
        ErrorCode::Indeterminate | ErrorCode::Busy => Came::Unknown,
        _ => Came::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [Step; 5] = [Step::Drain, Step::Commit, Step::Announce, Step::Undo, Step::Reopen];
    const CAMES: [Came; 4] = [Came::Done, Came::Refused, Came::Unknown, Came::Gone];

    #[test]
    fn every_step_and_every_end_of_it() {
        use Next::{Again, Over};
        let then = Next::Step;
        let table = [
            (Step::Drain, [then(Step::Commit), then(Step::Undo), then(Step::Undo), Over]),
            (Step::Commit, [then(Step::Announce), then(Step::Undo), Again, Over]),
            (Step::Announce, [Over, Over, Over, Over]),
            (Step::Undo, [then(Step::Reopen), Again, Again, Over]),
            (Step::Reopen, [Over, Over, Over, Over]),
        ];
        assert_eq!(table.map(|(step, _)| step), STEPS);
        for (step, row) in table {
            assert_eq!(CAMES.map(|came| next(step, came)), row, "{step:?}");
        }
    }

    #[test]
    fn parents_open_again_only_after_the_intent_is_gone() {
        for step in STEPS {
            for came in CAMES {
                if next(step, came) == Next::Step(Step::Reopen) {
                    assert_eq!((step, came), (Step::Undo, Came::Done));
                }
                if next(step, came) == Next::Step(Step::Announce) {
                    assert_eq!((step, came), (Step::Commit, Came::Done));
                }
                assert!(!(step == Step::Commit && came == Came::Unknown && next(step, came) == Next::Step(Step::Undo)));
            }
        }
    }

    #[test]
    fn only_what_surely_has_not_happened_counts_as_refused() {
        let of = |code| came(&WireError::new(code, ""));
        for code in ErrorCode::ALL {
            let expected = match code {
                ErrorCode::StreamNotFound | ErrorCode::GoingAway => Came::Gone,
                ErrorCode::Indeterminate | ErrorCode::Busy => Came::Unknown,
                _ => Came::Refused,
            };
            assert_eq!(of(*code), expected, "{code:?}");
        }
    }
}
