"""async-kinesis: its producer makes a stream and puts to it, its consumer reads all shards."""
import asyncio
import os

from kinesis import Consumer, Producer

from async_steps import say

NAME = "async-kinesis"
WHERE = {"endpoint_url": os.environ["AWS_ENDPOINT_URL_KINESIS"], "region_name": os.environ["AWS_REGION"]}
RECORDS = 100


async def main():
    async with Producer(NAME, create_stream=True, create_stream_shards=2, buffer_time=0.1, **WHERE) as producer:
        for number in range(RECORDS):
            await producer.put({"number": number}, partition_key=f"key-{number % 7}")
        await producer.flush()
    say("put")
    numbers = []
    async with Consumer(NAME, sleep_time_no_records=0.2, **WHERE) as consumer:
        while len(numbers) < RECORDS:
            async for message in consumer:
                numbers.append(message["number"])
                if len(numbers) == RECORDS:
                    break
    say("read", numbers=numbers)


asyncio.run(asyncio.wait_for(main(), 60))
