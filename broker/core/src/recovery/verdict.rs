//! What recovery does where a chain of commits stops: a table, and a test over every input.

use crate::planted::Bug;

/// What stands where the next commit would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Here {
    /// The next commit, whole.
    Commit,
    /// A block of zeros: nothing was written.
    Nothing,
    /// Something that is not the next commit: torn, rotten, or never ours.
    Damage,
}

/// Where the successor, if there is one, says that this segment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// There is no successor.
    No,
    /// Here.
    Here,
    /// Further on.
    Later,
}

/// Where a chain of commits stopped: what the table was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// What stands there.
    pub here: Here,
    /// Whether a commit further on proves that something else did.
    pub durable_later: bool,
    /// Where the successor or a trailer says that the segment ends.
    pub named: Named,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Believe the commit and go on.
    GoOn,
    /// The segment ends here; nothing is lost.
    Keep,
    /// The segment ends here; what stands here was never acknowledged and is cut.
    Cut,
    /// Something acknowledged is damaged: nothing is cut, and the log takes no puts.
    Refuse,
}

/// The table. `durable_later` says whether a valid commit header of this segment stands further on,
/// made when the commit that belongs here was durable.
pub fn verdict(here: Here, durable_later: bool, named: Named) -> Verdict {
    match (here, durable_later, named) {
        // The successor's word overrules whatever stands here: a write that failed is rewritten there.
        (_, _, Named::Here) => Verdict::Keep,
        (Here::Commit, _, Named::No | Named::Later) => Verdict::GoOn,
        (Here::Nothing | Here::Damage, _, Named::Later) => Verdict::Refuse,
        (Here::Nothing | Here::Damage, true, Named::No) if Bug::RotCutAsTail.is_planted() => Verdict::Cut,
        (Here::Nothing | Here::Damage, true, Named::No) => Verdict::Refuse,
        (Here::Nothing, false, Named::No) => Verdict::Keep,
        (Here::Damage, false, Named::No) => Verdict::Cut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_has_its_verdict() {
        use Here::*;
        use Verdict::*;
        #[rustfmt::skip]
        let table = [
            (Commit,  false, Named::No,    GoOn),   (Commit,  true, Named::No,    GoOn),
            (Commit,  false, Named::Here,  Keep),   (Commit,  true, Named::Here,  Keep),
            (Commit,  false, Named::Later, GoOn),   (Commit,  true, Named::Later, GoOn),
            (Nothing, false, Named::No,    Keep),   (Nothing, true, Named::No,    Refuse),
            (Nothing, false, Named::Here,  Keep),   (Nothing, true, Named::Here,  Keep),
            (Nothing, false, Named::Later, Refuse), (Nothing, true, Named::Later, Refuse),
            (Damage,  false, Named::No,    Cut),    (Damage,  true, Named::No,    Refuse),
            (Damage,  false, Named::Here,  Keep),   (Damage,  true, Named::Here,  Keep),
            (Damage,  false, Named::Later, Refuse), (Damage,  true, Named::Later, Refuse),
        ];
        let mut seen = 0;
        for here in [Commit, Nothing, Damage] {
            for durable_later in [false, true] {
                for named in [Named::No, Named::Here, Named::Later] {
                    let row = table.iter().find(|row| (row.0, row.1, row.2) == (here, durable_later, named));
                    let (.., expected) = row.expect("the table has every input");
                    assert_eq!(verdict(here, durable_later, named), *expected, "{here:?} {durable_later} {named:?}");
                    seen += 1;
                }
            }
        }
        assert_eq!(seen, table.len());
    }
}
