//! In which order the shards of a stream are read while they are split and merged.

use std::collections::{BTreeMap, BTreeSet};

use rheos_protocol::message::{ShardDescription, StreamDescription};

/// Says which shards may be read now, so that the records of a shard come before those of its children.
///
/// It knows the shards of a stream, or some of them with their descendants. Whoever reads tells it when a shard was
/// [read to its end](Self::ended), [describes](Self::described) the stream again, and goes on with what is
/// [ready](Self::ready) then.
///
/// ```
/// # mod peer { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer/mod.rs")); }
/// use rheos_client::{Client, ConnectOptions, Lineage, Position, Record};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// # let peer = peer::Peer::start();
/// # peer.create("flights", 2);
/// let client = Client::connect(ConnectOptions::from_url(&peer.url())?).await?;
/// client.producer("flights").await?.put(Record::new("AA", "flight 1141 departed")).await?.await;
/// client.scale_stream("flights", 3).await?;
///
/// let mut stream = client.describe_stream("flights").await?;
/// let mut lineage = Lineage::of_all(&stream);
/// let mut ready = lineage.ready();
/// assert_eq!(ready, [0, 1]);
/// while let Some(shard) = ready.pop() {
///     let mut reader = client.reader_of(&stream, shard, Position::TrimHorizon)?;
///     while let Some(_record) = reader.next().await? {}
///     if reader.children().is_some() {
///         stream = client.describe_stream("flights").await?;
///         lineage.ended(shard);
///         lineage.described(&stream);
///         ready.extend(lineage.ready());
///     }
/// #   if ready.len() == 3 { break; }
/// }
/// assert_eq!(ready, [2, 3, 4]);
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Debug, Clone, Default)]
pub struct Lineage {
    /// The shards that are to be read, each with its parents.
    members: BTreeMap<u32, Vec<u32>>,
    /// Those that were given out.
    given: BTreeSet<u32>,
    ended: BTreeSet<u32>,
    /// Whether every shard of the stream is a member.
    all: bool,
}

impl Lineage {
    /// All shards of a stream, those that are still to come too.
    pub fn of_all(stream: &StreamDescription) -> Lineage {
        let mut lineage = Lineage { all: true, ..Lineage::default() };
        lineage.described(stream);
        lineage
    }

    /// These shards of a stream and their descendants, those that are still to come too.
    pub fn of_some(stream: &StreamDescription, shards: impl IntoIterator<Item = u32>) -> Lineage {
        let members = shards.into_iter().map(|shard| (shard, Vec::new())).collect();
        let mut lineage = Lineage { members, ..Lineage::default() };
        lineage.described(stream);
        lineage
    }

    /// Takes a newer description of the stream.
    pub fn described(&mut self, stream: &StreamDescription) {
        let mut shards: Vec<&ShardDescription> = stream.shards.iter().collect();
        // Parents have lower numbers than their children.
        shards.sort_by_key(|shard| shard.shard);
        for shard in shards {
            let parents: Vec<u32> = [shard.parent, shard.adjacent_parent].into_iter().flatten().collect();
            let descends = parents.iter().any(|parent| self.members.contains_key(parent));
            if self.all || descends || self.members.contains_key(&shard.shard) {
                self.members.insert(shard.shard, parents);
            }
        }
    }

    /// A shard was read to its end.
    pub fn ended(&mut self, shard: u32) {
        self.ended.insert(shard);
    }

    /// The shards that may be read now and were not named before, in the order of their numbers.
    pub fn ready(&mut self) -> Vec<u32> {
        let is_over = |parent: &u32| !self.members.contains_key(parent) || self.ended.contains(parent);
        let may_begin =
            |(shard, parents): &(&u32, &Vec<u32>)| !self.given.contains(shard) && parents.iter().all(is_over);
        let ready: Vec<u32> = self.members.iter().filter(may_begin).map(|(shard, _)| *shard).collect();
        self.given.extend(&ready);
        ready
    }
}

#[cfg(test)]
mod tests {
    use rheos_protocol::hash::HashRange;

    use super::*;

    fn stream(shards: &[(u32, Option<u32>, Option<u32>)]) -> StreamDescription {
        let shard = |&(shard, parent, adjacent_parent): &(u32, Option<u32>, Option<u32>)| ShardDescription {
            shard,
            range: HashRange::FULL,
            open: true,
            parent,
            adjacent_parent,
            log: 0,
            lane: 0,
        };
        StreamDescription {
            name: "s".to_owned(),
            incarnation: 1,
            created_ms: 0,
            retention_ms: 0,
            record_bytes_max: 1,
            shards: shards.iter().map(shard).collect(),
            settings: Default::default(),
        }
    }

    #[test]
    fn a_child_is_ready_when_both_of_its_parents_have_ended() {
        let mut lineage = Lineage::of_all(&stream(&[(0, None, None), (1, None, None)]));
        assert_eq!(lineage.ready(), [0, 1]);
        assert_eq!(lineage.ready(), [0u32; 0], "each is named once");
        // 1 was split into 2 and 3, and then 0 and 2 were merged into 4.
        let later = [(0, None, None), (1, None, None), (2, Some(1), None), (3, Some(1), None), (4, Some(0), Some(2))];
        lineage.ended(0);
        lineage.described(&stream(&later));
        assert_eq!(lineage.ready(), [0u32; 0], "4 waits for 2, which waits for 1");
        lineage.ended(1);
        assert_eq!(lineage.ready(), [2, 3]);
        lineage.ended(2);
        assert_eq!(lineage.ready(), [4]);
        // What has expired is waited for by nobody.
        assert_eq!(Lineage::of_all(&stream(&later[2..])).ready(), [2, 3]);
    }

    #[test]
    fn of_some_shards_the_descendants_come_alone() {
        let all = [(0, None, None), (1, None, None), (2, Some(1), None), (3, Some(1), None), (4, Some(0), Some(2))];
        let mut lineage = Lineage::of_some(&stream(&all), [0]);
        assert_eq!(lineage.ready(), [0]);
        lineage.ended(0);
        assert_eq!(lineage.ready(), [4], "1 and 2 are not asked for");
        let mut lineage = Lineage::of_some(&stream(&all), [3, 4]);
        assert_eq!(lineage.ready(), [3, 4]);
    }
}
