// aws-kinesis-agg for Node: aggregated records are put, read back and taken apart again.
"use strict";
const aws = require("@aws-sdk/client-kinesis");
const { aggregate, deaggregateSync } = require("aws-kinesis-agg");
const { active, run, say } = require("./steps");

const StreamName = "aggregated-node";
const RECORDS = 100;

run(async (kinesis) => {
  await kinesis.send(new aws.CreateStreamCommand({ StreamName, ShardCount: 1 }));
  await active(kinesis, StreamName);
  const made = await aggregated();
  const { ShardId } = await kinesis.send(new aws.PutRecordCommand({
    StreamName, PartitionKey: made.partitionKey, ExplicitHashKey: made.explicitHashKey, Data: made.data,
  }));
  say("put", { shard: ShardId });
  const from = { StreamName, ShardId, ShardIteratorType: "TRIM_HORIZON" };
  let { ShardIterator } = await kinesis.send(new aws.GetShardIteratorCommand(from));
  for (let looks = 0; looks < 50; looks += 1) {
    const page = await kinesis.send(new aws.GetRecordsCommand({ ShardIterator }));
    for (const record of page.Records) takeApart(record);
    if (page.Records.length) break;
    ShardIterator = page.NextShardIterator;
  }
});

// One record of Kinesis for all of ours, as the library hands it over.
function aggregated() {
  const records = [];
  for (let number = 0; number < RECORDS; number += 1) {
    records.push({ partitionKey: `key-${number % 5}`, data: Buffer.from(`record ${number}`) });
  }
  return new Promise((resolve, reject) => {
    aggregate(records, (made, done) => { resolve(made); done(); }, () => {}, reject);
  });
}

function takeApart(record) {
  const given = { ...record, Data: Buffer.from(record.Data).toString("base64") };
  deaggregateSync(given, true, (error, inner) => {
    if (error) throw error;
    say("taken apart", {
      inner: inner.map((one) => ({ key: one.PartitionKey, text: Buffer.from(one.Data, "base64").toString() })),
    });
  });
}
