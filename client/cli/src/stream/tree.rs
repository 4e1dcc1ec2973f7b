//! The shards of a stream drawn as a tree: who was split or merged into whom.
//!
//! ```text
//! 0 closed
//! ├─ 2 open
//! └─ 3 closed
//!    └─ 4 open, merged with 1
//! 1 closed, merged into 4
//! ```
//!
//! A shard that was merged from two stands under the first of them; the other says where it has gone.

use std::collections::BTreeMap;

use rheos_client::ShardDescription;

/// The lines of the tree. What has expired is not in it: its children stand by themselves.
pub(super) fn draw(shards: &[ShardDescription]) -> Vec<String> {
    let known: BTreeMap<u32, &ShardDescription> = shards.iter().map(|shard| (shard.shard, shard)).collect();
    let stands_under = |shard: &ShardDescription| {
        [shard.parent, shard.adjacent_parent].into_iter().flatten().find(|parent| known.contains_key(parent))
    };
    let mut children: BTreeMap<Option<u32>, Vec<u32>> = BTreeMap::new();
    let mut gone_into: BTreeMap<u32, u32> = BTreeMap::new();
    for shard in shards {
        children.entry(stands_under(shard)).or_default().push(shard.shard);
        if let (Some(_), Some(adjacent)) = (shard.parent, shard.adjacent_parent) {
            gone_into.insert(adjacent, shard.shard);
        }
    }
    let mut lines = Vec::new();
    // What is still to be drawn, the next one last: its shard, what stands before it, and before its children.
    let mut waiting: Vec<(u32, String, String)> = Vec::new();
    push(&mut waiting, children.get(&None), None);
    while let Some((number, before, indent)) = waiting.pop() {
        let shard = known[&number];
        let state = if shard.open { "open" } else { "closed" };
        let other =
            [shard.parent, shard.adjacent_parent].into_iter().flatten().find(|it| stands_under(shard) != Some(*it));
        let merged = match (stands_under(shard), other) {
            (Some(_), Some(other)) => format!(", merged with {other}"),
            _ => String::new(),
        };
        let gone = match gone_into.get(&number) {
            Some(child) if stands_under(known[child]) != Some(number) => format!(", merged into {child}"),
            _ => String::new(),
        };
        lines.push(format!("{before}{number} {state}{merged}{gone}"));
        push(&mut waiting, children.get(&Some(number)), Some(&indent));
    }
    lines
}

/// Puts siblings on the stack; `indent` is what stands before them, and none where they are the first ancestors.
fn push(waiting: &mut Vec<(u32, String, String)>, siblings: Option<&Vec<u32>>, indent: Option<&str>) {
    let Some(siblings) = siblings else { return };
    for (from_last, number) in siblings.iter().rev().enumerate() {
        let (branch, below) = if from_last == 0 { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        waiting.push(match indent {
            None => (*number, String::new(), String::new()),
            Some(indent) => (*number, format!("{indent}{branch}"), format!("{indent}{below}")),
        });
    }
}

#[cfg(test)]
mod tests {
    use rheos_client::protocol::hash::HashRange;

    use super::*;

    fn shard(shard: u32, open: bool, parent: Option<u32>, adjacent_parent: Option<u32>) -> ShardDescription {
        ShardDescription { shard, range: HashRange::FULL, open, parent, adjacent_parent, log: 0, lane: 0 }
    }

    #[test]
    fn who_came_of_whom_is_drawn() {
        let shards = [
            shard(0, false, None, None),
            shard(1, false, None, None),
            shard(2, false, Some(0), None),
            shard(3, false, Some(0), None),
            shard(4, true, Some(3), Some(1)),
            shard(5, true, Some(2), None),
            shard(6, true, Some(2), None),
        ];
        let drawn = [
            "0 closed",
            "├─ 2 closed",
            "│  ├─ 5 open",
            "│  └─ 6 open",
            "└─ 3 closed",
            "   └─ 4 open, merged with 1",
            "1 closed, merged into 4",
        ];
        assert_eq!(draw(&shards), drawn);
        // When 0 and 3 have expired, what came of them stands by itself or under who is left.
        assert_eq!(draw(&shards[4..]), ["4 open", "5 open", "6 open"]);
        let left = [shards[1], shards[4]];
        assert_eq!(draw(&left), ["1 closed", "└─ 4 open, merged with 3"]);
    }

    #[test]
    fn a_long_descent_is_drawn_too() {
        let shards: Vec<_> =
            (0..20_000).map(|number| shard(number, number == 19_999, number.checked_sub(1), None)).collect();
        let drawn = draw(&shards[..50]);
        assert_eq!(drawn.len(), 50);
        assert!(drawn[49].ends_with("└─ 49 closed"));
    }
}
