"""boto3 at a broker with the limits of Kinesis: consumers, scaling, and what a shard takes and gives in a second."""
from steps import active, answered, connect, create, iterator, refused, say

NAME = "limits"
kinesis = connect()
arn = create(kinesis, NAME, 2)["StreamARN"]


def scaled(step, target):
    refused(step, kinesis.update_shard_count, StreamName=NAME, TargetShardCount=target, ScalingType="UNIFORM_SCALING")


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
scaled("beyond a stream's", 10001)
answered("account", kinesis.describe_limits)
refused("beyond the account's", kinesis.create_stream, StreamName="limits-large", ShardCount=10000)

# One second of a shard is in its bucket; what is put at once beyond it is throttled, entry by entry.
create(kinesis, NAME + "-shard", 1)
entries = [{"PartitionKey": "key", "Data": b"x" * (100 << 10)} for _ in range(40)]
done = kinesis.put_records(StreamName=NAME + "-shard", Records=entries)
say("put too much", failed=done["FailedRecordCount"], sequences=len([1 for it in done["Records"] if "SequenceNumber" in it]),
    errors=sorted({(it["ErrorCode"], it["ErrorMessage"]) for it in done["Records"] if "ErrorCode" in it}))
refused("put one more", kinesis.put_record, StreamName=NAME + "-shard", PartitionKey="key", Data=b"x" * (1000 << 10))
at = iterator(kinesis, NAME + "-shard", "0")
seen = []
for _ in range(40):
    try:
        kinesis.get_records(ShardIterator=at, Limit=1)
        seen.append("read")
    except kinesis.exceptions.ProvisionedThroughputExceededException:
        break
say("read often", reads=len(seen))
refused("read once more", kinesis.get_records, ShardIterator=at, Limit=1)
