"""boto3: a stream that is resharded again and again at once: what its shards and numbers say, and a reader's walk from the
first shards to the last, who goes on where an end names children."""
import time

from steps import connect, create, iterator, page, say, texts

NAME = "lineage"
TARGETS = (2, 4, 2, 1)
kinesis = connect()
create(kinesis, NAME, 1)


def put(number, **after):
    return kinesis.put_record(StreamName=NAME, PartitionKey="key", Data=f"record {number}".encode(), **after)


acked = []
for number, target in enumerate(TARGETS):
    acked.append(put(number))
    kinesis.update_shard_count(StreamName=NAME, TargetShardCount=target, ScalingType="UNIFORM_SCALING")
acked.append(put(len(TARGETS), SequenceNumberForOrdering=acked[-1]["SequenceNumber"]))
say("acked", sequences=[done["SequenceNumber"] for done in acked], shards=[done["ShardId"] for done in acked])

shards = kinesis.list_shards(StreamName=NAME)["Shards"]
say("shards", shards=shards)
filters = ("AT_TRIM_HORIZON", "AT_LATEST")
say("filtered", **{kind: [shard["ShardId"] for shard in kinesis.list_shards(
    StreamName=NAME, ShardFilter={"Type": kind})["Shards"]] for kind in filters})

# A shard is read when all of its parents have been, as the KCL does it.
read, walked, ends = [], [], []
ready = [shard["ShardId"] for shard in shards if "ParentShardId" not in shard]
until = time.monotonic() + 20
while ready:
    shard = ready.pop(0)
    walked.append(shard)
    at = iterator(kinesis, NAME, shard)
    while at:
        if time.monotonic() > until:
            raise SystemExit(f"the walk does not end: {walked}")
        records, answer = page(kinesis, at)
        read += records
        at = answer.get("NextShardIterator")
        if "ChildShards" not in answer and not records and answer["MillisBehindLatest"] == 0:
            break  # The tip of an open shard.
    children = answer.get("ChildShards", [])
    ends.append({"shard": shard, "is_end": at is None, "children": [child["ShardId"] for child in children]})
    for child in children:
        if set(child["ParentShards"]) <= set(walked) and child["ShardId"] not in ready:
            ready.append(child["ShardId"])
say("walked", shards=walked, ends=ends, texts=texts(read), sequences=[record["SequenceNumber"] for record in read])
