"""boto3: a registered consumer, pushed to over HTTP/1.1."""
import time

from steps import awaited, connect, create, say, texts

NAME = "push"
SHARD = "shardId-000000000000"
kinesis = connect()
arn = create(kinesis, NAME, 1)["StreamARN"]


def put(number):
    kinesis.put_record(StreamName=NAME, PartitionKey="key", Data=f"record {number}".encode())


def subscribe(consumer, **start):
    return kinesis.subscribe_to_shard(ConsumerARN=consumer, ShardId=SHARD, StartingPosition=start)["EventStream"]


def describe():
    return kinesis.describe_stream_consumer(StreamARN=arn, ConsumerName="board")["ConsumerDescription"]


registered = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="board")["Consumer"]
described = awaited("ACTIVE", describe, key="ConsumerStatus")
say("registered", first=registered["ConsumerStatus"], arn=described["ConsumerARN"], stream=described["StreamARN"],
    listed=[consumer["ConsumerName"] for consumer in kinesis.list_stream_consumers(StreamARN=arn)["Consumers"]])
consumer = described["ConsumerARN"]

for number in range(10):
    put(number)
pushed, goes_on, events = [], None, 0
stream = subscribe(consumer, Type="TRIM_HORIZON")
for message in stream:
    event = message["SubscribeToShardEvent"]
    events += 1
    goes_on = event["ContinuationSequenceNumber"]
    pushed += event["Records"]
    if len(pushed) == 10:
        put(10)
    if len(pushed) == 11:
        break
say("pushed", texts=texts(pushed), events=events, behind_ms=event["MillisBehindLatest"])

# Nothing is put now: an event comes all the same.
began = time.monotonic()
idle = next(iter(stream))["SubscribeToShardEvent"]
say("idle", texts=texts(idle["Records"]), waited_s=round(time.monotonic() - began, 1),
    goes_on=idle["ContinuationSequenceNumber"])
stream.close()

put(11)
time.sleep(5.1)  # A subscription within 5 s of the last is refused.
resumed = subscribe(consumer, Type="AFTER_SEQUENCE_NUMBER", SequenceNumber=idle["ContinuationSequenceNumber"])
for message in resumed:
    if message["SubscribeToShardEvent"]["Records"]:
        say("resumed", texts=texts(message["SubscribeToShardEvent"]["Records"]))
        break
resumed.close()
kinesis.deregister_stream_consumer(ConsumerARN=consumer)
kinesis.delete_stream(StreamName=NAME, EnforceConsumerDeletion=True)
say("deleted")
