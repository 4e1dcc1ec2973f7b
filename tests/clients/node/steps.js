// What the scripts for Node share: a line of JSON for each step, which the test judges.
"use strict";
const { KinesisClient, DescribeStreamSummaryCommand } = require("@aws-sdk/client-kinesis");

const say = (step, seen = {}) => console.log(JSON.stringify({ step, ...seen }));
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const text = (record) => Buffer.from(record.Data).toString();

// The default handler, which speaks HTTP/2. NODE_EXTRA_CA_CERTS names the broker's CA where the endpoint has TLS.
const connect = () => new KinesisClient({ maxAttempts: 1 });

async function active(kinesis, name) {
  for (let looks = 0; looks < 200; looks += 1) {
    const answer = await kinesis.send(new DescribeStreamSummaryCommand({ StreamName: name }));
    if (answer.StreamDescriptionSummary.StreamStatus === "ACTIVE") return answer.StreamDescriptionSummary;
    await sleep(50);
  }
  throw new Error(`${name} does not become active within 10 s`);
}

// Runs a script's steps; what goes wrong is its last.
function run(steps) {
  const kinesis = connect();
  steps(kinesis)
    .catch((error) => {
      say("failed", { error: String(error.stack || error) });
      process.exitCode = 1;
    })
    .finally(() => kinesis.destroy());
}

module.exports = { active, run, say, sleep, text };
