//! Clients that hang up while what they asked for is done: the broker and its catalog agree afterwards.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::face::{Asker, JSON, new_admin, wire};
use crate::ground;

/// How often somebody hangs up, a little later each time.
const TIMES: u64 = 40;
const LATER: Duration = Duration::from_micros(250);
/// Far longer than a change of the catalog takes.
const SETTLED: Duration = Duration::from_secs(1);

/// Sends a call on a connection of its own and closes that after a moment.
async fn hang_up(asker: &Asker, operation: &str, input: &Value, after: Duration) {
    let request = wire(&asker.signed(operation, JSON, input.to_string().into_bytes()), false);
    let mut stream = TcpStream::connect(asker.address).await.expect("the broker listens");
    stream.write_all(&request).await.expect("it takes a request");
    sleep(after).await;
}

#[tokio::test]
async fn what_a_client_hangs_up_on_is_done_whole_or_not_at_all() {
    let ground = ground().await;
    let admin = ground.broker.client().await;
    let key = new_admin(&admin, "hangs-up").await;
    admin.close().await;
    let mut asker = Asker::http1(ground.broker.address(), &key).await;
    let name = |at: u64| format!("s-{at}");
    let arn = |at: u64| format!("arn:aws:kinesis:us-east-1:000000000000:stream/{}", name(at));
    for at in 0..TIMES {
        let after = LATER * at as u32;
        hang_up(&asker, "CreateStream", &json!({"StreamName": name(at), "ShardCount": 1}), after).await;
    }
    sleep(SETTLED).await;
    for at in 0..TIMES {
        let shown = asker.ask("DescribeStreamSummary", &json!({"StreamName": name(at)})).await;
        if shown.status != 200 {
            asker.done("CreateStream", &json!({"StreamName": name(at), "ShardCount": 1})).await;
        }
    }
    let registered = json!({"ConsumerName": "c"});
    let of = |at: u64, more: &Value| {
        let mut input = more.clone();
        input["StreamARN"] = json!(arn(at));
        input
    };
    for at in 0..TIMES {
        hang_up(&asker, "RegisterStreamConsumer", &of(at, &registered), LATER * at as u32).await;
    }
    sleep(SETTLED).await;
    for at in 0..TIMES {
        let shown = asker.ask("DescribeStreamConsumer", &of(at, &registered)).await;
        if shown.status != 200 {
            asker.done("RegisterStreamConsumer", &of(at, &registered)).await;
        }
    }
    for at in 0..TIMES {
        let input = json!({"StreamName": name(at), "EnforceConsumerDeletion": true});
        hang_up(&asker, "DeleteStream", &input, LATER * at as u32).await;
    }
    sleep(SETTLED).await;
    for at in 0..TIMES {
        let put = asker.ask("PutRecord", &json!({"StreamName": name(at), "PartitionKey": "k", "Data": "aGk="})).await;
        // Where a record was taken, there is a stream to be deleted.
        let named = json!({"StreamName": name(at), "EnforceConsumerDeletion": true});
        match put.status {
            200 => drop(asker.done("DeleteStream", &named).await),
            _ => drop(asker.done("CreateStream", &json!({"StreamName": name(at), "ShardCount": 1})).await),
        }
    }
    ground.end().await;
}
