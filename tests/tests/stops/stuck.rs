//! Stops that cannot come to their end, and signals that do not wait for it.

use std::net::UdpSocket;

use super::*;

/// The exit code of a process that SIGTERM has ended, as shells have it.
const TERMINATED: Option<i32> = Some(143);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() {
    let mut place = place();
    let broker = place.start();
    let held = HeldThread::hold(broker.process_id(), "files");
    broker.begin_stop();
    until_said(&broker, "SIGTERM: stops").await;
    let began = Instant::now();
    broker.begin_stop();
    let (status, said) = broker.ended();
    assert!(status.code() == TERMINATED && began.elapsed() < Duration::from_secs(1), "{status}: {said}");
    assert!(said.contains("SIGTERM: ends at once") && !said.contains("panicked"), "{said}");
    drop(held);
    place.start().stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_while_it_starts_ends_it_at_once() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("loopback has free ports");
    let mut place = place().with_listen(taken.local_addr().expect("it is bound"));
    // It waits for the port for some seconds; the signals are listened for long before that.
    let broker = place.begin_start();
    sleep(Duration::from_millis(1_500)).await;
    let began = Instant::now();
    broker.begin_stop();
    let (status, said) = broker.ended();
    assert!(status.code() == TERMINATED && began.elapsed() < Duration::from_secs(1), "{status}: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stuck_thread_leaves_is_said_and_nothing_acked_is_lost() {
    for (thread, lanes, left) in
        [("files", 1, "not every sealed segment has its footer"), ("lane-0", 2, "logs are not sealed")]
    {
        let mut place = place();
        place.set_lanes(lanes);
        let broker = place.start();
        let client = broker.client().await;
        client.create_stream(StreamSpec::new("orders", 1)).await.expect("the broker is new");
        let producer = client.producer("orders").await.expect("it was just made");
        for at in 0..100 {
            assert_eq!(put(&producer, &format!("record {at}")).await, at);
        }
        let key = Key::of_admin(place.data());
        let (other, _) = RawClient::at_lane(broker.address(), &key, (lanes - 1) as u8).await;

        let held = HeldThread::hold(broker.process_id(), thread);
        let began = Instant::now();
        broker.begin_stop();
        // Who is on a lane that is not stuck is told all the same.
        let (code, _) = timeout(STOP_MAX, other.closed()).await.expect("it is told before the end");
        assert_eq!(code, ErrorCode::GoingAway);
        let (status, said) = broker.ended();
        assert!(began.elapsed() < STOP_MAX, "it took {:?}:\n{said}", began.elapsed());
        assert!(
            status.code() == Some(1) && said.contains("work unfinished") && said.contains(left),
            "{status}: {said}"
        );
        drop(held);
        client.close().await;

        let broker = place.start();
        let client = broker.client().await;
        let read = read_all(&client, "orders").await;
        assert!(read.iter().enumerate().all(|(at, text)| *text == format!("record {at}")) && read.len() == 100);
        client.close().await;
        broker.stop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_while_it_stops_is_sent_away_with_a_wait() {
    let mut place = place();
    let broker = place.start();
    let key = Key::of_admin(place.data());
    // The lane serves until all lanes have stopped, and this one cannot.
    place.set_lanes(2);
    broker.stop();
    let broker = place.start();
    let held = HeldThread::hold(broker.process_id(), "lane-1");
    broker.begin_stop();
    until_said(&broker, "SIGTERM: stops").await;
    let endpoint = rheos_tests::raw_client::client_endpoint();
    let client = RawClient::to_lane(&endpoint, broker.address(), 0).await;
    let answer = client.ask(&Request::Hello(client.hello(&key))).await;
    let Ok(Reply::Error(error)) = answer else { panic!("it was answered {answer:?}") };
    assert!(error.code == ErrorCode::GoingAway, "{error:?}");
    assert!(matches!(error.retry, rheos_client::Retry::After(wait_ms) if wait_ms > 0), "{error:?}");
    let (status, _) = broker.ended();
    assert_eq!(status.code(), Some(1));
    drop(held);
}
