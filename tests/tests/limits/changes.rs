//! What is changed of a stream is there after a kill, and what cannot be is refused and named.

use rheos_client::protocol::limits::STREAM_NAME_CHARS_MAX;

use super::*;

const DAY_MS: u64 = 86_400_000;

fn code<T>(outcome: Result<T, Error>) -> Option<ErrorCode> {
    match outcome {
        Ok(_) => None,
        Err(Error::Broker(error)) => Some(error.code),
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_was_changed_is_there_after_a_kill() {
    let mut place = place();
    let broker = place.start();
    let client = broker.client().await;
    client.create_stream(StreamSpec::new("orders", 4)).await.expect("the broker is new");
    client.register_consumer("orders", "board").await.expect("the stream is there");
    let limits = LimitsUpdate { in_bytes: Some(Limit::of(5 << 20)), ..LimitsUpdate::default() };
    let update = UpdateStream {
        retention_ms: Some(7 * DAY_MS),
        retention_bytes: Some(10 << 30),
        record_bytes_max: Some(2 << 20),
        limits,
        ..UpdateStream::of("orders")
    };
    let changed = client.update_stream(update).await.expect("it is in range");
    client.tag_stream("orders", [("team", "payments"), ("env", "prod")]).await.expect("they may be");
    client.untag_stream("orders", ["env", "none"]).await.expect("it is there");
    client.tag_consumer("orders", "board", [("team", "airport")]).await.expect("they may be");
    put_all(&client, "orders", [String::from_utf8(vec![b'x'; 2 << 20]).expect("it is ASCII")]).await;
    client.close().await;
    broker.kill();

    let broker = place.start();
    let client = broker.client().await;
    let described = client.describe_stream("orders").await.expect("it is there");
    assert_eq!((described.retention_ms, described.record_bytes_max), (7 * DAY_MS, 2 << 20));
    assert_eq!(described.settings, changed.settings);
    let tags = client.stream_tags("orders").await.expect("it is there");
    assert_eq!(tags.iter().map(|tag| (&tag.key[..], &tag.value[..])).collect::<Vec<_>>(), [("team", "payments")]);
    assert_eq!(client.consumer_tags("orders", "board").await.expect("it is there")[0].value, "airport");
    let with = |key: &str, value: Option<&str>| {
        let tags = vec![(key.to_owned(), value.map(str::to_owned))];
        client.list_streams_with(StreamFilter { tags, ..StreamFilter::default() })
    };
    assert_eq!(with("team", Some("payments")).await.expect("it lists").len(), 1);
    assert_eq!(with("env", None).await.expect("it lists").len(), 0);
    client.close().await;
    assert!(!broker.stop().contains("panicked"));
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_changes_nothing() {
    let mut place = place();
    let broker = place.start();
    let client = broker.client().await;
    let before = client.create_stream(StreamSpec::new("orders", 2)).await.expect("the broker is new");
    for bad in [
        UpdateStream { retention_ms: Some(DAY_MS - 1), ..UpdateStream::of("orders") },
        UpdateStream { retention_ms: Some(366 * DAY_MS), ..UpdateStream::of("orders") },
        UpdateStream { retention_bytes: Some(1), ..UpdateStream::of("orders") },
        UpdateStream { record_bytes_max: Some(11 << 20), ..UpdateStream::of("orders") },
        UpdateStream {
            limits: LimitsUpdate { in_bytes: Some(Limit::of(u64::MAX - 1)), ..LimitsUpdate::default() },
            ..UpdateStream::of("orders")
        },
        // With one field that is in order, of which nothing may be done either.
        UpdateStream { retention_ms: Some(9 * DAY_MS), record_bytes_max: Some(1), ..UpdateStream::of("orders") },
    ] {
        assert_eq!(code(client.update_stream(bad.clone()).await), Some(ErrorCode::BadRequest), "{bad:?}");
    }
    assert_eq!(client.describe_stream("orders").await.expect("it is there"), before);
    assert_eq!(code(client.update_stream(UpdateStream::of("none")).await), Some(ErrorCode::StreamNotFound));

    let long = "k".repeat(129);
    for (key, value) in [("", "v"), (&long[..], "v"), ("aws:x", "v"), ("a,b", "v"), ("k", "50%")] {
        assert_eq!(code(client.tag_stream("orders", [(key, value)]).await), Some(ErrorCode::BadRequest), "{key}");
    }
    let many = |count: usize| (0..count).map(|at| (format!("k{at}"), "")).collect::<Vec<_>>();
    client.tag_stream("orders", many(50)).await.expect("they are as many as may be");
    assert_eq!(code(client.tag_stream("orders", [("one", "more")]).await), Some(ErrorCode::LimitExceeded));
    assert_eq!(code(client.tag_stream("orders", many(51)).await), Some(ErrorCode::BadRequest));
    // The longest there may be do not all fit one request, and that is said before anything is sent.
    let longest = |from: usize, to: usize| {
        (from..to)
            .map(|at| (format!("{at:0>2}{}", "\u{10450}".repeat(126)), "\u{10450}".repeat(256)))
            .collect::<Vec<_>>()
    };
    assert_eq!(code(client.tag_stream("orders", longest(0, 50)).await), Some(ErrorCode::BadRequest));
    client.untag_stream("orders", many(50).into_iter().map(|(key, _)| key)).await.expect("they are there");
    for (from, to) in [(0, 30), (30, 50)] {
        client.tag_stream("orders", longest(from, to)).await.expect("they may be");
    }
    assert_eq!(client.stream_tags("orders").await.expect("it is there").len(), 50);
    assert_eq!(code(client.tag_consumer("orders", "none", [("a", "b")]).await), Some(ErrorCode::ConsumerNotFound));
    assert_eq!(code(client.consumer_tags("orders", "none").await), Some(ErrorCode::ConsumerNotFound));

    let filter = |tags: usize| StreamFilter { name_prefix: String::new(), tags: vec![("k".to_owned(), None); tags] };
    assert_eq!(code(client.list_streams_with(filter(11)).await), Some(ErrorCode::BadRequest));
    // As long as the name of a stream of another account may be, and one more.
    let long = StreamFilter { name_prefix: "n".repeat(STREAM_NAME_CHARS_MAX + 1), ..StreamFilter::default() };
    assert_eq!(code(client.list_streams_with(long).await), Some(ErrorCode::BadRequest));
    client.close().await;
    assert!(!broker.stop().contains("panicked"));
}
