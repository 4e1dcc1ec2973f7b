// AWS SDK for JavaScript v3 over HTTP/2: creates, puts, lists, reads and is pushed to: session.js STREAM.
"use strict";
const aws = require("@aws-sdk/client-kinesis");
const { active, run, say, sleep, text } = require("./steps");

const StreamName = process.argv[2];
const RECORDS = 20;

run(async (kinesis) => {
  say("handler", { name: kinesis.config.requestHandler.constructor.name, version: kinesis.config.requestHandler.metadata });
  await kinesis.send(new aws.CreateStreamCommand({ StreamName, ShardCount: 1 }));
  const { StreamARN } = await active(kinesis, StreamName);
  say("active", { arn: StreamARN });
  const ShardId = await put(kinesis);
  await read(kinesis, ShardId);
  await subscribe(kinesis, StreamARN, ShardId);
  await refused("unknown stream", kinesis, new aws.DescribeStreamCommand({ StreamName: "nowhere" }));
  await refused("bad iterator", kinesis, new aws.GetRecordsCommand({ ShardIterator: "AAAA" }));
  await kinesis.send(new aws.DeleteStreamCommand({ StreamName, EnforceConsumerDeletion: true }));
  say("deleted");
});

async function put(kinesis) {
  const one = { StreamName, PartitionKey: "key", Data: Buffer.from("record 0") };
  const { ShardId } = await kinesis.send(new aws.PutRecordCommand(one));
  const Records = [];
  for (let number = 1; number < RECORDS; number += 1) {
    Records.push({ PartitionKey: `key-${number}`, Data: Buffer.from(`record ${number}`) });
  }
  const many = await kinesis.send(new aws.PutRecordsCommand({ StreamName, Records }));
  say("put", { shard: ShardId, failed: many.FailedRecordCount, records: many.Records.length });
  const { Shards } = await kinesis.send(new aws.ListShardsCommand({ StreamName }));
  say("listed", { shards: Shards.map((shard) => shard.ShardId) });
  return ShardId;
}

async function read(kinesis, ShardId) {
  const from = { StreamName, ShardId, ShardIteratorType: "TRIM_HORIZON" };
  let { ShardIterator } = await kinesis.send(new aws.GetShardIteratorCommand(from));
  const texts = [];
  for (let pages = 0; texts.length < RECORDS && pages < 100; pages += 1) {
    const page = await kinesis.send(new aws.GetRecordsCommand({ ShardIterator, Limit: 8 }));
    texts.push(...page.Records.map(text));
    ShardIterator = page.NextShardIterator;
  }
  say("read", { texts });
}

async function subscribe(kinesis, StreamARN, ShardId) {
  const registered = await kinesis.send(new aws.RegisterStreamConsumerCommand({ StreamARN, ConsumerName: "board" }));
  await sleep(1000); // A consumer is active soon after it was registered.
  const { ConsumerARN } = registered.Consumer;
  const StartingPosition = { Type: "TRIM_HORIZON" };
  const answer = await kinesis.send(new aws.SubscribeToShardCommand({ ConsumerARN, ShardId, StartingPosition }));
  const texts = [];
  let events = 0;
  for await (const { SubscribeToShardEvent: event } of answer.EventStream) {
    events += 1;
    texts.push(...event.Records.map(text));
    if (texts.length === RECORDS) {
      say("pushed", { texts, events, goes_on: event.ContinuationSequenceNumber });
      break;
    }
  }
}

async function refused(step, kinesis, command) {
  try {
    await kinesis.send(command);
    say(step, { code: null });
  } catch (error) {
    say(step, { code: error.name, message: error.message, status: error.$metadata && error.$metadata.httpStatusCode });
  }
}
