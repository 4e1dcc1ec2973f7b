//! What cannot be asked, and what happens when it is asked at the wrong time.

use super::judge::Load;
use super::*;
use rheos_client::{Error, ErrorCode, Outcome, Record};

fn code<T: std::fmt::Debug>(outcome: Result<T, Error>) -> ErrorCode {
    match outcome {
        Err(Error::Broker(error)) => {
            assert!(error.message.contains(STREAM) || error.message.contains("a stream has"), "{error}");
            error.code
        }
        other => panic!("the broker refuses: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_refused_with_its_reason() {
    use ErrorCode::{BadRequest, ShardClosed, ShardNotFound, StreamNotFound};
    let ground = Ground::new(1, 2).await;
    let client = &ground.client;
    let stream = client.split_shard(STREAM, 0, None).await.expect("it can be");
    assert_whole(&stream);
    let middle = 1 << 127;
    for (at, expected) in [(0, BadRequest), (middle - 1, BadRequest), (middle, BadRequest), (u128::MAX, BadRequest)] {
        assert_eq!(code(client.split_shard(STREAM, 2, Some(at)).await), expected, "at {at}");
    }
    assert_eq!(code(client.split_shard(STREAM, 1, Some(u128::MAX)).await), BadRequest);
    assert_eq!(code(client.split_shard(STREAM, 0, None).await), ShardClosed);
    assert_eq!(code(client.split_shard(STREAM, 9, None).await), ShardNotFound);
    assert_eq!(code(client.merge_shards(STREAM, 2, 1).await), BadRequest);
    assert_eq!(code(client.merge_shards(STREAM, 2, 2).await), BadRequest);
    assert_eq!(code(client.merge_shards(STREAM, 2, 0).await), ShardClosed);
    assert_eq!(code(client.merge_shards(STREAM, 2, 9).await), ShardNotFound);
    for (target, expected) in [(0, BadRequest), (10_001, BadRequest), (3, BadRequest)] {
        assert_eq!(code(client.scale_stream(STREAM, target).await), expected, "to {target}");
    }
    let error = client.scale_stream("nowhere", 2).await.expect_err("there is none");
    assert!(matches!(&error, Error::Broker(error) if error.code == StreamNotFound), "{error}");
    assert_eq!(client.describe_stream(STREAM).await.expect("it is there"), stream, "nothing has changed");
    // The hash keys just inside are good.
    assert_whole(&client.split_shard(STREAM, 2, Some(1)).await.expect("it can be"));
    assert_whole(&client.split_shard(STREAM, 1, Some(u128::MAX - 1)).await.expect("it can be"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_each_is_done_or_told_to_come_again() {
    let ground = Ground::new(2, 4).await;
    let load = Load::start(&ground.client, 2, Duration::from_micros(300)).await;
    load.wait_acks(50).await;
    let mut all = tokio::task::JoinSet::new();
    for target in 1..=16 {
        let client = ground.client.clone();
        all.spawn(async move { client.scale_stream(STREAM, if target == 4 { 20 } else { target }).await });
    }
    let (mut done, mut later) = (0, 0);
    while let Some(outcome) = within(all.join_next()).await {
        match outcome.expect("it does not panic") {
            Ok(stream) => {
                assert_whole(&stream);
                done += 1;
            }
            Err(Error::Broker(error)) if error.code == ErrorCode::Resharding => later += 1,
            // Another one had led there.
            Err(Error::Broker(error)) if error.message.contains("already") => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(done > 0 && done + later <= 16, "{done} done, {later} told to come again");
    let puts = load.end().await;
    let stream = ground.client.describe_stream(STREAM).await.expect("it is there");
    puts.read_all(&ground.client, &stream).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_deleted_in_the_middle_and_made_anew_at_once() {
    let ground = Ground::new(2, 3).await;
    for round in 0..20u32 {
        let (client, deleter) = (ground.client.clone(), ground.broker.client().await);
        let producer = client.producer(STREAM).await.expect("it is there");
        let ticket = producer.put(Record::new("key", "text")).await.expect("it is a record");
        let resharding = tokio::spawn(async move { client.scale_stream(STREAM, 7).await });
        tokio::time::sleep(Duration::from_micros(u64::from(round) * 400)).await;
        deleter.delete_stream(STREAM).await.expect("it is there");
        let made = deleter.create_stream(StreamSpec::new(STREAM, 3)).await.expect("its name is free");
        match within(resharding).await.expect("it does not panic") {
            Ok(stream) => assert_ne!(stream.incarnation, made.incarnation),
            Err(Error::Broker(error)) => assert_eq!(error.code, ErrorCode::StreamNotFound, "{error}"),
            Err(error) => panic!("{error}"),
        }
        assert_eq!(deleter.describe_stream(STREAM).await.expect("it is there"), made, "it is as it was made");
        let outcome = within(ticket).await;
        assert!(!matches!(outcome, Outcome::Acked { shard, .. } if shard > 9), "{outcome:?}");
        // The new life can be resharded and put to.
        if round % 5 == 0 {
            assert_whole(&within(deleter.split_shard(STREAM, 0, None)).await.expect("it can be"));
            let producer = deleter.producer(STREAM).await.expect("it is there");
            let ticket = producer.put(Record::new("key", "text")).await.expect("it is a record");
            assert!(matches!(within(ticket).await, Outcome::Acked { .. }));
            deleter.delete_stream(STREAM).await.expect("it is there");
            deleter.create_stream(StreamSpec::new(STREAM, 3)).await.expect("its name is free");
        }
    }
}
