//! Where each shard of a tail ends, and which are there.

use std::collections::BTreeMap;

use rheos_client::{Client, Position, Positions, RecordAt};

use crate::failure::Failure;
use crate::until::{End, tip};

pub(super) struct Ends {
    end: End,
    /// Whether there is one at all.
    are_some: bool,
    /// The next sequence of each shard when the end was made its tip.
    tips: Option<BTreeMap<u32, u64>>,
    /// The first record of a shard that was pushed and not printed.
    behind: BTreeMap<u32, u64>,
}

impl Ends {
    pub(super) fn new(until: Option<Position>) -> Result<Ends, Failure> {
        let end = End::at(until)?;
        Ok(Ends { end, are_some: until.is_some(), tips: None, behind: BTreeMap::new() })
    }

    pub(super) fn are_some(&self) -> bool {
        self.are_some
    }

    pub(super) fn end(&self) -> End {
        self.end
    }

    /// Ends every shard at what it holds now, if not before.
    pub(super) async fn end_at_tips(&mut self, client: &Client, stream: &str) -> Result<(), Failure> {
        let described = client.describe_stream(stream).await?;
        let mut tips = BTreeMap::new();
        for shard in &described.shards {
            tips.insert(shard.shard, tip(client, &described, shard.shard).await?);
        }
        self.tips = Some(tips);
        Ok(())
    }

    /// Whether a record is behind the end of its shard, which then is there.
    pub(super) fn is_behind(&mut self, shard: u32, at: &RecordAt<'_>) -> bool {
        let is_behind = self.are_some && self.of(shard).is_before(at);
        if is_behind {
            self.behind.entry(shard).or_insert(at.sequence);
        }
        is_behind
    }

    /// Whether every shard that was begun is at its end.
    pub(super) fn are_reached(&self, positions: &Positions) -> bool {
        positions.shards().all(|shard| {
            // One without a next sequence was read to its own end.
            let reached = |next| self.of(shard).is_reached(next);
            self.behind.contains_key(&shard) || positions.next(shard).is_none_or(reached)
        })
    }

    /// The positions without what was pushed and not printed.
    pub(super) fn hold_back(&self, mut positions: Positions) -> Positions {
        self.behind.iter().for_each(|(shard, sequence)| positions.rewind(*shard, *sequence));
        positions
    }

    fn of(&self, shard: u32) -> End {
        match &self.tips {
            // A shard that came to be later has nothing from before.
            Some(tips) => self.end.or_at(tips.get(&shard).copied().unwrap_or(0)),
            None => self.end,
        }
    }
}
