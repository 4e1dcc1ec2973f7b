"""boto3: the states that are shown for a while after a stream or consumer was made, changed or deleted, and what is
refused meanwhile. states.py DELAY_S, of a broker that shows them for so long."""
import sys
import time

from botocore.exceptions import ClientError
from steps import active, connect, refused, say

NAME = "states"
FIRST = "shardId-000000000000"
delay_s = float(sys.argv[1])
kinesis = connect()
put = {"StreamName": NAME, "PartitionKey": "key", "Data": b"record"}


def stream():
    try:
        return kinesis.describe_stream_summary(StreamName=NAME)["StreamDescriptionSummary"]["StreamStatus"]
    except ClientError as error:
        return error.response["Error"]["Code"]


def consumer(arn):
    try:
        return kinesis.describe_stream_consumer(ConsumerARN=arn)["ConsumerDescription"]["ConsumerStatus"]
    except ClientError as error:
        return error.response["Error"]["Code"]


def follow(step, began, last, look, *of):
    """Says which states are seen until the last, and how long that took since the call."""
    seen = []
    while not seen or seen[-1] != last:
        if time.monotonic() - began > 10 * delay_s + 10:
            raise SystemExit(f"{step} is not {last}: {seen}")
        now = look(*of)
        if [now] != seen[-1:]:
            seen.append(now)
        time.sleep(0.02)
    say(step, states=seen, lasted_s=round(time.monotonic() - began, 3))


def listed_consumers():
    return [[found["ConsumerName"], found["ConsumerStatus"]]
            for found in kinesis.list_stream_consumers(StreamARN=arn)["Consumers"]]


began = time.monotonic()
kinesis.create_stream(StreamName=NAME, ShardCount=2, Tags={"team": "flights"})
made = kinesis.describe_stream(StreamName=NAME)["StreamDescription"]
arn = made["StreamARN"]
say("made", arn=arn, status=made["StreamStatus"], shards=made["Shards"])
refused("listed while made", kinesis.list_shards, StreamName=NAME)
refused("put while made", kinesis.put_record, **put)
refused("tagged while made", kinesis.add_tags_to_stream, StreamName=NAME, Tags={"zone": "b"})
refused("registered while made", kinesis.register_stream_consumer, StreamARN=arn, ConsumerName="board")
refused("made again", kinesis.create_stream, StreamName=NAME, ShardCount=2)
follow("creating", began, "ACTIVE", stream)
say("active", shards=[shard["ShardId"] for shard in kinesis.list_shards(StreamName=NAME)["Shards"]])

began = time.monotonic()
kinesis.split_shard(StreamName=NAME, ShardToSplit=FIRST, NewStartingHashKey="100")
refused("merged while split", kinesis.merge_shards, StreamName=NAME, ShardToMerge="shardId-000000000002",
        AdjacentShardToMerge="shardId-000000000003")
refused("scaled while split", kinesis.update_shard_count, StreamName=NAME, TargetShardCount=4, ScalingType="UNIFORM_SCALING")
say("served while split", put_to=kinesis.put_record(**put, ExplicitHashKey="0")["ShardId"], open=[
    shard["ShardId"] for shard in kinesis.list_shards(StreamName=NAME, ShardFilter={"Type": "AT_LATEST"})["Shards"]])
follow("updating", began, "ACTIVE", stream)

began = time.monotonic()
board = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="board")["Consumer"]["ConsumerARN"]
say("consumer made", listed=listed_consumers())
refused("subscribed while made", kinesis.subscribe_to_shard, ConsumerARN=board, ShardId="1",
        StartingPosition={"Type": "LATEST"})
follow("consumer creating", began, "ACTIVE", consumer, board)
began = time.monotonic()
kinesis.deregister_stream_consumer(ConsumerARN=board)
say("consumer gone", listed=listed_consumers())
refused("registered while gone", kinesis.register_stream_consumer, StreamARN=arn, ConsumerName="board")
refused("deregistered again", kinesis.deregister_stream_consumer, ConsumerARN=board)
follow("consumer deleting", began, "ResourceNotFoundException", consumer, board)

began = time.monotonic()
kinesis.delete_stream(StreamName=NAME)
say("gone", listed=[[found["StreamName"], found["StreamStatus"]] for found in kinesis.list_streams()["StreamSummaries"]])
refused("made while gone", kinesis.create_stream, StreamName=NAME, ShardCount=1)
refused("put while gone", kinesis.put_record, **put)
refused("listed while gone", kinesis.list_shards, StreamName=NAME)
refused("kept longer while gone", kinesis.increase_stream_retention_period, StreamName=NAME, RetentionPeriodHours=30)
follow("deleting", began, "ResourceNotFoundException", stream)

# It is another stream, which can be put to as soon as it is ACTIVE.
kinesis.create_stream(StreamName=NAME, ShardCount=1)
active(kinesis, NAME)
say("put again", put_to=kinesis.put_record(**put)["ShardId"], shards=[
    shard["ShardId"] for shard in kinesis.list_shards(StreamName=NAME)["Shards"]])
