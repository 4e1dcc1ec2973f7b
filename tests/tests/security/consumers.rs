//! Registered consumers over the wire: kept, listed, given epochs, gone with their stream.

use super::*;

async fn describe(client: &RawClient, of: ConsumerOf) -> Result<ConsumerDescription, ErrorCode> {
    match ask(client, Request::DescribeConsumer(of)).await? {
        Reply::Consumer(consumer) => Ok(consumer),
        other => panic!("a consumer was answered {other:?}"),
    }
}

async fn list(client: &RawClient, after: &str, limit: u32) -> (Vec<ConsumerDescription>, bool) {
    let request = Request::ListConsumers { stream: "orders".to_owned(), after: after.to_owned(), limit };
    match ask(client, request).await {
        Ok(Reply::Consumers(consumers, more)) => (consumers, more),
        other => panic!("a listing was answered {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_live_as_long_as_their_stream_and_epochs_only_rise() {
    let mut place = place();
    let mut broker = place.start();
    let key = Key::of_admin(place.data());
    let mut admin = RawClient::admitted(broker.address(), &key).await;
    let Ok(Reply::Stream(stream)) = ask(&admin, create("orders")).await else { panic!("the broker is new") };
    let mut last_epoch = 0;
    for name in ["a", "b", "c"] {
        let registered = ask(&admin, Request::RegisterConsumer(consumer("orders", name).into())).await;
        let Ok(Reply::Consumer(registered)) = registered else { panic!("it was answered {registered:?}") };
        assert_eq!((registered.name.as_str(), registered.incarnation), (name, stream.incarnation));
        assert!(registered.epoch > last_epoch && registered.created_ms > 0);
        last_epoch = registered.epoch;
    }
    for round in 0..2 {
        // Each description is of somebody who is about to subscribe.
        for _ in 0..5 {
            let epoch = describe(&admin, consumer("orders", "b")).await.expect("it is there").epoch;
            assert!(epoch > last_epoch, "{epoch} after {last_epoch}");
            last_epoch = epoch;
        }
        let (first, more) = list(&admin, "", 2).await;
        let (second, no_more) = list(&admin, "b", 2).await;
        assert!(more && !no_more && first.iter().chain(&second).all(|consumer| consumer.epoch == 0));
        let names: Vec<_> = first.iter().chain(&second).map(|consumer| consumer.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        for (request, code) in [
            (Request::RegisterConsumer(consumer("orders", "a").into()), ErrorCode::ConsumerExists),
            (Request::RegisterConsumer(consumer("nowhere", "a").into()), ErrorCode::StreamNotFound),
            (Request::RegisterConsumer(consumer("orders", "a b").into()), ErrorCode::BadRequest),
            (Request::DescribeConsumer(consumer("orders", "d")), ErrorCode::ConsumerNotFound),
            (Request::DeregisterConsumer(consumer("orders", "d")), ErrorCode::ConsumerNotFound),
            (Request::DeregisterConsumer(consumer("orders", "")), ErrorCode::BadRequest),
            (Request::DescribeConsumer(consumer("nowhere", "a")), ErrorCode::StreamNotFound),
        ] {
            assert_eq!(ask(&admin, request).await, Err(code));
        }
        if round == 0 {
            broker.kill();
            broker = place.start();
            admin = RawClient::admitted(broker.address(), &key).await;
        }
    }
    assert_eq!(ask(&admin, Request::DeregisterConsumer(consumer("orders", "b"))).await, Ok(Reply::Done));
    assert_eq!(describe(&admin, consumer("orders", "b")).await, Err(ErrorCode::ConsumerNotFound));
    ask(&admin, Request::RegisterConsumer(consumer("orders", "b").into())).await.expect("its name is free again");

    ask(&admin, Request::DeleteStream("orders".to_owned())).await.expect("it is there");
    assert_eq!(describe(&admin, consumer("orders", "a")).await, Err(ErrorCode::StreamNotFound));
    ask(&admin, create("orders")).await.expect("there is room");
    assert_eq!(list(&admin, "", 10).await, (vec![], false));
    broker.kill();
    let broker = place.start();
    let admin = RawClient::admitted(broker.address(), &key).await;
    assert_eq!(list(&admin, "", 10).await, (vec![], false));
    broker.stop();
}
