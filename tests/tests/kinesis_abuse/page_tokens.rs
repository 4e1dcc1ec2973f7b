//! Page tokens that were changed, are old, of another operation, of another life of a stream, or of somebody else.

use std::time::{Duration, SystemTime};

use rheos_client::protocol::message::{Access, KeyPolicy};
use rheos_tests::signed_request::Form;
use serde_json::{Value, json};

use crate::face::{Asker, JSON, call, new_admin, new_key, signer, text};
use crate::{GROWTH_BYTES_MAX, ground, place};

/// The operations that give tokens, and what is asked besides for the first page.
fn lists(stream_arn: &str) -> [(&'static str, Value, &'static str); 3] {
    [
        ("ListStreams", json!({"Limit": 1}), "StreamNames"),
        ("ListShards", json!({"StreamName": "target", "MaxResults": 1}), "Shards"),
        ("ListStreamConsumers", json!({"StreamARN": stream_arn, "MaxResults": 1}), "Consumers"),
    ]
}

/// What the next page is asked with.
fn next(operation: &str, stream_arn: &str, token: &str) -> Value {
    match operation {
        "ListStreamConsumers" => json!({"StreamARN": stream_arn, "NextToken": token}),
        _ => json!({"NextToken": token}),
    }
}

async fn assert_invalid(asker: &mut Asker, operation: &str, input: &Value, what: &str) {
    let said = asker.refused(operation, input, "InvalidArgumentException").await;
    assert_eq!(said, "Invalid NextToken.", "{operation}, {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_of_one_operation_one_key_and_one_life_and_unchanged() {
    let ground = ground().await;
    let address = ground.broker.address();
    let admin = ground.broker.client().await;
    let mut other = Asker::http1(address, &new_admin(&admin, "other").await).await;
    let mut asker = Asker::http1(address, &ground.key).await;
    let arn = asker.arn("target").await;
    asker.register(&arn, "first").await;
    asker.register(&arn, "second").await;
    let mut tokens = Vec::new();
    for (operation, input, listed) in lists(&arn) {
        let first = asker.done(operation, &input).await;
        let token = text(&first["NextToken"]);
        let second = asker.done(operation, &next(operation, &arn, &token)).await;
        assert!(second[listed].as_array().is_some_and(|list| list.len() == 1), "{second}");
        assert_ne!(first[listed], second[listed]);
        assert_eq!(asker.done(operation, &next(operation, &arn, &token)).await[listed], second[listed], "again");
        tokens.push((operation, token));
    }
    for (operation, token) in &tokens {
        assert_invalid(&mut other, operation, &next(operation, &arn, token), "of another key").await;
        for (of, foreign) in tokens.iter().filter(|(of, _)| of != operation) {
            assert_invalid(&mut asker, operation, &next(operation, &arn, foreign), of).await;
        }
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'g' } else { b'A' };
            let changed = String::from_utf8(changed).expect("it is ASCII");
            assert_invalid(&mut asker, operation, &next(operation, &arn, &changed), &format!("edited at {at}")).await;
        }
        for len in (1..token.len()).step_by(7) {
            assert_invalid(&mut asker, operation, &next(operation, &arn, &token[..len]), "cut").await;
        }
    }
    // The same name with another life.
    let deleted = json!({"StreamName": "target", "EnforceConsumerDeletion": true});
    asker.done("DeleteStream", &deleted).await;
    asker.done("CreateStream", &json!({"StreamName": "target", "ShardCount": 2})).await;
    for (operation, token) in tokens.iter().filter(|(operation, _)| *operation != "ListStreams") {
        let answer = asker.ask(operation, &next(operation, &arn, token)).await;
        let kind = answer.json()["__type"].clone();
        assert!(answer.status == 400, "{operation}: {answer:?}");
        assert!(kind == "ResourceNotFoundException" || kind == "InvalidArgumentException", "{operation}: {answer:?}");
    }
    admin.close().await;
    ground.unharmed(GROWTH_BYTES_MAX).await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_outlives_the_broker_and_not_five_minutes() {
    let mut place = place();
    let broker = place.start();
    let admin = broker.client().await;
    let key = new_key(&admin, "reader", KeyPolicy::everywhere(Access::Admin)).await;
    admin.close().await;
    let mut asker = Asker::http1(broker.address(), &key).await;
    asker.done("CreateStream", &json!({"StreamName": "kept", "ShardCount": 2})).await;
    let first = asker.done("ListShards", &json!({"StreamName": "kept", "MaxResults": 1})).await;
    let token = text(&first["NextToken"]);
    broker.kill();
    for (ahead_ms, is_good) in [(290_000, true), (301_000, false)] {
        place.set_flag("--clock-ahead-ms", Some(&ahead_ms.to_string()));
        let broker = place.start();
        let mut asker = Asker::http1(broker.address(), &key).await;
        let body = json!({"NextToken": token}).to_string().into_bytes();
        let at = SystemTime::now() + Duration::from_millis(ahead_ms);
        let request = signer(&key).sign(call(broker.address(), "ListShards", JSON, body), Form::Header, at);
        let answer = asker.send(request).await;
        if is_good {
            assert_eq!(answer.json()["Shards"][0]["ShardId"], "shardId-000000000001", "{answer:?}");
        } else {
            assert!(answer.refusal(400, "ExpiredNextTokenException").contains("expired"), "{answer:?}");
        }
        let said = broker.stop();
        assert!(!said.contains("panicked"), "{said}");
    }
}
