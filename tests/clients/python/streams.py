"""boto3: the life of a stream. Created, put to, read from every kind of iterator, tagged, kept longer, deleted."""
import time

from steps import connect, iterator, page, read, refused, say, texts

NAME = "streams"
kinesis = connect()

kinesis.create_stream(StreamName=NAME, ShardCount=2)
kinesis.get_waiter("stream_exists").wait(StreamName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
described = kinesis.describe_stream(StreamName=NAME)["StreamDescription"]
say("created", name=described["StreamName"], arn=described["StreamARN"], status=described["StreamStatus"],
    ranges=[shard["HashKeyRange"] for shard in described["Shards"]], retention=described["RetentionPeriodHours"])
arn = described["StreamARN"]
summary = kinesis.describe_stream_summary(StreamARN=arn)["StreamDescriptionSummary"]
say("summary", open_shards=summary["OpenShardCount"], has_stream_id="StreamId" in summary)
say("listed", names=kinesis.list_streams()["StreamNames"], pages=[
    found["StreamNames"] for found in kinesis.get_paginator("list_streams").paginate(PaginationConfig={"PageSize": 1})])
# boto3's own paginator names the stream again with the token, which AWS refuses.
pages, more = [], {"StreamName": NAME}
while more and len(pages) < 10:
    found = kinesis.list_shards(MaxResults=1, **more)
    pages.append([shard["ShardId"] for shard in found["Shards"]])
    more = {"NextToken": found["NextToken"]} if "NextToken" in found else None
say("shards", pages=pages)
paged = kinesis.get_paginator("list_shards").paginate(StreamName=NAME, PaginationConfig={"PageSize": 1})
refused("paginated", lambda: list(paged))

# By an explicit hash key everything is in the last shard; its order is that of the puts.
first = kinesis.put_record(StreamName=NAME, PartitionKey="key", ExplicitHashKey=str(2**128 - 1), Data=b"record 0")
say("put", shard=first["ShardId"], sequence=first["SequenceNumber"])
before = time.time()
time.sleep(0.05)
entries = [{"PartitionKey": "key", "ExplicitHashKey": str(2**128 - 1), "Data": f"record {number}".encode()}
           for number in range(1, 501)]
put = kinesis.put_records(StreamARN=arn, Records=entries)
say("put many", failed=put["FailedRecordCount"], shards=sorted({done["ShardId"] for done in put["Records"]}),
    sequences=[done["SequenceNumber"] for done in put["Records"]])

shard = first["ShardId"]
kept = read(kinesis, iterator(kinesis, NAME, shard), 501)
say("from the horizon", texts=texts(kept), keys=sorted({record["PartitionKey"] for record in kept}),
    sequences=[record["SequenceNumber"] for record in kept], has_encryption="EncryptionType" in kept[0],
    arrival_is_near=all(abs(record["ApproximateArrivalTimestamp"].timestamp() - time.time()) < 60 for record in kept))
tenth = kept[10]["SequenceNumber"]
for kind, start in [("AT_SEQUENCE_NUMBER", {"StartingSequenceNumber": tenth}),
                    ("AFTER_SEQUENCE_NUMBER", {"StartingSequenceNumber": tenth}), ("AT_TIMESTAMP", {"Timestamp": before})]:
    records, _ = page(kinesis, iterator(kinesis, NAME, shard, kind, **start), limit=1)
    say(kind, texts=texts(records))
latest = iterator(kinesis, NAME, shard, "LATEST")
kinesis.put_record(StreamName=NAME, PartitionKey="key", ExplicitHashKey=str(2**128 - 1), Data=b"last")
say("LATEST", texts=texts(read(kinesis, latest, 1)))
again, answer = page(kinesis, latest)
say("again", texts=texts(again), behind_ms=answer["MillisBehindLatest"])
empty, answer = page(kinesis, answer["NextShardIterator"])
say("at the tip", texts=texts(empty), goes_on="NextShardIterator" in answer, children="ChildShards" in answer)

pages, at = [], iterator(kinesis, NAME, shard)
while sum(pages) < 502:
    records, answer = page(kinesis, at, limit=200)
    pages.append(len(records))
    at = answer["NextShardIterator"]
say("pages", lens=pages)

kinesis.add_tags_to_stream(StreamName=NAME, Tags={"team": "flights", "cost": "12"})
kinesis.tag_resource(ResourceARN=arn, Tags={"zone": "b"})
kinesis.remove_tags_from_stream(StreamName=NAME, TagKeys=["cost", "unknown"])
say("tags", of_stream=kinesis.list_tags_for_stream(StreamName=NAME)["Tags"],
    of_resource=kinesis.list_tags_for_resource(ResourceARN=arn)["Tags"])
kinesis.increase_stream_retention_period(StreamName=NAME, RetentionPeriodHours=48)
longer = kinesis.describe_stream_summary(StreamName=NAME)["StreamDescriptionSummary"]["RetentionPeriodHours"]
kinesis.decrease_stream_retention_period(StreamName=NAME, RetentionPeriodHours=24)
shorter = kinesis.describe_stream_summary(StreamName=NAME)["StreamDescriptionSummary"]["RetentionPeriodHours"]
say("retention", hours=[longer, shorter])

kinesis.delete_stream(StreamName=NAME)
kinesis.get_waiter("stream_not_exists").wait(StreamName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
say("deleted", names=kinesis.list_streams()["StreamNames"])
