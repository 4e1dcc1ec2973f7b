"""boto3: split, merge and scale; what a reader sees at the end of a shard, polled and pushed."""
from steps import active, awaited, connect, create, iterator, page, say, texts

NAME = "reshard"
kinesis = connect()
arn = create(kinesis, NAME, 1)["StreamARN"]


def shards(**which):
    return kinesis.list_shards(StreamName=NAME, **which)["Shards"]


def is_open(shard):
    return "EndingSequenceNumber" not in shard["SequenceNumberRange"]


def put(text):
    return kinesis.put_record(StreamName=NAME, PartitionKey="key", Data=text.encode())["ShardId"]


def to_the_end(shard):
    """Every page of a closed shard: its texts, whether it has a next iterator, and whose children it names."""
    pages, at = [], iterator(kinesis, NAME, shard)
    while at and len(pages) < 50:
        records, answer = page(kinesis, at, limit=2)
        at = answer.get("NextShardIterator")
        pages.append({"texts": texts(records), "goes_on": at is not None, "children": answer.get("ChildShards")})
    return pages


for number in range(5):
    put(f"before {number}")
kinesis.split_shard(StreamName=NAME, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
active(kinesis, NAME)
say("split", shards=shards(), at_latest=[shard["ShardId"] for shard in shards(ShardFilter={"Type": "AT_LATEST"})],
    put_to=put("after"))
say("end polled", pages=to_the_end("shardId-000000000000"))
closed, answer = page(kinesis, iterator(kinesis, NAME, "shardId-000000000000", "LATEST"))
say("latest of the closed", texts=texts(closed), goes_on="NextShardIterator" in answer,
    children=[child["ShardId"] for child in answer.get("ChildShards", [])])

consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="board")["Consumer"]["ConsumerARN"]
awaited("ACTIVE", lambda: kinesis.describe_stream_consumer(ConsumerARN=consumer)["ConsumerDescription"],
        key="ConsumerStatus")
events = kinesis.subscribe_to_shard(
    ConsumerARN=consumer, ShardId="shardId-000000000000", StartingPosition={"Type": "TRIM_HORIZON"})["EventStream"]
# The stream of events ends by itself after the end of the shard.
seen = [message["SubscribeToShardEvent"] for message in events]
say("end pushed", texts=[text for event in seen for text in texts(event["Records"])],
    events=[{"goes_on": event.get("ContinuationSequenceNumber") is not None, "children": event.get("ChildShards")}
            for event in seen])

left, right = [shard["ShardId"] for shard in shards() if is_open(shard)]
kinesis.merge_shards(StreamName=NAME, ShardToMerge=left, AdjacentShardToMerge=right)
active(kinesis, NAME)
merged = [shard for shard in shards() if is_open(shard)]
say("merged", shards=merged, ends=[to_the_end(shard)[-1] for shard in (left, right)])

updated = kinesis.update_shard_count(StreamName=NAME, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
active(kinesis, NAME)
say("scaled", before=updated["CurrentShardCount"], target=updated["TargetShardCount"], shards=shards(),
    open=[shard["ShardId"] for shard in shards() if is_open(shard)])
kinesis.delete_stream(StreamName=NAME, EnforceConsumerDeletion=True)
say("deleted")
