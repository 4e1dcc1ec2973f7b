//! Lanes: a connection for each, made when it is needed; a shard's puts and reads go over its own.

mod peer;

use peer::Peer;
use rheos_client::protocol::hash::HashRange;
use rheos_client::{Client, ConnectOptions, Consumer, ConsumerBuilder, Outcome, Position, Producer, Reader, Record};

async fn connect(peer: &Peer) -> Client {
    Client::connect(ConnectOptions::from_url(&peer.url()).unwrap()).await.unwrap()
}

/// Puts a record into each of `shards` and reads it back.
async fn put_and_read_each(client: &Client, shards: u32) {
    let producer = client.producer("orders").await.unwrap();
    for (shard, range) in (0..).zip(HashRange::even(shards)) {
        let record = Record { explicit_hash_key: Some(range.first), ..Record::new("key", shard.to_string()) };
        let outcome = producer.put(record).await.unwrap().await;
        let Outcome::Acked { shard: acked, sequence, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(acked, shard);
        let mut reader = client.reader("orders", shard, Position::AtSequence(sequence)).await.unwrap();
        assert_eq!(reader.next().await.unwrap().unwrap().record.data, shard.to_string());
    }
}

#[test]
fn handles_go_from_thread_to_thread() {
    fn goes<T: Send>() {}
    fn is_shared<T: Clone + Send + Sync>() {}
    is_shared::<Client>();
    is_shared::<Producer>();
    goes::<Reader>();
    goes::<Consumer>();
    goes::<ConsumerBuilder>();
}

#[tokio::test]
async fn each_shard_is_served_by_its_own_lane() {
    let peer = Peer::start();
    peer.set_lanes(4);
    peer.create("orders", 6);
    let client = connect(&peer).await;
    client.ping().await.unwrap();
    assert_eq!((peer.hellos(), client.welcome().lanes), (1, 4));
    put_and_read_each(&client, 6).await;
    assert_eq!(peer.hellos(), 4, "the first connection carries its lane's shards, too");
    for (lane, shard) in peer.served() {
        assert_eq!(u32::from(lane), shard % 4, "shard {shard}");
    }
    client.close().await;
    peer.all_connections_closed().await;
}

#[tokio::test]
async fn a_broker_that_starts_again_with_other_lanes_is_understood() {
    let peer = Peer::start();
    peer.set_lanes(5);
    peer.create("orders", 5);
    let client = connect(&peer).await;
    put_and_read_each(&client, 5).await;
    let producer = client.producer("orders").await.unwrap();
    for lanes in [1, 2, 64, 300, 3] {
        peer.set_lanes(lanes);
        peer.break_connections();
        client.ping().await.unwrap();
        assert_eq!(client.welcome().lanes, lanes);
        // One that was made before goes on, over whichever lanes there are.
        for range in HashRange::even(5) {
            let record = Record { explicit_hash_key: Some(range.first), ..Record::new("key", "again") };
            let outcome = producer.put(record).await.unwrap().await;
            assert!(matches!(outcome, Outcome::Acked { .. }), "{outcome:?}");
        }
        put_and_read_each(&client, 5).await;
    }
}
