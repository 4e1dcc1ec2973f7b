"""boto3 at a broker with the limits of Kinesis: consumers, scaling, and what a shard takes and gives in a second."""
import time

from botocore.exceptions import ClientError
from steps import active, answered, connect, create, iterator, refusal, refused, say

NAME = "limits"
kinesis = connect()
arn = create(kinesis, NAME, 2)["StreamARN"]


def scaled(step, target):
    refused(step, kinesis.update_shard_count, StreamName=NAME, TargetShardCount=target, ScalingType="UNIFORM_SCALING")


def entry(hash_key, length):
    return {"PartitionKey": "key", "ExplicitHashKey": str(hash_key), "Data": b"x" * length}


for number in range(20):
    kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=f"consumer-{number}")
refused("a consumer more", kinesis.register_stream_consumer, StreamARN=arn, ConsumerName="consumer-20")
refused("a consumer again", kinesis.register_stream_consumer, StreamARN=arn, ConsumerName="consumer-3")
kinesis.deregister_stream_consumer(StreamARN=arn, ConsumerName="consumer-3")
kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="consumer-20")
say("consumers", count=active(kinesis, NAME)["ConsumerCount"])

scaled("over double", 5)
answered("doubled", kinesis.update_shard_count, StreamName=NAME, TargetShardCount=4, ScalingType="UNIFORM_SCALING")
active(kinesis, NAME)
scaled("below half", 1)
answered("account", kinesis.describe_limits)
kinesis.create_stream(StreamName="limits-large", ShardCount=10000)
refused("beyond the account's", kinesis.create_stream, StreamName="limits-larger", ShardCount=10000)

# A put may exceed what a shard takes in a second once; the shard then owes it, here for three seconds.
kinesis.put_records(StreamName=NAME, Records=[entry(0, 100 << 10)] * 40)
done = kinesis.put_records(StreamName=NAME, Records=[entry(0, 1), entry(2**128 - 1, 1), entry(0, 1)])
say("put too much", failed=done["FailedRecordCount"], shards=[it.get("ShardId") for it in done["Records"]], errors=[
    (it.get("ErrorCode"), it.get("ErrorMessage")) for it in done["Records"]])
refused("put one more", kinesis.put_record, StreamName=NAME, **entry(0, 1))


def until_refused(step, call, **arguments):
    """Says how many calls were answered, within which time, before one was refused, and how."""
    began = time.monotonic()
    for answered in range(200):
        try:
            call(**arguments)
        except ClientError as error:
            say(step, answered=answered, within_s=time.monotonic() - began, **refusal(error))
            return
    say(step, answered=200)


last = done["Records"][1]["ShardId"]
until_refused("read too often", kinesis.get_records, ShardIterator=iterator(kinesis, NAME, last))
