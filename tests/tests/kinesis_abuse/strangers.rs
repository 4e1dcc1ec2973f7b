//! A key without any grant, and what it is told by every operation.

use std::collections::BTreeSet;

use rheos_client::protocol::message::{Access, KeyPolicy};
use rheos_kinesis::shapes::operations;
use serde_json::{Value, json};

use crate::face::{Asker, new_admin, new_key, shard_id};
use crate::{GROWTH_BYTES_MAX, ground};

/// What every operation is asked; the names are those of a stream and a consumer that there are.
fn inputs(arn: &str, consumer: &str) -> Vec<(&'static str, Value)> {
    let (name, shard, tags) = ("target", shard_id(0), json!({"team": "a"}));
    let key = json!({"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis", "StreamName": name});
    let monitoring = json!({"StreamName": name, "ShardLevelMetrics": ["ALL"]});
    let from = json!({"Type": "LATEST"});
    vec![
        ("PutRecord", json!({"StreamName": name, "PartitionKey": "a", "Data": "AAAA"})),
        ("PutRecords", json!({"StreamName": name, "Records": [{"PartitionKey": "a", "Data": "AAAA"}]})),
        ("GetShardIterator", json!({"StreamName": name, "ShardId": shard, "ShardIteratorType": "LATEST"})),
        ("SubscribeToShard", json!({"ConsumerARN": consumer, "ShardId": shard, "StartingPosition": from})),
        ("CreateStream", json!({"StreamName": "strange", "ShardCount": 1})),
        ("DeleteStream", json!({"StreamName": name})),
        ("DescribeStream", json!({"StreamName": name})),
        ("DescribeStreamSummary", json!({"StreamARN": arn})),
        ("IncreaseStreamRetentionPeriod", json!({"StreamName": name, "RetentionPeriodHours": 48})),
        ("DecreaseStreamRetentionPeriod", json!({"StreamName": name, "RetentionPeriodHours": 24})),
        ("UpdateStreamMode", json!({"StreamARN": arn, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}})),
        ("UpdateMaxRecordSize", json!({"StreamARN": arn, "MaxRecordSizeInKiB": 2048})),
        ("UpdateStreamWarmThroughput", json!({"StreamARN": arn, "WarmThroughputMiBps": 10})),
        ("UpdateStreamRecordDistributionStrategy", json!({"StreamARN": arn, "RecordDistributionStrategy": "AUTO"})),
        ("ListShards", json!({"StreamName": name})),
        ("SplitShard", json!({"StreamName": name, "ShardToSplit": shard, "NewStartingHashKey": "1000"})),
        ("MergeShards", json!({"StreamName": name, "ShardToMerge": shard, "AdjacentShardToMerge": shard_id(1)})),
        ("UpdateShardCount", json!({"StreamName": name, "TargetShardCount": 4, "ScalingType": "UNIFORM_SCALING"})),
        ("RegisterStreamConsumer", json!({"StreamARN": arn, "ConsumerName": "strange"})),
        ("DeregisterStreamConsumer", json!({"ConsumerARN": consumer})),
        ("DescribeStreamConsumer", json!({"ConsumerARN": consumer})),
        ("ListStreamConsumers", json!({"StreamARN": arn})),
        ("EnableEnhancedMonitoring", monitoring.clone()),
        ("DisableEnhancedMonitoring", monitoring),
        ("StartStreamEncryption", key.clone()),
        ("StopStreamEncryption", key),
        ("AddTagsToStream", json!({"StreamName": name, "Tags": tags})),
        ("RemoveTagsFromStream", json!({"StreamName": name, "TagKeys": ["team"]})),
        ("ListTagsForStream", json!({"StreamName": name})),
        ("TagResource", json!({"ResourceARN": arn, "Tags": tags})),
        ("UntagResource", json!({"ResourceARN": consumer, "TagKeys": ["team"]})),
        ("ListTagsForResource", json!({"ResourceARN": arn})),
        ("PutResourcePolicy", json!({"ResourceARN": arn, "Policy": "{}"})),
        ("GetResourcePolicy", json!({"ResourceARN": arn})),
        ("DeleteResourcePolicy", json!({"ResourceARN": arn})),
        ("DescribeLimits", json!({})),
        ("DescribeAccountSettings", json!({})),
        ("UpdateAccountSettings", json!({"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}})),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_without_a_grant_is_denied_every_operation() {
    let ground = ground().await;
    let address = ground.broker.address();
    let admin = ground.broker.client().await;
    let key = new_admin(&admin, "owner").await;
    let mut owner = Asker::http1(address, &key).await;
    let arn = owner.arn("target").await;
    let consumer = owner.register(&arn, "board").await;
    let stream = owner.done("DescribeStream", &json!({"StreamName": "target"})).await;
    let inputs = inputs(&arn, &consumer);

    // ListStreams shows the streams that a key may see, and an iterator is of the one to whom it was given.
    let asked: BTreeSet<_> = inputs.iter().map(|(name, _)| *name).chain(["ListStreams", "GetRecords"]).collect();
    assert_eq!(asked, operations::all().map(|operation| operation.name).collect());
    for (name, policy) in [
        ("nobody", KeyPolicy::everywhere(Access::None)),
        ("elsewhere", KeyPolicy { everywhere: Access::None, streams: vec![("other".to_owned(), Access::ReadWrite)] }),
    ] {
        let key = new_key(&admin, name, policy).await;
        let mut stranger = Asker::http2(address, &key).await;
        for (operation, input) in &inputs {
            let said = stranger.refused(operation, input, "AccessDeniedException").await;
            assert!(said.contains(name) && said.contains("grant"), "{operation}: {said}");
        }
        let streams = stranger.done("ListStreams", &json!({})).await;
        assert_eq!(streams["StreamNames"], json!([]), "{streams}");
        let iterator = owner.iterator("target", 0).await;
        let said =
            stranger.refused("GetRecords", &json!({"ShardIterator": iterator}), "InvalidArgumentException").await;
        assert_eq!(said, "Invalid ShardIterator.");
        // Nor does it learn which streams there are.
        let of = |name: &str| json!({"StreamName": name});
        let there = stranger.refused("DescribeStream", &of("target"), "AccessDeniedException").await;
        let nowhere = stranger.refused("DescribeStream", &of("absent"), "AccessDeniedException").await;
        assert_eq!(there.replace("target", "absent"), nowhere);
    }
    assert_eq!(owner.done("DescribeStream", &json!({"StreamName": "target"})).await, stream, "nothing has changed");
    admin.close().await;
    ground.unharmed(GROWTH_BYTES_MAX).await;
    ground.end().await;
}
