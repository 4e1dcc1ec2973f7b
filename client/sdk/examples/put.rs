//! Puts the lines of standard input into a stream, and prints where each was stored.
//!
//! ```text
//! seq 1 1000 | cargo run --example put -- rheos-data/admin.url orders
//! ```
#![allow(clippy::print_stdout, reason = "an example prints what it does")]

use std::io::BufRead;

use rheos_client::{Client, ConnectOptions, Outcome, Record};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url_file), Some(stream)) = (arguments.next(), arguments.next()) else {
        return Err("usage: put URL_FILE STREAM < LINES".into());
    };
    let client = Client::connect(ConnectOptions::from_file(url_file)?).await?;
    let producer = client.producer(&stream).await?;

    let mut tickets = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        // Records with one key go to one shard and keep their order.
        let key = line.split_whitespace().next().unwrap_or("empty").to_owned();
        tickets.push(producer.put(Record::new(key, line)).await?);
    }
    for ticket in tickets {
        match ticket.await {
            Outcome::Acked { shard, sequence, .. } => println!("shard {shard} sequence {sequence}"),
            Outcome::Refused(why) => println!("not stored: {why}"),
            Outcome::Indeterminate(why) => println!("stored or not: {why}"),
        }
    }
    client.close().await;
    Ok(())
}
