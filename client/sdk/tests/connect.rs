//! Connecting, proving who we are, and the control requests.

mod peer;

use std::net::UdpSocket;
use std::time::Duration;

use peer::Peer;
use rheos_client::protocol::frame::kind;
use rheos_client::{Client, ConnectOptions, Error, ErrorCode, StreamFilter, StreamSpec};

async fn connect(peer: &Peer) -> Client {
    Client::connect(ConnectOptions::from_url(&peer.url()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn streams_are_made_described_listed_and_deleted() {
    let peer = Peer::start();
    let client = connect(&peer).await;
    assert_eq!((client.welcome().broker.as_str(), client.welcome().directory_id), ("peer", 7));
    let made = client.create_stream(StreamSpec::new("orders", 3)).await.unwrap();
    assert_eq!((made.name.as_str(), made.shards.len()), ("orders", 3));
    assert_eq!(client.describe_stream("orders").await.unwrap(), made);
    assert!(client.ping().await.unwrap() > Duration::ZERO);

    let Err(Error::Broker(error)) = client.create_stream(StreamSpec::new("orders", 3)).await else { panic!() };
    assert_eq!(error.code, ErrorCode::StreamExists);
    let Err(Error::BadName(error)) = client.create_stream(StreamSpec::new("or ders", 3)).await else { panic!() };
    assert!(error.to_string().contains("or ders"));

    client.delete_stream("orders").await.unwrap();
    let Err(Error::Broker(error)) = client.describe_stream("orders").await else { panic!() };
    assert_eq!(error.code, ErrorCode::StreamNotFound);
}

#[tokio::test]
async fn a_listing_goes_over_all_pages() {
    let peer = Peer::start();
    (0..2_345).for_each(|i| peer.create(&format!("stream-{i:05}"), 1));
    let client = connect(&peer).await;
    let all = client.list_streams().await.unwrap();
    assert_eq!(all.len(), 2_345);
    assert!(all.is_sorted_by(|a, b| a.name < b.name));
    assert_eq!(peer.requests_of(kind::LIST_STREAMS), 3);
    let (page, more) = client.list_streams_page(StreamFilter::default(), "stream-02342", 10).await.unwrap();
    assert_eq!((page.len(), more), (2, false));
}

#[tokio::test]
async fn a_request_that_changes_nothing_is_asked_again_on_a_new_connection() {
    let peer = Peer::start();
    peer.create("orders", 1);
    let client = connect(&peer).await;
    peer.break_on(kind::DESCRIBE_STREAM);
    assert_eq!(client.describe_stream("orders").await.unwrap().name, "orders");
    assert_eq!((peer.hellos(), peer.requests_of(kind::DESCRIBE_STREAM)), (2, 2));
    peer.break_connections();
    client.ping().await.unwrap();
    assert_eq!(peer.hellos(), 3);
}

#[tokio::test]
async fn a_request_that_changes_something_is_not() {
    let peer = Peer::start();
    let client = connect(&peer).await;
    peer.break_on(kind::CREATE_STREAM);
    let error = client.create_stream(StreamSpec::new("orders", 1)).await.unwrap_err();
    assert!(matches!(&error, Error::Indeterminate { what, .. } if what == "create stream orders"), "{error}");
    assert_eq!(peer.requests_of(kind::CREATE_STREAM), 1);
}

#[tokio::test]
async fn another_ca_is_refused() {
    let peer = Peer::start();
    let url = peer.url().replace(&peer.ca_sha256, &"00".repeat(32));
    let error = Client::connect(ConnectOptions::from_url(&url).unwrap()).await.unwrap_err();
    let Error::CaMismatch { address, expected, found } = &error else { panic!("{error}") };
    assert_eq!((address, expected, found), (&peer.address, &"00".repeat(32), &peer.ca_sha256));
    assert_eq!(peer.hellos(), 0);
}

#[tokio::test]
async fn a_wrong_credential_is_refused() {
    let peer = Peer::start();
    for url in [peer.url().replace(peer::SECRET, "hush"), peer.url().replace(peer::KEY_ID, "RKOTHER")] {
        let error = Client::connect(ConnectOptions::from_url(&url).unwrap()).await.unwrap_err();
        assert!(matches!(error, Error::Credential { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains(&peer.address.to_string()) && !message.contains("hush"), "{message}");
    }
}

#[tokio::test]
async fn development_mode_needs_no_credential() {
    let peer = Peer::start_with(true);
    let client = Client::connect(ConnectOptions::dev(peer.address).unwrap()).await.unwrap();
    client.ping().await.unwrap();
    let peer = Peer::start();
    let error = Client::connect(ConnectOptions::dev(peer.address).unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::Credential { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn no_answer_over_udp_is_said() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let url = format!("rheos://RK:secret@{address}?ca=sha256:{}", "00".repeat(32));
    let error = Client::connect(ConnectOptions::from_url(&url).unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::Unanswered { waited, .. } if waited == Duration::from_secs(3)), "{error:?}");
    let message = error.to_string();
    let health = format!("http://{address}/health");
    for part in [address.to_string().as_str(), "within 3 s", "broker runs", "blocks UDP", "TCP", health.as_str()] {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[tokio::test]
async fn a_closed_client_says_so() {
    let peer = Peer::start();
    peer.create("orders", 1);
    let client = connect(&peer).await;
    let producer = client.producer("orders").await.unwrap();
    client.close().await;
    assert!(matches!(client.ping().await, Err(Error::Closed)));
    let put = producer.put(rheos_client::Record::new("a", "b")).await;
    assert!(matches!(put, Err(rheos_client::PutRefused::Closed)), "{put:?}");
    assert_eq!(peer.hellos(), 1);
}
