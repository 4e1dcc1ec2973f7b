//! Prints the records of one shard as they come, from the first that is kept.
//!
//! ```text
//! cargo run --example read -- rheos-data/admin.url orders 0
//! ```
#![allow(clippy::print_stdout, reason = "an example prints what it does")]

use rheos_client::{Client, ConnectOptions, Error, Position};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url_file), Some(stream)) = (arguments.next(), arguments.next()) else {
        return Err("usage: read URL_FILE STREAM [SHARD]".into());
    };
    let shard = arguments.next().map_or(Ok(0), |shard| shard.parse())?;
    let client = Client::connect(ConnectOptions::from_file(url_file)?).await?;
    let mut reader = client.reader(&stream, shard, Position::TrimHorizon).await?;
    loop {
        match reader.next().await {
            Ok(Some(read)) => {
                let data = String::from_utf8_lossy(&read.record.data);
                println!("{} {} {data}", read.sequence, read.record.partition_key);
            }
            Ok(None) => return Ok(()),
            // What is no longer kept is skipped; everything else is for a person to look at.
            Err(Error::Trimmed { first_kept_sequence, .. }) => {
                reader.skip_to(Position::AtSequence(first_kept_sequence));
            }
            Err(error) => return Err(error.into()),
        }
    }
}
