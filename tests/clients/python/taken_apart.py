"""boto3 and aws-kinesis-agg read what another client aggregated: taken_apart.py STREAM."""
import base64
import sys

from aws_kinesis_agg.deaggregator import iter_deaggregate_records
from steps import connect, iterator, page, say

name = sys.argv[1]
kinesis = connect()
for shard in kinesis.list_shards(StreamName=name)["Shards"]:
    stored, at = [], iterator(kinesis, name, shard["ShardId"])
    while True:
        records, answer = page(kinesis, at)
        stored += records
        at = answer.get("NextShardIterator")
        if at is None or (not records and answer["MillisBehindLatest"] == 0):
            break
    inner = [{"key": record["kinesis"]["partitionKey"], "text": base64.b64decode(record["kinesis"]["data"]).decode()}
             for record in iter_deaggregate_records(stored, data_format="Boto3")]
    say("taken apart", shard=shard["ShardId"], stored=len(stored), inner=inner)
