//! Every operation with every kind of key, over the wire: what is denied has not happened.

use rheos_protocol::message::{ConsumerTerms, StreamFilter};

use super::*;

/// The stream that is asked for, and the one that another key is for.
const STREAM: &str = "orders";
const OTHER: &str = "audit";

/// Kinds of keys, in the order of the letters below.
fn kinds() -> [(&'static str, KeyPolicy); 7] {
    [
        ("nobody", everywhere(Access::None)),
        ("reader", everywhere(Access::ReadOnly)),
        ("writer", everywhere(Access::ReadWrite)),
        ("admin2", everywhere(Access::Admin)),
        ("reader-of-it", on(STREAM, Access::ReadOnly)),
        ("writer-of-it", on(STREAM, Access::ReadWrite)),
        ("writer-of-another", on(OTHER, Access::ReadWrite)),
    ]
}

/// What each kind is told: yes, Denied, Unsupported. Whoever may delete a stream or a key has its own one.
fn requests(kind: &str, incarnation: u64) -> Vec<(Request, &'static str)> {
    let own = format!("of-{kind}");
    let position = Position::TrimHorizon;
    vec![
        (Request::Ping, "yyyyyyy"),
        (Request::Read(Read { incarnation, shard: 0, position, bytes_max: 1 }), "DyyyyyD"),
        (Request::DescribeStream(STREAM.to_owned()), "DyyyyyD"),
        (Request::ListStreams { after: String::new(), limit: 10, filter: StreamFilter::default() }, "yyyyyyy"),
        (Request::RegisterConsumer(consumer(STREAM, &own).into()), "DDyyDyD"),
        (Request::UpdateConsumer(ConsumerTerms::from(consumer(STREAM, "there")).reserving(1)), "DDDyDDD"),
        (Request::DescribeConsumer(consumer(STREAM, "there")), "DyyyyyD"),
        (Request::ListConsumers { stream: STREAM.to_owned(), after: String::new(), limit: 10 }, "DyyyyyD"),
        (Request::DeregisterConsumer(consumer(STREAM, &format!("for-{kind}"))), "DDyyDyD"),
        (Request::Subscribe(subscribe(incarnation)), "DyyyyyD"),
        (Request::Credit(1), "UUUUUUU"),
        (Request::Unsubscribe, "UUUUUUU"),
        (create(&own), "DDDyDDD"),
        (Request::DeleteStream(format!("for-{kind}")), "DDDyDDD"),
        (Request::CreateKey(CreateKey { name: own, policy: everywhere(Access::Admin), account: None }), "DDDyDDD"),
        (Request::ListKeys { after: String::new(), limit: 10 }, "DDDyDDD"),
        (Request::RevokeKey(format!("for-{kind}")), "DDDyDDD"),
    ]
}

fn subscribe(incarnation: u64) -> Subscribe {
    let (consumer, position) = ("there".to_owned(), Position::Latest);
    Subscribe { incarnation, shard: 0, consumer, epoch: 1, position, credit: 1 }
}

const PUT: &str = "DDyyDyD";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_is_allowed_to_those_who_may() {
    let ground = ground().await;
    let admin = ground.client().await;
    let Ok(Reply::Stream(stream)) = ask(&admin, create(STREAM)).await else { panic!("the broker is new") };
    ask(&admin, create(OTHER)).await.expect("the broker is new");
    ask(&admin, Request::RegisterConsumer(consumer(STREAM, "there").into())).await.expect("there is room");
    for (kind, _) in kinds() {
        let own = format!("for-{kind}");
        ask(&admin, create(&own)).await.expect("there is room");
        ask(&admin, Request::RegisterConsumer(consumer(STREAM, &own).into())).await.expect("there is room");
        create_key(&admin, &own, everywhere(Access::None)).await;
    }

    let mut puts = 0;
    for (column, (kind, policy)) in kinds().into_iter().enumerate() {
        let key = create_key(&admin, kind, policy).await;
        let client = RawClient::admitted(ground.broker.address(), &key).await;
        for (request, row) in requests(kind, stream.incarnation) {
            let answer = ask(&client, request.clone()).await;
            let told = match &answer {
                Ok(_) => 'y',
                Err(ErrorCode::Denied) => 'D',
                Err(ErrorCode::Unsupported) => 'U',
                Err(other) => panic!("{kind} is told {other:?} of {request:?}"),
            };
            assert_eq!(told, row.as_bytes()[column] as char, "{kind} is told {answer:?} of {request:?}");
        }
        let put = client.put(&good_batch(&stream, b"data")).await;
        match PUT.as_bytes()[column] {
            b'y' => assert_eq!(put, Ok(puts), "{kind}"),
            _ => assert_eq!(put.expect_err("it may not").code, ErrorCode::Denied, "{kind}"),
        }
        puts += u64::from(PUT.as_bytes()[column] == b'y');
        // The connection of who may not goes on.
        assert_eq!(ask(&client, Request::Ping).await, Ok(Reply::Pong));
        assert_eq!(ask(&client, Request::Hello(client.hello(&key))).await, Err(ErrorCode::Unsupported));
    }

    // What was denied has not happened, and what was allowed has.
    let writers = ["writer", "admin2", "writer-of-it"];
    let mut consumers: Vec<String> = vec!["there".to_owned()];
    consumers.extend(writers.map(|kind| format!("of-{kind}")));
    consumers.extend(
        kinds().map(|(kind, _)| format!("for-{kind}")).into_iter().filter(|name| !writers.contains(&&name[4..])),
    );
    consumers.sort();
    assert_eq!(names_of_consumers(&admin, STREAM).await, consumers);
    let mut keys: Vec<String> = kinds().map(|(kind, _)| kind.to_owned()).to_vec();
    keys.extend(kinds().map(|(kind, _)| format!("for-{kind}")).into_iter().filter(|name| name != "for-admin2"));
    keys.push("of-admin2".to_owned());
    keys.sort();
    let mut there: Vec<String> = list_keys(&admin).await.into_iter().map(|key| key.name).collect();
    there.sort();
    assert_eq!(there, keys);
    let mut streams: Vec<String> = ["audit", "good", "of-admin2", "orders", "target"].map(str::to_owned).to_vec();
    streams.extend(kinds().map(|(kind, _)| format!("for-{kind}")).into_iter().filter(|name| name != "for-admin2"));
    streams.sort();
    assert_eq!(names_of_streams(&admin).await, streams);
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_sees_its_own_streams_alone() {
    let ground = ground().await;
    let admin = ground.client().await;
    let Ok(Reply::Stream(stream)) = ask(&admin, create(STREAM)).await else { panic!("the broker is new") };
    let policy = KeyPolicy {
        everywhere: Access::None,
        streams: [STREAM, "later", "good"].map(|stream| (stream.to_owned(), Access::ReadOnly)).to_vec(),
    };
    let key = create_key(&admin, "some", policy).await;
    let client = RawClient::admitted(ground.broker.address(), &key).await;
    assert_eq!(names_of_streams(&client).await, ["good", STREAM]);
    let page =
        |after: &str| Request::ListStreams { after: after.to_owned(), limit: 1, filter: StreamFilter::default() };
    let Ok(Reply::Streams(first, true)) = ask(&client, page("")).await else { panic!("two pages are there") };
    let Ok(Reply::Streams(second, false)) = ask(&client, page("good")).await else { panic!("the second is the last") };
    assert_eq!(
        [first, second].concat().iter().map(|stream| stream.name.as_str()).collect::<Vec<_>>(),
        ["good", STREAM]
    );

    // A grant holds for a stream that is made later, and for every life of its name.
    assert_eq!(ask(&client, Request::DescribeStream("later".to_owned())).await, Err(ErrorCode::StreamNotFound));
    ask(&admin, create("later")).await.expect("there is room");
    assert_eq!(names_of_streams(&client).await, ["good", "later", STREAM]);
    ask(&admin, Request::DeleteStream(STREAM.to_owned())).await.expect("it is there");
    let Ok(Reply::Stream(again)) = ask(&admin, create(STREAM)).await else { panic!("there is room") };
    let read = |incarnation| Request::Read(Read { incarnation, shard: 0, position: Position::Latest, bytes_max: 1 });
    assert!(ask(&client, read(again.incarnation)).await.is_ok());
    // A life that is gone, one that never was, and one that it may not see: all the same to it.
    for incarnation in [stream.incarnation, 1 << 40, ground.stream.incarnation] {
        let Ok(Reply::Error(error)) = client.ask(&read(incarnation)).await else { panic!("it may not") };
        assert_eq!(error.code, ErrorCode::Denied);
        let expected = format!(
            "access key some ({}) may not read records from the stream of incarnation {incarnation:x}: it needs a grant of \
             read-only for that stream and has none",
            key.0
        );
        assert_eq!(error.message, expected);
    }
    assert_eq!(ask(&admin, read(1 << 40)).await, Err(ErrorCode::StreamNotFound));
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_stream_may_carry_what_its_key_may_put() {
    let ground = ground().await;
    let admin = ground.client().await;
    let mut streams = Vec::new();
    for number in 0..20 {
        let Ok(Reply::Stream(stream)) = ask(&admin, create(&format!("s{number:02}"))).await else { panic!("room") };
        streams.push(stream);
    }
    // More lives of streams than a put stream remembers, every second of them forbidden.
    let granted = streams.iter().step_by(2).map(|stream| (stream.name.clone(), Access::ReadWrite)).collect();
    let key = create_key(&admin, "every-second", KeyPolicy { everywhere: Access::None, streams: granted }).await;
    let client = RawClient::admitted(ground.broker.address(), &key).await;
    let (mut send, mut receive) = client.send(&[]).await.expect("the connection stands");
    for round in 0..3 {
        for (number, stream) in streams.iter().enumerate() {
            let id = number as u64;
            send.write_all(&put_frame(id, &good_batch(stream, b"data"))).await.expect("it is open");
            let (answered, reply) =
                timeout(PATIENCE, read_reply(&mut receive)).await.expect("it comes").expect("it stands");
            assert_eq!(answered, id);
            match reply {
                Reply::Ack { first_sequence, .. } => assert_eq!((number % 2, first_sequence), (0, round)),
                Reply::Error(error) => assert_eq!((number % 2, error.code), (1, ErrorCode::Denied)),
                other => panic!("a put was answered {other:?}"),
            }
        }
    }
    // One that is deleted meanwhile is no stream any more, to who may put to it.
    ask(&admin, Request::DeleteStream("s00".to_owned())).await.expect("it is there");
    let fresh = RawClient::admitted(ground.broker.address(), &key).await;
    assert_eq!(fresh.put(&good_batch(&streams[0], b"data")).await.expect_err("it is gone").code, ErrorCode::Denied);
    send.write_all(&put_frame(77, &good_batch(&streams[18], b"data"))).await.expect("it is open");
    assert!(matches!(
        timeout(PATIENCE, read_reply(&mut receive)).await.expect("it comes"),
        Ok((77, Reply::Ack { .. }))
    ));
    ground.end().await;
}

async fn names_of_streams(client: &RawClient) -> Vec<String> {
    match ask(
        client,
        Request::ListStreams { after: String::new(), limit: LIST_PAGE_MAX, filter: StreamFilter::default() },
    )
    .await
    {
        Ok(Reply::Streams(streams, false)) => streams.into_iter().map(|stream| stream.name).collect(),
        other => panic!("a listing was answered {other:?}"),
    }
}

async fn names_of_consumers(client: &RawClient, stream: &str) -> Vec<String> {
    let stream = stream.to_owned();
    match ask(client, Request::ListConsumers { stream, after: String::new(), limit: LIST_PAGE_MAX }).await {
        Ok(Reply::Consumers(consumers, false)) => consumers.into_iter().map(|consumer| consumer.name).collect(),
        other => panic!("a listing was answered {other:?}"),
    }
}
