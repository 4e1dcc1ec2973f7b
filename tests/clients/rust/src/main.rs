//! The AWS SDK for Rust: creates a stream, puts, reads and is pushed to. A line of JSON on standard output for each
//! step; the test judges them.
//!
//! Endpoint, region and credentials come from the environment, as the test gives them.

use std::env;
use std::time::Duration;

use aws_sdk_kinesis::config::{Credentials, Region};
use aws_sdk_kinesis::error::DisplayErrorContext;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    PutRecordsRequestEntry, ShardIteratorType, StartingPosition, StreamStatus, SubscribeToShardEventStream,
};
use aws_sdk_kinesis::{Client, Config, Error};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

const STREAM: &str = "rust";
const RECORDS: usize = 20;
/// An event is pushed at least every 5 s.
const PUSH_WAIT: Duration = Duration::from_secs(6);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let client = Client::from_conf(config());
    if let Err(error) = session(&client).await {
        say(json!({"step": "failed", "error": DisplayErrorContext(&error).to_string()}));
        std::process::exit(1);
    }
}

async fn session(client: &Client) -> Result<(), Error> {
    client.create_stream().stream_name(STREAM).shard_count(1).send().await?;
    let arn = active(client).await?;
    put(client).await?;
    let shards = client.list_shards().stream_name(STREAM).send().await?;
    let shard = shards.shards()[0].shard_id().to_owned();
    say(json!({"step": "list", "shards": shards.shards().len()}));
    read(client, &shard).await?;
    subscribe(client, &arn, &shard).await?;
    let unknown = client.describe_stream_summary().stream_name("nowhere").send().await.map_err(Error::from);
    let Err(Error::ResourceNotFoundException(unknown)) = unknown else { panic!("{unknown:?}") };
    say(json!({"step": "unknown", "message": unknown.message()}));
    client.delete_stream().stream_name(STREAM).enforce_consumer_deletion(true).send().await?;
    say(json!({"step": "deleted"}));
    Ok(())
}

async fn active(client: &Client) -> Result<String, Error> {
    for _ in 0..200 {
        let answer = client.describe_stream_summary().stream_name(STREAM).send().await?;
        let summary = answer.stream_description_summary().expect("it is a member of every answer");
        if *summary.stream_status() == StreamStatus::Active {
            say(json!({"step": "active", "arn": summary.stream_arn()}));
            return Ok(summary.stream_arn().to_owned());
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("the stream does not become active within 10 s");
}

async fn put(client: &Client) -> Result<(), Error> {
    let entry = |number: usize| {
        let entry = PutRecordsRequestEntry::builder().partition_key(format!("key-{number}"));
        entry.data(Blob::new(format!("record {number}"))).build().expect("it is whole")
    };
    let one = client.put_record().stream_name(STREAM).partition_key("key").data(Blob::new("record 0")).send().await?;
    say(json!({"step": "put", "shard": one.shard_id(), "sequence": one.sequence_number()}));
    let entries = (1..RECORDS).map(entry).collect();
    let many = client.put_records().stream_name(STREAM).set_records(Some(entries)).send().await?;
    say(json!({"step": "put many", "failed": many.failed_record_count(), "records": many.records().len()}));
    Ok(())
}

async fn read(client: &Client, shard: &str) -> Result<(), Error> {
    let iterator = client.get_shard_iterator().stream_name(STREAM).shard_id(shard);
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await?;
    let mut next = iterator.shard_iterator;
    let mut records = Vec::new();
    while records.len() < RECORDS {
        let page = client.get_records().set_shard_iterator(next).limit(8).send().await?;
        records.extend(page.records().iter().map(|record| text(record.data())));
        say(json!({"step": "page", "records": page.records().len()}));
        next = page.next_shard_iterator;
    }
    say(json!({"step": "read", "records": records}));
    Ok(())
}

async fn subscribe(client: &Client, arn: &str, shard: &str) -> Result<(), Error> {
    let registered = client.register_stream_consumer().stream_arn(arn).consumer_name("pushed").send().await?;
    let consumer = registered.consumer().expect("it is a member of every answer").consumer_arn().to_owned();
    // A consumer is active soon after it was registered.
    sleep(Duration::from_secs(1)).await;
    let start = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon).build().expect("it is whole");
    let subscribe = client.subscribe_to_shard().consumer_arn(&consumer).shard_id(shard).starting_position(start);
    let mut events = subscribe.send().await?.event_stream;
    let mut records = Vec::new();
    while records.len() < RECORDS {
        let event = timeout(PUSH_WAIT, events.recv()).await.expect("an event comes within 6 s");
        let event = event.expect("it can be decoded").expect("the stream of events goes on");
        let SubscribeToShardEventStream::SubscribeToShardEvent(event) = event else { panic!("{event:?}") };
        records.extend(event.records().iter().map(|record| text(record.data())));
        say(json!({"step": "event", "records": event.records().len(), "goes_on": event.continuation_sequence_number()}));
    }
    say(json!({"step": "pushed", "records": records}));
    Ok(())
}

fn config() -> Config {
    let of = |name: &str| env::var(name).unwrap_or_else(|_| panic!("{name} is set by the test"));
    let credentials = Credentials::new(of("AWS_ACCESS_KEY_ID"), of("AWS_SECRET_ACCESS_KEY"), None, None, "test");
    let http = aws_smithy_http_client::Builder::new().build_http();
    Config::builder()
        .behavior_version_latest()
        .http_client(http)
        .credentials_provider(credentials)
        .region(Region::new(of("AWS_REGION")))
        .endpoint_url(of("AWS_ENDPOINT_URL_KINESIS"))
        .build()
}

fn text(data: &Blob) -> String {
    String::from_utf8_lossy(data.as_ref()).into_owned()
}

fn say(step: Value) {
    println!("{step}");
}
