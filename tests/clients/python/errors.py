"""boto3: what is refused, with which code and text."""
import datetime
import os

import botocore.auth
import botocore.compat
from steps import connect, create, iterator, refused, say

NAME, CONSUMED = "errors", "errors-consumed"
FIRST = "shardId-000000000000"
kinesis = connect()
arn = create(kinesis, NAME, 2)["StreamARN"]
say("created", arn=arn)

refused("unknown stream", kinesis.describe_stream, StreamName="nowhere")
refused("put to unknown stream", kinesis.put_record, StreamName="nowhere", PartitionKey="key", Data=b"")
refused("create again", kinesis.create_stream, StreamName=NAME, ShardCount=1)
refused("bad name", kinesis.create_stream, StreamName="no spaces", ShardCount=1)
refused("long key", kinesis.put_record, StreamName=NAME, PartitionKey="k" * 257, Data=b"")
refused("hash key too high", kinesis.put_record, StreamName=NAME, PartitionKey="key", ExplicitHashKey=str(2**128), Data=b"")
refused("one of many is bad", kinesis.put_records, StreamName=NAME, Records=[
    {"PartitionKey": "key", "Data": b"good"}, {"PartitionKey": "key", "ExplicitHashKey": str(2**128), "Data": b"bad"}])
refused("bad iterator", kinesis.get_records, ShardIterator="AAAA")
refused("edited iterator", kinesis.get_records, ShardIterator=iterator(kinesis, NAME, FIRST)[:-8] + "AAAAAAA=")
refused("absent shard", kinesis.get_shard_iterator, StreamName=NAME, ShardId="shardId-000000000009",
        ShardIteratorType="LATEST")
refused("sequence not said", kinesis.get_shard_iterator, StreamName=NAME, ShardId=FIRST,
        ShardIteratorType="AT_SEQUENCE_NUMBER")
refused("time not said", kinesis.get_shard_iterator, StreamName=NAME, ShardId=FIRST, ShardIteratorType="AT_TIMESTAMP")
other = kinesis.put_record(StreamName=NAME, PartitionKey="key", ExplicitHashKey=str(2**128 - 1), Data=b"")
refused("sequence of another shard", kinesis.get_shard_iterator, StreamName=NAME, ShardId=FIRST,
        ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber=other["SequenceNumber"])
refused("split at the edge", kinesis.split_shard, StreamName=NAME, ShardToSplit=FIRST, NewStartingHashKey="1")
refused("merge the wrong way", kinesis.merge_shards, StreamName=NAME, ShardToMerge="shardId-000000000001",
        AdjacentShardToMerge=FIRST)
refused("retention too short", kinesis.decrease_stream_retention_period, StreamName=NAME, RetentionPeriodHours=23)
refused("retention not longer", kinesis.decrease_stream_retention_period, StreamName=NAME, RetentionPeriodHours=25)
refused("unknown consumer", kinesis.describe_stream_consumer, ConsumerARN=f"{arn}/consumer/nobody:1")
say("no policy", policy=kinesis.get_resource_policy(ResourceARN=arn)["Policy"])

# An iterator outlives neither its stream nor a second of that name.
kinesis.create_stream(StreamName=CONSUMED, ShardCount=1)
kinesis.get_waiter("stream_exists").wait(StreamName=CONSUMED, WaiterConfig={"Delay": 1})
old = iterator(kinesis, CONSUMED, FIRST)
kinesis.delete_stream(StreamName=CONSUMED)
kinesis.get_waiter("stream_not_exists").wait(StreamName=CONSUMED, WaiterConfig={"Delay": 1})
refused("iterator of a deleted stream", kinesis.get_records, ShardIterator=old)
create(kinesis, CONSUMED, 1)
refused("iterator of another incarnation", kinesis.get_records, ShardIterator=old)

key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
refused("wrong secret", connect(aws_access_key_id=key, aws_secret_access_key="0" * len(secret)).list_streams)
refused("unknown key", connect(aws_access_key_id="AKIAUNKNOWN00000000", aws_secret_access_key=secret).list_streams)

# botocore signs with this clock.
now = botocore.compat.get_current_datetime
for minutes in (-6, 6):
    botocore.auth.get_current_datetime = lambda: now() + datetime.timedelta(minutes=minutes)
    refused(f"clock {minutes:+} minutes", kinesis.list_streams)
botocore.auth.get_current_datetime = lambda: now() - datetime.timedelta(minutes=4)
say("clock -4 minutes", names=kinesis.list_streams()["StreamNames"])
