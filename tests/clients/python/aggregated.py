"""aws-kinesis-agg for Python: aggregated records are put, read back by boto3 and taken apart again."""
import base64

from aws_kinesis_agg.aggregator import RecordAggregator
from aws_kinesis_agg.deaggregator import iter_deaggregate_records

from steps import connect, create, iterator, read, say

NAME = "aggregated-python"
kinesis = connect()
create(kinesis, NAME, 1)
aggregator = RecordAggregator()
for number in range(100):
    aggregator.add_user_record(f"key-{number % 5}", f"record {number}".encode())
# Its hash key is none, because none was given.
key, _, data = aggregator.clear_and_get().get_contents()
put = kinesis.put_record(StreamName=NAME, PartitionKey=key, Data=data)
say("put", shard=put["ShardId"])
kept = read(kinesis, iterator(kinesis, NAME, put["ShardId"]), 1)
inner = list(iter_deaggregate_records(kept, data_format="Boto3"))
say("taken apart", stored=len(kept), inner=[
    {"key": record["kinesis"]["partitionKey"], "text": base64.b64decode(record["kinesis"]["data"]).decode(),
     "sub": record["kinesis"].get("subSequenceNumber")} for record in inner])
