//! Access keys, consumers, and certificates that an operator brought.

mod peer;

use peer::Peer;
use rheos_client::protocol::frame::kind;
use rheos_client::{Access, Client, ConnectOptions, Error, ErrorCode, KeyPolicy};

async fn connect(peer: &Peer) -> Client {
    Client::connect(ConnectOptions::from_url(&peer.url()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn keys_are_made_listed_and_revoked() {
    let peer = Peer::start();
    let client = connect(&peer).await;
    let policy = KeyPolicy { everywhere: Access::None, streams: vec![("orders".to_owned(), Access::ReadWrite)] };
    let key = client.create_key("billing", policy.clone()).await.unwrap();
    assert!(!format!("{key:?}").contains(&key.secret));
    client.create_key("audit", KeyPolicy::everywhere(Access::ReadOnly)).await.unwrap();

    let listed = client.list_keys().await.unwrap();
    assert_eq!(listed.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["billing", "audit"]);
    assert_eq!((&listed[0].id, &listed[0].policy), (&key.id, &policy));

    let Err(Error::Broker(error)) = client.create_key("audit", policy).await else { panic!() };
    assert_eq!(error.code, ErrorCode::KeyExists);
    client.revoke_key(&key.id).await.unwrap();
    client.revoke_key("audit").await.unwrap();
    assert!(client.list_keys().await.unwrap().is_empty());
    let Err(Error::Broker(error)) = client.revoke_key("audit").await else { panic!() };
    assert_eq!(error.code, ErrorCode::KeyNotFound);
    let bad = client.create_key("a b", KeyPolicy::default()).await.unwrap_err().to_string();
    assert!(bad.starts_with("\"a b\" is not a key name"), "{bad}");
}

#[tokio::test]
async fn consumers_are_registered_described_listed_and_deregistered() {
    let peer = Peer::start();
    peer.create("orders", 1);
    let client = connect(&peer).await;
    let made = client.register_consumer("orders", "billing").await.unwrap();
    let described = client.describe_consumer("orders", "billing").await.unwrap();
    assert!(described.epoch > made.epoch && described.incarnation == made.incarnation);
    let Err(Error::Broker(error)) = client.register_consumer("orders", "billing").await else { panic!() };
    assert_eq!(error.code, ErrorCode::ConsumerExists);

    for number in 0..1_100 {
        client.register_consumer("orders", &format!("reader-{number:04}")).await.unwrap();
    }
    let listed = client.list_consumers("orders").await.unwrap();
    assert_eq!((listed.len(), listed[0].name.as_str(), listed[0].epoch), (1_101, "billing", 0));
    assert_eq!(peer.requests_of(kind::LIST_CONSUMERS), 2);

    client.deregister_consumer("orders", "billing").await.unwrap();
    let described = client.describe_consumer("orders", "billing").await;
    assert!(
        matches!(&described, Err(Error::ConsumerNotFound { consumer, .. }) if consumer == "billing"),
        "{described:?}"
    );
    let Err(Error::Broker(error)) = client.deregister_consumer("orders", "billing").await else { panic!() };
    assert_eq!(error.code, ErrorCode::ConsumerNotFound);
    let Err(Error::Broker(error)) = client.list_consumers("sales").await else { panic!() };
    assert_eq!(error.code, ErrorCode::StreamNotFound);
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_not_sent_again() {
    let peer = Peer::start();
    peer.create("orders", 1);
    let client = connect(&peer).await;
    let unknown = |outcome: Result<(), Error>, of: &str| match outcome {
        Err(Error::Indeterminate { what, .. }) => assert_eq!(what, of),
        other => panic!("{of}: {other:?}"),
    };
    peer.break_on(kind::CREATE_KEY);
    unknown(client.create_key("billing", KeyPolicy::default()).await.map(drop), "create key billing");
    peer.break_on(kind::REVOKE_KEY);
    unknown(client.revoke_key("billing").await, "revoke key \"billing\"");
    peer.break_on(kind::REGISTER_CONSUMER);
    let outcome = client.register_consumer("orders", "billing").await.map(drop);
    unknown(outcome, "register consumer billing of stream orders");
    peer.break_on(kind::DEREGISTER_CONSUMER);
    let outcome = client.deregister_consumer("orders", "billing").await;
    unknown(outcome, "deregister consumer billing of stream orders");
    // What changes nothing is.
    client.register_consumer("orders", "billing").await.unwrap();
    peer.break_on(kind::DESCRIBE_CONSUMER);
    client.describe_consumer("orders", "billing").await.unwrap();
}

#[tokio::test]
async fn metrics_come_whole_from_however_many_pieces() {
    let peer = Peer::start();
    let client = connect(&peer).await;
    let long = "rheos_incoming_bytes_total{stream=\"orders\"} 12345\n".repeat(20_000);
    peer.set_metrics(&[(&long, true), ("rheos_streams 1\n", true), (&long, true), ("", false)]);
    assert_eq!(client.metrics().await.unwrap(), format!("{long}rheos_streams 1\n{long}"));
    peer.set_metrics(&[("", false)]);
    assert_eq!(client.metrics().await.unwrap(), "");
    // A broker that is gone is asked again, and one that stops in the middle said nothing.
    peer.break_on(kind::READ_METRICS);
    client.metrics().await.unwrap();
    peer.set_metrics(&[("rheos_streams 1\n", true)]);
    let cut = client.metrics().await.unwrap_err();
    assert!(matches!(&cut, Error::Protocol { what } if what.contains("without a reply")), "{cut:?}");
}

#[tokio::test]
async fn metrics_without_an_end_are_given_up() {
    let peer = Peer::start();
    let client = connect(&peer).await;
    let piece = "x".repeat(1 << 20);
    peer.set_metrics(&[(&*piece, true); 33]);
    let error = client.metrics().await.unwrap_err();
    assert!(matches!(&error, Error::Protocol { what } if what.contains("longer than")), "{error:?}");
}
