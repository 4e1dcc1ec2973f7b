//! Which shards a consumer begins with, where, and after which others.
//!
//! What must hold: a shard's records come after those of its parents; a consumer that resumes neither skips
//! nor repeats; what came to be after the positions were written is read whole.

use std::collections::{BTreeMap, BTreeSet};

use rheos_protocol::message::{Position, ShardDescription, StreamDescription};

use super::feed::Feed;
use super::positions::{Place, Positions};
use crate::client::described;
use crate::error::Error;

/// The feeds of a consumer that starts: of the `chosen` shards and their descendants, or of all.
pub(super) fn beginning(
    stream: &StreamDescription,
    chosen: Option<&[u32]>,
    from: Position,
    resumed: &Positions,
) -> Result<Vec<Feed>, Error> {
    let members = members(stream, chosen)?;
    let shards: BTreeMap<u32, &ShardDescription> = stream.shards.iter().map(|shard| (shard.shard, shard)).collect();
    let parents_of: BTreeSet<u32> = stream.shards.iter().flat_map(parents).collect();
    let begin = |shard: &&ShardDescription| {
        let follows = || is_resumed(&shards, shard, resumed);
        match resumed.place(shard.shard) {
            Some(_) => feed(stream, shard, Position::TrimHorizon, resumed),
            None if follows() => feed(stream, shard, Position::TrimHorizon, resumed),
            // After its last record there is nothing; its children begin where they are now.
            None if from == Position::Latest && !shard.open && parents_of.contains(&shard.shard) => {
                Feed::ended(stream.incarnation, shard.shard, shard.lane)
            }
            None => feed(stream, shard, from, resumed),
        }
    };
    Ok(stream.shards.iter().filter(|shard| members.contains(&shard.shard)).map(|shard| begin(&shard)).collect())
}

/// The feed of one shard: where `resumed` says, else from `position`.
pub(super) fn feed(
    stream: &StreamDescription,
    shard: &ShardDescription,
    position: Position,
    resumed: &Positions,
) -> Feed {
    let position = match resumed.place(shard.shard) {
        Some(Place::Ended) => return Feed::ended(stream.incarnation, shard.shard, shard.lane),
        Some(Place::Next(sequence)) => Position::AtSequence(sequence),
        None => position,
    };
    Feed::new(stream.incarnation, shard.shard, shard.lane, parents(shard).collect(), position)
}

/// The shards of a new description that descend from the `known` ones, or are named as `children` of one that has
/// ended, and were not known before. All of them: a child of two waits for both, however late the other one came to be.
///
/// # Errors
///
/// [`Error::NoSuchShard`] for a child that never was.
pub(super) fn descendants(
    stream: &StreamDescription,
    known: BTreeSet<u32>,
    children: BTreeSet<u32>,
) -> Result<Vec<&ShardDescription>, Error> {
    let mut members = known.clone();
    for child in children {
        members.extend(successors(stream, child)?.into_iter().map(|shard| shard.shard));
    }
    add_descendants(stream, &mut members);
    Ok(stream.shards.iter().filter(|shard| members.contains(&shard.shard) && !known.contains(&shard.shard)).collect())
}

/// The shard of this number; or, when it was closed and has been forgotten since with everything that it had
/// stored, those that come after it.
///
/// # Errors
///
/// [`Error::NoSuchShard`] when there never was one.
fn successors(stream: &StreamDescription, shard: u32) -> Result<Vec<&ShardDescription>, Error> {
    let missing = match described(stream, shard) {
        Ok(described) => return Ok(vec![described]),
        Err(missing) => missing,
    };
    let after = |is_after: &dyn Fn(u32) -> bool| -> Vec<&ShardDescription> {
        stream.shards.iter().filter(|child| parents(child).any(is_after)).collect()
    };
    // When its children are gone too, whoever comes after them has a parent of a higher number than its own.
    let found = [after(&|parent| parent == shard), after(&|parent| parent > shard)];
    found.into_iter().find(|found| !found.is_empty()).ok_or(missing)
}

fn members(stream: &StreamDescription, chosen: Option<&[u32]>) -> Result<BTreeSet<u32>, Error> {
    let Some(chosen) = chosen else { return Ok(stream.shards.iter().map(|shard| shard.shard).collect()) };
    let mut members = BTreeSet::new();
    for shard in chosen {
        members.insert(described(stream, *shard)?.shard);
    }
    add_descendants(stream, &mut members);
    Ok(members)
}

fn add_descendants(stream: &StreamDescription, members: &mut BTreeSet<u32>) {
    loop {
        let before = members.len();
        for shard in &stream.shards {
            if parents(shard).any(|parent| members.contains(&parent)) {
                members.insert(shard.shard);
            }
        }
        if members.len() == before {
            return;
        }
    }
}

/// Whether an ancestor was begun: then the shard came to be after the positions, or was not reached.
fn is_resumed(shards: &BTreeMap<u32, &ShardDescription>, shard: &ShardDescription, resumed: &Positions) -> bool {
    let (mut seen, mut open) = (BTreeSet::new(), vec![shard]);
    while let Some(shard) = open.pop() {
        for parent in parents(shard).filter(|parent| seen.insert(*parent)) {
            if resumed.place(parent).is_some() {
                return true;
            }
            open.extend(shards.get(&parent));
        }
    }
    false
}

fn parents(shard: &ShardDescription) -> impl Iterator<Item = u32> + use<> {
    [shard.parent, shard.adjacent_parent].into_iter().flatten()
}

#[cfg(test)]
mod tests;
