//! What is refused, and what is not.

use super::*;
use rheos_client::{Limit, LimitsUpdate, UpdateStream};

#[tokio::test]
async fn what_a_lane_cannot_promise_is_refused_with_the_sum() {
    let ground = Ground::new(1, 2).await;
    let made = ground.register("billing", 30).await.expect("there is room");
    assert_eq!(made.reserved_bytes, 30 * MIB);
    let (sum, refusal) = over_reserved(ground.register("audit", 9).await);
    assert_eq!(sum, 39 * MIB);
    for part in ["lane 0", "39 MiB/s (30 MiB/s before)", "38.39 MiB/s", "60 %", "64 MiB/s", "rheos calibrate", "less"] {
        assert!(refusal.message.contains(part), "{part}: {refusal}");
    }
    assert_eq!(ground.reserved().await, [("billing".to_owned(), 30)], "what is refused is not registered");
    ground.register("audit", 8).await.expect("38 are fewer than 38.4");
    // What has no reservation is always welcome.
    ground.client.register_consumer(STREAM, "plain").await.expect("it asks for nothing");

    // A reservation may be changed by the same rule, and taken back.
    let (sum, _) = over_reserved(ground.reserve("plain", 1).await);
    assert_eq!(sum, 39 * MIB);
    ground.reserve("billing", 10).await.expect("less is always possible");
    assert_eq!(ground.reserve("plain", 20).await.expect("there is room").reserved_bytes, 20 * MIB);
    assert_eq!(ground.reserve("billing", 0).await.expect("it gives back").reserved_bytes, 0);
    ground.reserve("audit", 18).await.expect("there is room");
    let expected = [("audit", 18), ("billing", 0), ("plain", 20)].map(|(name, mib)| (name.to_owned(), mib));
    assert_eq!(ground.reserved().await, expected);

    // Those that are gone hold nothing.
    ground.client.deregister_consumer(STREAM, "plain").await.expect("it is there");
    ground.reserve("billing", 20).await.expect("there is room");
    ground.client.delete_stream(STREAM).await.expect("it is there");
    ground.client.create_stream(StreamSpec::new(STREAM, 1)).await.expect("its name is free");
    ground.register("billing", 38).await.expect("there is room");
    ground.end().await;
}

#[tokio::test]
async fn refusals_name_what_is_wrong() {
    let ground = Ground::new(1, 1).await;
    let code = |outcome: Result<ConsumerDescription, Error>| match outcome {
        Err(Error::Broker(error)) => error.code,
        other => panic!("it is refused: {other:?}"),
    };
    assert_eq!(code(ground.reserve("nobody", 1).await), ErrorCode::ConsumerNotFound);
    let terms = ConsumerTerms::of("nowhere", "billing").reserving(MIB);
    assert_eq!(code(ground.client.register_consumer_with(terms.clone()).await), ErrorCode::StreamNotFound);
    assert_eq!(code(ground.client.update_consumer(terms).await), ErrorCode::StreamNotFound);
    ground.register("billing", 38).await.expect("there is room");
    assert_eq!(code(ground.register("billing", 38).await), ErrorCode::ConsumerExists, "not that it would be too much");
    let beyond = ConsumerTerms::of(STREAM, "beyond").reserving(u64::MAX);
    assert_eq!(code(ground.client.register_consumer_with(beyond).await), ErrorCode::OverReserved);
    ground.end().await;
}

#[tokio::test]
async fn a_split_or_a_limit_that_would_break_a_promise_is_refused() {
    let ground = Ground::new(1, 1).await;
    let limit = |mib: u64| {
        let limits = LimitsUpdate { in_bytes: Some(Limit::of(mib * MIB)), ..LimitsUpdate::default() };
        ground.client.update_stream(UpdateStream { limits, ..UpdateStream::of(STREAM) })
    };
    limit(20).await.expect("nothing is reserved");
    ground.register("billing", 60).await.expect("a shard brings no more than 20");
    // Two shards take in 20 MiB/s each.
    let (sum, refusal) = over_reserved(ground.client.split_shard(STREAM, 0, None).await);
    assert_eq!(sum, 40 * MIB, "{refusal}");
    let (sum, _) = over_reserved(ground.client.scale_stream(STREAM, 4).await);
    assert_eq!(sum, 60 * MIB, "all of the reservation");
    let (sum, _) = over_reserved(limit(39).await);
    assert_eq!(sum, 39 * MIB);
    let before = ground.client.describe_stream(STREAM).await.expect("it is there");
    assert_eq!(before.shards.len(), 1, "nothing was split");
    assert_eq!(before.settings.limits.in_bytes, Limit::of(20 * MIB), "nothing was changed");

    limit(19).await.expect("less is always possible");
    let split = ground.client.split_shard(STREAM, 0, None).await.expect("38 can be promised");
    assert_eq!(split.shards.iter().filter(|shard| shard.open).count(), 2);
    let (sum, _) = over_reserved(limit(20).await);
    assert_eq!(sum, 40 * MIB, "the children count");
    ground.end().await;
}

#[tokio::test]
async fn what_is_promised_is_kept_over_a_restart_and_weighed_anew() {
    let ground = Ground::new(2, 2).await;
    ground.register("billing", 60).await.expect("30 for each lane");
    ground.register("audit", 10).await.expect("5 more for each lane");
    let ground = ground.restarted(2).await;
    let expected = [("audit", 10), ("billing", 60)].map(|(name, mib)| (name.to_owned(), mib));
    assert_eq!(ground.reserved().await, expected);
    let (sum, _) = over_reserved(ground.reserve("audit", 17).await);
    assert_eq!(sum, 30 * MIB + 17 * MIB / 2);
    assert!(ground.broker.said().contains("is only assumed to push 64 MiB/s"), "{}", ground.broker.said());

    // On one lane everything comes together: it starts, says so, and lets nobody make it worse.
    let ground = ground.restarted(1).await;
    let said = ground.broker.said();
    assert!(said.contains("lane 0 has promised its consumers 70 MiB/s"), "{said}");
    assert_eq!(ground.reserved().await, expected);
    over_reserved(ground.reserve("audit", 11).await);
    ground.reserve("billing", 40).await.expect("it is less, though still too much");
    ground.reserve("audit", 0).await.expect("it is less");
    ground.end().await;
}

#[tokio::test]
async fn a_start_without_reservations_says_nothing_of_capacity() {
    let ground = Ground::new(1, 1).await;
    assert!(!ground.broker.said().contains("capacity") && !ground.broker.said().contains("calibrate"));
    ground.client.register_consumer(STREAM, "plain").await.expect("it asks for nothing");
    let ground = ground.restarted(1).await;
    assert!(!ground.broker.said().contains("calibrate"), "{}", ground.broker.said());
    ground.end().await;
}
