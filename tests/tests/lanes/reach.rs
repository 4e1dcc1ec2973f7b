//! Who reaches which lane, and what a lane does for those who have come to another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rheos_client::protocol::message::CreateStream;
use rheos_tests::raw_client::{put_frame, read_reply};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::*;

/// More handshakes than a lane has under way before it has new peers prove their address.
const CROWD: u64 = 100;
/// How often something is looked at that says nothing by itself.
const LOOK: Duration = Duration::from_millis(5);

#[tokio::test]
async fn the_first_byte_of_the_first_id_chooses_the_lane() {
    let mut place = place(4);
    let broker = place.start();
    let key = Key::of_admin(place.data());
    for byte in [0, 1, 2, 3, 4, 7, 130, 253, 255] {
        let (client, welcome) = RawClient::at_lane(broker.address(), &key, byte).await;
        assert_eq!((welcome.lane, welcome.lanes), (u16::from(byte) % 4, 4));
        assert_eq!(within(client.ask(&Request::Ping)).await, Ok(Reply::Pong));
    }
    broker.stop();
}

#[tokio::test]
async fn it_does_so_too_where_addresses_are_proved_first() {
    let mut place = place(3);
    let broker = place.start();
    let key = Key::of_admin(place.data());
    // They hear nothing of the broker, so their handshakes stay as they are for seconds.
    let mute = Relay::start(broker.address(), true).await;
    let mut crowd = JoinSet::new();
    for _ in 0..CROWD {
        let (address, key) = (mute.address, key.clone());
        crowd.spawn(async move { RawClient::at_lane(address, &key, 1).await });
    }
    within(async {
        while mute.carried.load(Ordering::Relaxed) < CROWD {
            sleep(LOOK).await;
        }
    })
    .await;
    for lane in 0..3 {
        let relay = Relay::start(broker.address(), false).await;
        let (client, welcome) = within(RawClient::at_lane(relay.address, &key, lane)).await;
        assert_eq!(welcome.lane, u16::from(lane));
        assert_eq!(within(client.ask(&Request::Ping)).await, Ok(Reply::Pong));
        assert_eq!(relay.retries.load(Ordering::Relaxed) > 0, lane == 1, "only the crowded lane asks for a proof");
    }
    broker.stop();
}

/// Carries the datagrams of one client, or those of many that hear nothing back; counts what it has carried
/// to the broker, and the Retry packets that came back.
struct Relay {
    address: SocketAddr,
    carried: Arc<AtomicU64>,
    retries: Arc<AtomicU64>,
}

impl Relay {
    async fn start(broker: SocketAddr, mute: bool) -> Relay {
        let near = UdpSocket::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let far = UdpSocket::bind("127.0.0.1:0").await.expect("loopback has free ports");
        far.connect(broker).await.expect("loopback is there");
        let (address, retries) = (near.local_addr().expect("it is bound"), Arc::new(AtomicU64::new(0)));
        let (counted, carried) = (Arc::clone(&retries), Arc::new(AtomicU64::new(0)));
        let out_counted = Arc::clone(&carried);
        tokio::spawn(async move {
            let (mut out, mut back, mut client) = ([0; 65_536], [0; 65_536], None);
            loop {
                tokio::select! {
                    Ok((len, from)) = near.recv_from(&mut out) => {
                        client = Some(from);
                        let _ = far.send(&out[..len]).await;
                        out_counted.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(len) = far.recv(&mut back) => {
                        if mute {
                            continue;
                        }
                        // The first byte of a Retry packet of QUIC version 1 begins with four bits set.
                        counted.fetch_add(u64::from(back[0] >> 4 == 0b1111), Ordering::Relaxed);
                        let _ = near.send_to(&back[..len], client.expect("the broker only answers")).await;
                    }
                    else => break,
                }
            }
        });
        Relay { address, carried, retries }
    }
}

#[tokio::test]
async fn a_client_that_knows_no_lanes_puts_to_and_reads_from_all() {
    let mut place = place(4);
    let broker = place.start();
    let client = broker.client().await;
    let stream = client.create_stream(StreamSpec::new("orders", 10)).await.expect("there is room");
    let mut lanes: Vec<u16> = stream.shards.iter().map(|shard| shard.lane).collect();
    assert_eq!(stream, client.describe_stream("orders").await.expect("it was just made"));
    lanes.sort_unstable();
    lanes.dedup();
    assert_eq!(lanes, [0, 1, 2, 3], "its shards are on all lanes");
    let producer = client.producer("orders").await.expect("it is there");
    for from in (0..6_000).step_by(1_000) {
        put_numbered(&producer, from, 1_000, 40).await;
    }
    assert_all_there(&client, &stream, 6_000).await;
    client.close().await;
    broker.stop();
}

#[tokio::test]
async fn every_lane_serves_every_shard_and_knows_which_streams_there_are() {
    let mut place = place(4);
    let broker = place.start();
    let key = Key::of_admin(place.data());
    let clients = reach_every_lane(&broker, &key, 4).await;
    let create = CreateStream { name: "orders".to_owned(), shards: 5, ..CreateStream::default() };
    let Ok(Reply::Stream(stream)) = within(clients[2].ask(&Request::CreateStream(create))).await else {
        panic!("there is room")
    };
    for (lane, client) in clients.iter().enumerate() {
        for shard in 0..5 {
            let put = batch(&stream, shard, &format!("by lane {lane}"), ProducerStamp::default());
            assert_eq!(within(client.put(&put)).await, Ok(lane as u64), "shard {shard}, by lane {lane}");
        }
    }
    for client in &clients {
        for shard in 0..5 {
            let read =
                Read { incarnation: stream.incarnation, shard, position: Position::TrimHorizon, bytes_max: 1 << 20 };
            let Ok(Reply::Batches(batches)) = within(client.ask(&Request::Read(read))).await else {
                panic!("it can be read")
            };
            assert_eq!((batches.start_sequence, batches.next_sequence, batches.tip_sequence), (0, 4, 4));
        }
    }
    let deleted = within(clients[3].ask(&Request::DeleteStream("orders".to_owned()))).await;
    assert_eq!(deleted, Ok(Reply::Done));
    for client in &clients {
        for shard in 0..5 {
            let put = batch(&stream, shard, "too late", ProducerStamp::default());
            let refused = within(client.put(&put)).await.expect_err("the stream is gone");
            assert_eq!(refused.code, ErrorCode::StreamNotFound);
        }
    }
    broker.stop();
}

#[tokio::test]
async fn acks_of_a_put_stream_come_in_order_whichever_lane_stores() {
    const PUTS: u64 = 2_000;
    let mut place = place(2);
    let broker = place.start();
    let key = Key::of_admin(place.data());
    let client = broker.client().await;
    let stream = client.create_stream(StreamSpec::new("orders", 2)).await.expect("there is room");
    for lane in 0..2 {
        let (raw, _) = within(RawClient::at_lane(broker.address(), &key, lane)).await;
        for shard in 0..2 {
            // More than the way between two lanes takes at once, were the other lane asleep.
            let producer = ProducerStamp { id: 100 + u64::from(lane), epoch: 0, number: 0 };
            let frames: Vec<u8> = (0..PUTS)
                .flat_map(|number| put_frame(number, &batch(&stream, shard, "x", ProducerStamp { number, ..producer })))
                .collect();
            let (mut send, mut receive) = within(raw.send(&frames)).await.expect("it is connected");
            let mut acked = 0;
            for _ in 0..PUTS {
                match within(read_reply(&mut receive)).await.expect("each put is answered") {
                    (frame, Reply::Ack { first_sequence, .. }) => {
                        assert_eq!(frame, acked, "in order, and nothing is left out");
                        assert_eq!(first_sequence, u64::from(lane) * PUTS + acked);
                        acked += 1;
                    }
                    // It may always be full; then it says from where to go on.
                    (_, Reply::Error(error)) => {
                        assert!(matches!(error.code, ErrorCode::Busy | ErrorCode::Behind), "{error}");
                    }
                    (_, other) => panic!("a put was answered {other:?}"),
                }
            }
            // Whoever is refused resends from there, one by one.
            for number in acked..PUTS {
                let put = batch(&stream, shard, "x", ProducerStamp { number, ..producer });
                assert_eq!(within(raw.put(&put)).await, Ok(u64::from(lane) * PUTS + number));
            }
            send.finish().expect("it is open");
        }
    }
    client.close().await;
    broker.stop();
}

#[tokio::test]
async fn a_connection_stays_on_its_lane_when_the_clients_port_changes() {
    let mut place = place(4);
    let broker = place.start();
    let key = Key::of_admin(place.data());
    let client = broker.client().await;
    let stream = client.create_stream(StreamSpec::new("orders", 4)).await.expect("there is room");
    for raw in reach_every_lane(&broker, &key, 4).await {
        let before = within(raw.put(&batch(&stream, 3, "before", ProducerStamp::default()))).await;
        raw.rebind();
        let after = within(raw.put(&batch(&stream, 3, "after", ProducerStamp::default()))).await;
        assert_eq!(after, before.map(|sequence| sequence + 1));
        raw.rebind();
        assert_eq!(within(raw.ask(&Request::Ping)).await, Ok(Reply::Pong));
    }
    client.close().await;
    broker.stop();
}
