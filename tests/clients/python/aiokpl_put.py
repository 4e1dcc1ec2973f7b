"""aiokpl, a producer in the manner of the KPL: predicts the shard of each record and aggregates what belongs to it."""
import asyncio
import os

from aiobotocore.session import get_session
from aiokpl.config import Config
from aiokpl.producer import Producer

from async_steps import say

NAME = "aiokpl"
RECORDS = 200


async def create():
    async with get_session().create_client("kinesis") as kinesis:
        await kinesis.create_stream(StreamName=NAME, ShardCount=2)
        await kinesis.get_waiter("stream_exists").wait(StreamName=NAME, WaiterConfig={"Delay": 1})


async def main():
    await create()
    config = Config(
        region=os.environ["AWS_REGION"],
        endpoint_url=os.environ["AWS_ENDPOINT_URL_KINESIS"],
        aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    )
    async with Producer(config) as producer:
        outcomes = [await producer.put_record(stream=NAME, partition_key=f"key-{number}", data=f"record {number}".encode())
                    for number in range(RECORDS)]
        await producer.flush()
        results = [await outcome.wait() for outcome in outcomes]
    say("put", succeeded=sum(result.success for result in results), shards=sorted({result.shard_id for result in results}),
        stored=len({(result.shard_id, result.sequence_number) for result in results}))


asyncio.run(asyncio.wait_for(main(), 60))
