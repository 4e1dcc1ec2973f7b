//! Prints the records of every shard as they are pushed, and goes on where it was when it is run again.
//!
//! ```text
//! cargo run --example consume -- rheos-data/admin.url orders billing billing.positions
//! ```
//!
//! The consumer must be registered (`rheos consumer register orders billing`).
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints what it does")]

use std::path::Path;

use rheos_client::{Client, ConnectOptions, Consumer, Error, Positions};

/// Records between two writes of the positions.
const RECORDS_BETWEEN_WRITES: u64 = 1_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url_file), Some(stream), Some(name)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("usage: consume URL_FILE STREAM CONSUMER [POSITIONS_FILE]".into());
    };
    let file = arguments.next().unwrap_or_else(|| format!("{name}.positions"));
    let positions: Positions = match Path::new(&file).exists() {
        true => std::fs::read_to_string(&file)?.parse()?,
        false => Positions::default(),
    };
    let client = Client::connect(ConnectOptions::from_file(url_file)?).await?;
    let mut consumer = client.consumer(&stream, &name).resume(&positions).start().await?;
    let mut records = 0u64;
    let ended = loop {
        match consumer.next().await {
            Ok(Some(pushed)) => {
                let data = String::from_utf8_lossy(&pushed.record.data);
                println!("{} {} {} {data}", pushed.shard, pushed.sequence, pushed.record.partition_key);
            }
            Ok(None) => break Ok(()),
            // The shard goes on with what is kept.
            Err(error @ Error::Trimmed { .. }) => eprintln!("{error}"),
            Err(error) => break Err(error),
        }
        records += 1;
        if records.is_multiple_of(RECORDS_BETWEEN_WRITES) {
            write(&file, &consumer)?;
        }
    };
    write(&file, &consumer)?;
    Ok(ended?)
}

/// Writes beside the file first: what is cut off in the middle is never read.
fn write(file: &str, consumer: &Consumer) -> std::io::Result<()> {
    let beside = format!("{file}.new");
    std::fs::write(&beside, consumer.positions().to_string())?;
    std::fs::rename(beside, file)
}
