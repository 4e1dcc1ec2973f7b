//! Admitted clients that mean no good: what they hold is bounded, and the others go on.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_has_so_many_streams_and_no_more() {
    let ground = ground().await;
    let client = ground.client().await;
    let mut open = Vec::new();
    while let Ok(opened) = timeout(Duration::from_secs(1), client.send(&[1, 0])).await {
        open.push(opened.expect("the connection stands"));
    }
    // QUIC tells a peer late that a stream which has ended, Hello's, makes room for another.
    let most = (DATA_STREAMS_MAX + CONTROL_STREAMS_MAX) as usize;
    assert!((most - 1..=most).contains(&open.len()), "{} streams were opened", open.len());
    // Those that end make room for others.
    for (mut send, _receive) in open.drain(..most / 2) {
        send.reset(0u32.into()).expect("it is open");
    }
    let pong = timeout(PATIENCE, client.ask(&Request::Ping)).await.expect("there is room again");
    assert_eq!(pong, Ok(Reply::Pong));
    ground.unharmed(GROWTH_BYTES_MAX).await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_connections_leaves_room_for_more() {
    const CROWD: usize = 560;
    let ground = ground().await;
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        crowd.push(timeout(PATIENCE, ground.client()).await.expect("there is room for many"));
    }
    ground.unharmed(256 << 20).await;
    let client = timeout(PATIENCE, ground.broker.client()).await.expect("there is room for one more");
    assert_eq!(client.list_streams().await.expect("it answers").len(), 2);
    client.close().await;
    for client in &crowd {
        assert_eq!(client.connection.close_reason(), None, "nobody of the crowd was sent away");
    }
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_puts_left_open_cost_a_bounded_memory() {
    let ground = ground().await;
    let sent = Arc::new(AtomicU64::new(0));
    let client = Arc::new(ground.client().await);
    let mut senders = Vec::new();
    for _ in 0..40 {
        let (client, sent) = (Arc::clone(&client), Arc::clone(&sent));
        senders.push(tokio::spawn(async move {
            let (mut send, receive) = client.send(&header(kind::PUT, 11 << 20)).await.expect("it is allowed");
            let piece = vec![0; 1 << 20];
            // All but the last piece.
            for _ in 0..10 {
                if send.write_all(&piece).await.is_err() {
                    break;
                }
                sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
            std::future::pending::<()>().await;
            drop(receive);
        }));
    }
    come_to_rest(&sent).await;
    ground.unharmed(256 << 20).await;
    senders.iter().for_each(JoinHandle::abort);
    client.connection.close(0u32.into(), b"");
    ground.end().await;
}

/// Waits until a number has not moved for a second.
async fn come_to_rest(number: &AtomicU64) {
    let mut before = u64::MAX;
    while std::mem::replace(&mut before, number.load(Ordering::Relaxed)) != number.load(Ordering::Relaxed) {
        sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_never_reads_its_acks_loses_its_stream() {
    const PUTS: u64 = 60_000;
    let ground = ground().await;
    let client = RawClient::admitted_with(ground.broker.address(), &ground.key, narrow(4 << 10)).await;
    let good = good_batch(&ground.stream, b"data");
    let (mut send, mut receive) = client.send(&put_frame(0, &good)).await.expect("the connection stands");
    for id in 1..PUTS {
        // The broker may have ended the stream in the meantime.
        if send.write_all(&put_frame(id, &good)).await.is_err() {
            break;
        }
    }
    ground.unharmed(GROWTH_BYTES_MAX).await;
    let ended = async {
        loop {
            if let Err(why) = read_reply(&mut receive).await {
                return why;
            }
        }
    };
    let why = timeout(PATIENCE, ended).await.expect("the stream was reset");
    assert!(why.contains(&ErrorCode::LimitExceeded.number().to_string()), "{why}");
    assert_eq!(client.ask(&Request::Ping).await, Ok(Reply::Pong), "the connection stays");
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_that_are_never_read_hold_up_nobody() {
    const HOSTILE: usize = 4;
    const READS_EACH: usize = 60;
    let ground = ground().await;
    let raw = ground.client().await;
    let megabyte = good_batch(&ground.stream, &vec![5; 1 << 20]);
    for _ in 0..20 {
        raw.put(&megabyte).await.expect("there is room");
    }
    let read = Read {
        incarnation: ground.stream.incarnation,
        shard: 0,
        position: Position::TrimHorizon,
        bytes_max: READ_BYTES_MAX,
    };
    let mut hostile = Vec::new();
    for _ in 0..HOSTILE {
        let client = RawClient::admitted_with(ground.broker.address(), &ground.key, narrow(16 << 10)).await;
        let mut open = Vec::new();
        for _ in 0..READS_EACH {
            open.push(client.send(&request_frame(&Request::Read(read.clone()))).await.expect("so many are allowed"));
        }
        hostile.push((client, open));
    }
    ground.unharmed(512 << 20).await;
    let open = hostile.iter().filter(|(client, _)| client.connection.close_reason().is_none()).count();
    assert_eq!(open, HOSTILE, "the others went on although nobody had been cut off yet");
    // Who takes nothing is told so in the end.
    for (client, open) in hostile {
        let (code, why) = timeout(PATIENCE, client.closed()).await.expect("it is closed");
        assert_eq!(code, ErrorCode::LimitExceeded, "{why}");
        drop(open);
    }
    ground.end().await;
}
