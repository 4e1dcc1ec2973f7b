"""boto3: what is listed page by page, and which shards a filter shows."""
import time

from steps import active, answered, connect, create, refused, say

NAME = "listing"
kinesis = connect()


def ids(answer):
    return [shard["ShardId"] for shard in answer["Shards"]]


def shards(kind, **more):
    return ids(kinesis.list_shards(StreamName=NAME, ShardFilter={"Type": kind, **more}))


def next_second():
    """A time a little later, when the second in which something was made has passed."""
    time.sleep(1.01)
    now = time.time()
    time.sleep(0.01)
    return now


def pages(call, of, first, **always):
    """What a list has on each page, from the first to where no token is given."""
    found, more = [], first
    while more is not None and len(found) < 10:
        answer = call(**more, **always)
        found.append(of(answer))
        more = {"NextToken": answer["NextToken"]} if "NextToken" in answer else None
    return found


arn = create(kinesis, NAME, 2)["StreamARN"]
say("created", arn=arn)
create(kinesis, NAME + "-2", 1)
# Children open in a later second than their parents did, however soon they are asked for.
before = next_second()
kinesis.split_shard(StreamName=NAME, ShardToSplit="0", NewStartingHashKey="100")
active(kinesis, NAME)
split = next_second()
kinesis.merge_shards(StreamName=NAME, ShardToMerge="2", AdjacentShardToMerge="3")
active(kinesis, NAME)
merged = next_second()

say("filtered", **{kind: shards(kind) for kind in ("FROM_TRIM_HORIZON", "AT_TRIM_HORIZON", "AT_LATEST")},
    AFTER_SHARD_ID=shards("AFTER_SHARD_ID", ShardId="shardId-000000000002"),
    before=[shards(kind, Timestamp=before) for kind in ("AT_TIMESTAMP", "FROM_TIMESTAMP")],
    split=[shards(kind, Timestamp=split) for kind in ("AT_TIMESTAMP", "FROM_TIMESTAMP")],
    merged=[shards(kind, Timestamp=merged) for kind in ("AT_TIMESTAMP", "FROM_TIMESTAMP")],
    of_old=[shards(kind, Timestamp=1) for kind in ("AT_TIMESTAMP", "FROM_TIMESTAMP")])
for kind in ("AT_TIMESTAMP", "FROM_TIMESTAMP", "AFTER_SHARD_ID"):
    refused(f"{kind} alone", kinesis.list_shards, StreamName=NAME, ShardFilter={"Type": kind})
say("after", ids=ids(kinesis.list_shards(StreamARN=arn, ExclusiveStartShardId="shardId-000000000003")))

# A filter and the size of its pages go on with the token.
first = kinesis.list_shards(StreamName=NAME, MaxResults=1, ShardFilter={"Type": "AT_LATEST"})
second = kinesis.list_shards(NextToken=first["NextToken"], MaxResults=10)
say("filtered pages", pages=[ids(first), ids(second)], goes_on="NextToken" in second)
refused("edited token", kinesis.list_shards, NextToken=first["NextToken"][:-8] + "AAAAAAA=")
refused("token of another list", kinesis.list_streams, NextToken=first["NextToken"])
refused("neither", kinesis.list_shards)
refused("nowhere", kinesis.list_shards, StreamName="nowhere")

description = kinesis.describe_stream(StreamName=NAME, Limit=3)["StreamDescription"]
rest = kinesis.describe_stream(StreamName=NAME, Limit=3, ExclusiveStartShardId=ids(description)[-1])["StreamDescription"]
say("described", pages=[ids(description), ids(rest)], more=[description["HasMoreShards"], rest["HasMoreShards"]])
again = {"ShardToSplit": "0", "NewStartingHashKey": "100"}
refused("split again", kinesis.split_shard, StreamName=NAME, **again)
refused("split nothing", kinesis.split_shard, StreamName=NAME, **{**again, "ShardToSplit": "shardId-000000000009"})

for name in ("board", "alerts"):
    kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=name)
say("consumers", pages=pages(
    kinesis.list_stream_consumers, lambda answer: [consumer["ConsumerName"] for consumer in answer["Consumers"]],
    {"MaxResults": 1}, StreamARN=arn))
say("streams", pages=pages(
    kinesis.list_streams, lambda answer: (answer["StreamNames"], answer["HasMoreStreams"]), {"Limit": 1}))
answered("streams after", kinesis.list_streams, ExclusiveStartStreamName=NAME)
