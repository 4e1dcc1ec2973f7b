//! Ports, kills and starts: a lane's socket is where it belongs, and no lane outlives its run.

use rheos_tests::raw_client::Ended;

use super::*;

#[tokio::test]
async fn a_second_broker_on_the_port_is_refused_and_the_first_goes_on() {
    let mut first = place(3);
    let broker = first.start();
    let key = Key::of_admin(first.data());
    let clients = reach_every_lane(&broker, &key, 3).await;
    for lanes in [1, 3] {
        let mut second = place(lanes).with_listen(broker.address());
        let Err((status, said)) = second.try_start() else { panic!("two brokers share a port") };
        let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(status.code() == Some(1) && errors.len() == 1 && !said.contains("panicked"), "{said}");
        assert!(errors[0].contains("in use by another process"), "{said}");
        assert!(errors[0].contains(&broker.address().to_string()), "{said}");
    }
    for client in &clients {
        assert_eq!(within(client.ask(&Request::Ping)).await, Ok(Reply::Pong));
    }
    reach_every_lane(&broker, &key, 3).await;
    broker.stop();
}

#[tokio::test]
async fn every_lane_is_reached_after_every_kill() {
    let mut place = place(4);
    let mut broker = place.start();
    let key = Key::of_admin(place.data());
    for _ in 0..50 {
        // Not waited for: the sockets of a process that is dying must not be among those of the next.
        broker.begin_kill();
        let next = place.start();
        drop(std::mem::replace(&mut broker, next));
        reach_every_lane(&broker, &key, 4).await;
    }
    broker.stop();
}

#[tokio::test]
async fn the_clients_of_a_killed_broker_hear_of_it_from_the_next_on_every_lane() {
    let mut place = place(4);
    let broker = place.start();
    let key = Key::of_admin(place.data());
    let clients = reach_every_lane(&broker, &key, 4).await;
    broker.kill();
    let broker = place.start();
    for (lane, client) in clients.iter().enumerate() {
        // Were it not for the reset, silence would end the connection, and it would be called that.
        assert_eq!(
            within(client.ask(&Request::Ping)).await,
            Err(Ended::Lost("reset by peer".to_owned())),
            "lane {lane}"
        );
    }
    reach_every_lane(&broker, &key, 4).await;
    broker.stop();
}

#[tokio::test]
async fn a_request_is_answered_although_the_connections_of_all_lanes_are_dead() {
    let mut place = place(4);
    let mut broker = place.start();
    let client = broker.client().await;
    let stream = client.create_stream(StreamSpec::new("orders", 4)).await.expect("there is room");
    for (lanes, put_before) in [(4, 0), (1, 100), (3, 200)] {
        let producer = client.producer("orders").await.expect("it is there");
        put_numbered(&producer, put_before, 100, 30).await;
        broker.kill();
        place.set_lanes(lanes);
        broker = place.start();
        // Nobody has told the client yet.
        let described = within(client.describe_stream("orders")).await.expect("it is there");
        assert_eq!(described.incarnation, stream.incarnation);
        assert_all_there(&client, &described, put_before + 100).await;
    }
    client.close().await;
    broker.stop();
}

#[tokio::test]
async fn what_some_lanes_have_stored_others_serve() {
    let mut place = place(4);
    let broker = place.start();
    let client = broker.client().await;
    let stream = client.create_stream(StreamSpec::new("orders", 10)).await.expect("there is room");
    let small = client.create_stream(StreamSpec::new("small", 1)).await.expect("there is room");
    let producer = client.producer("orders").await.expect("it is there");
    put_numbered(&producer, 0, 1_000, 30).await;
    put_numbered(&client.producer("small").await.expect("it is there"), 0, 10, 1).await;
    broker.stop();

    place.set_lanes(1);
    let broker = place.start();
    put_numbered(&producer, 1_000, 1_000, 30).await;
    broker.kill();

    place.set_lanes(8);
    let broker = place.start();
    assert_all_there(&client, &stream, 2_000).await;
    // Now while puts are on their way between lanes: one that is killed, and one that is stopped.
    let (broker, place) = followed(&producer, 2_000, broker, place, 3, |broker| drop(broker.kill())).await;
    assert_all_there(&client, &stream, 6_000).await;
    let (broker, place) = followed(&producer, 6_000, broker, place, 8, |broker| drop(broker.stop())).await;
    assert_all_there(&client, &stream, 10_000).await;
    assert_all_there(&client, &small, 10).await;

    client.close().await;
    broker.stop();
    let report = rheos_broker::verify(place.data(), |_| {}).expect("it can be read");
    let records: u64 = report.streams.iter().flat_map(|stream| &stream.logs).map(|log| log.records).sum();
    assert_eq!(records, 10_010);
}

/// Puts 4,000 records while a broker is ended and the next one is started with so many lanes.
async fn followed(
    producer: &Producer,
    from: u64,
    broker: Broker,
    mut place: Place,
    lanes: u16,
    end: fn(Broker),
) -> (Broker, Place) {
    let next = tokio::task::spawn_blocking(move || {
        end(broker);
        place.set_lanes(lanes);
        (place.start(), place)
    });
    put_numbered(producer, from, 4_000, 30).await;
    next.await.expect("it ends and starts")
}
