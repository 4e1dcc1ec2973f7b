"""boto3 on a stream of the native protocol's: reads what was put there, then puts: mixed.py STREAM COUNT."""
import sys

from steps import connect, iterator, read, say, texts

name, count = sys.argv[1], int(sys.argv[2])
kinesis = connect()
shard = kinesis.list_shards(StreamName=name)["Shards"][0]["ShardId"]
found = read(kinesis, iterator(kinesis, name, shard), count)
say("read", texts=texts(found), keys=[record["PartitionKey"] for record in found],
    sequences=[record["SequenceNumber"] for record in found])
put = kinesis.put_records(StreamName=name, Records=[
    {"PartitionKey": f"aws-{number}", "Data": f"by boto3 {number}".encode()} for number in range(count)])
say("put", failed=put["FailedRecordCount"], sequences=[done["SequenceNumber"] for done in put["Records"]])
