//! boto3: a stream that is resharded again and again within a second. Every number of a child is greater than its parents'
//! are, and who walks from the first shards along the children that ends name reads every record, in order.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::alone::alone;
use crate::client::{Client, Steps, texts};
use crate::face::{Face, Way};
use crate::{numbered, rise};

/// One shard is scaled to 2, 4, 2 and 1.
const RECORDS: usize = 5;

#[test]
fn a_lineage_is_walked() {
    alone("lineage::a_lineage_is_walked", &[Client::Aws], async {
        let mut face = Face::start().await;
        let steps = face.run(Client::Aws, "python/lineage.py", &[], Way::Plain).await;
        numbers_rise(&steps);
        is_walked(&steps);
        face.end();
    });
}

fn numbers_rise(steps: &Steps) {
    let acked = steps.one("acked");
    assert!(rise(&texts(&acked["sequences"])), "{acked}");
    let shards = shards(steps);
    for shard in shards.values() {
        for parent in parents(shard) {
            let (start, end) =
                (&shard["SequenceNumberRange"]["StartingSequenceNumber"], &shards[parent]["SequenceNumberRange"]);
            let (start, end) = (start.as_str(), end["EndingSequenceNumber"].as_str());
            let (start, end) = start.zip(end).unwrap_or_else(|| panic!("{parent} is closed: {shard}"));
            assert!(rise(&[end, start]), "{shard} begins after {parent}");
        }
    }
}

fn is_walked(steps: &Steps) {
    let (walked, shards) = (steps.one("walked"), shards(steps));
    assert_eq!(texts(&walked["texts"]), numbered(RECORDS));
    assert_eq!(walked["sequences"], steps.one("acked")["sequences"]);
    let seen: BTreeSet<&str> = texts(&walked["shards"]).into_iter().collect();
    assert_eq!(seen, shards.keys().copied().collect(), "every shard is reached");
    assert_eq!(seen.len(), texts(&walked["shards"]).len(), "and once");
    for end in walked["ends"].as_array().expect("it is a list") {
        let shard = end["shard"].as_str().expect("it is a text");
        let children = shards.iter().filter(|(_, child)| parents(child).any(|parent| parent == shard));
        assert_eq!(texts(&end["children"]), children.map(|(id, _)| *id).collect::<Vec<_>>(), "of {shard}");
        assert_eq!(end["is_end"], !texts(&end["children"]).is_empty(), "{end}");
    }
    let filtered = steps.one("filtered");
    let first: Vec<&str> = shards.iter().filter(|(_, it)| parents(it).next().is_none()).map(|(id, _)| *id).collect();
    assert_eq!(texts(&filtered["AT_TRIM_HORIZON"]), first);
    let is_open = |shard: &Value| shard["SequenceNumberRange"]["EndingSequenceNumber"].is_null();
    let open: Vec<&str> = shards.iter().filter(|(_, shard)| is_open(shard)).map(|(id, _)| *id).collect();
    assert_eq!((texts(&filtered["AT_LATEST"]), open.len()), (open.clone(), 1));
}

fn shards(steps: &Steps) -> BTreeMap<&str, &Value> {
    let shards = steps.one("shards")["shards"].as_array().expect("it is a list");
    shards.iter().map(|shard| (shard["ShardId"].as_str().expect("it is a text"), shard)).collect()
}

fn parents(shard: &Value) -> impl Iterator<Item = &str> {
    ["ParentShardId", "AdjacentParentShardId"].into_iter().filter_map(|member| shard[member].as_str())
}
