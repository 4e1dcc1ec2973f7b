use aws_sdk_kinesis::config::{Credentials, Region};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::ShardIteratorType;
use aws_sdk_kinesis::{Client, Config};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (id, secret) = (std::env::var("AWS_ACCESS_KEY_ID")?, std::env::var("AWS_SECRET_ACCESS_KEY")?);
    let endpoint = std::env::var("AWS_ENDPOINT_URL_KINESIS").unwrap_or("http://localhost:4567".to_owned());
    let config = Config::builder()
        .behavior_version_latest()
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(id, secret, None, None, "rheos"))
        .build();
    let kinesis = Client::from_conf(config);

    kinesis.create_stream().stream_name("from-rust").shard_count(1).send().await?;
    let put = kinesis.put_record().stream_name("from-rust").partition_key("AA").data(Blob::new("flight 1141 departed"));
    println!("put to {}", put.send().await?.shard_id());

    let from = kinesis.get_shard_iterator().stream_name("from-rust").shard_id("shardId-000000000000");
    let from = from.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await?;
    let page = kinesis.get_records().set_shard_iterator(from.shard_iterator).send().await?;
    for record in page.records() {
        let key = record.partition_key().unwrap_or_default();
        println!("{key}: {}", String::from_utf8_lossy(record.data().as_ref()));
    }
    Ok(())
}
