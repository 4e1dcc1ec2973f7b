"""What the scripts of the Python clients share: a line of JSON for each step, which the test judges."""
import json
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def say(step, **seen):
    print(json.dumps({"step": step, **seen}, default=str), flush=True)


def connect(**given):
    """A client that shows errors at once: it never retries."""
    return boto3.client("kinesis", config=Config(retries={"total_max_attempts": 1}, read_timeout=30), **given)


def answered(step, call, **arguments):
    """Says the whole answer of a call."""
    answer = call(**arguments)
    del answer["ResponseMetadata"]
    say(step, answer=answer)
    return answer


def refused(step, call, **arguments):
    """Says with which code and text a call is refused."""
    try:
        call(**arguments)
    except ClientError as error:
        say(step, **refusal(error))
    else:
        say(step, code=None)


def refusal(error):
    return {"status": error.response["ResponseMetadata"]["HTTPStatusCode"], "code": error.response["Error"]["Code"],
            "message": error.response["Error"].get("Message")}


def create(kinesis, name, shards):
    kinesis.create_stream(StreamName=name, ShardCount=shards)
    return active(kinesis, name)


def active(kinesis, name):
    """The stream's summary, once it is ACTIVE."""
    return awaited("ACTIVE", lambda: kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"])


def awaited(status, look, within=20, key="StreamStatus"):
    until = time.monotonic() + within
    while (seen := look())[key] != status:
        if time.monotonic() > until:
            raise SystemExit(f"not {status} within {within} s: {seen}")
        time.sleep(0.05)
    return seen


def iterator(kinesis, name, shard, kind="TRIM_HORIZON", **start):
    answer = kinesis.get_shard_iterator(StreamName=name, ShardId=shard, ShardIteratorType=kind, **start)
    return answer["ShardIterator"]


def page(kinesis, at, limit=10000):
    """One read: its records, and the whole answer."""
    answer = kinesis.get_records(ShardIterator=at, Limit=limit)
    return answer["Records"], answer


def read(kinesis, at, count):
    """As many records as expected, from an iterator on."""
    records = []
    for _ in range(200):
        some, answer = page(kinesis, at)
        records += some
        at = answer.get("NextShardIterator")
        if len(records) >= count or at is None:
            break
        time.sleep(0.02)
    return records


def texts(records):
    return [record["Data"].decode() for record in records]
