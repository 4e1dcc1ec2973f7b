//! A certificate that has expired.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::SystemTime;

use quinn::{Endpoint, EndpointConfig, TokioRuntime};
use rheos_broker::directory::{DataDirectory, DirectoryOptions};
use rheos_broker::identity::BrokerIdentity;
use rheos_client::{Client, ConnectOptions};

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

/// The broker itself never serves one: it makes a new one at its start. So what it would have served is
/// served here, by its own identity of more than a year ago.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_is_refused_by_the_client_and_replaced_by_the_broker() {
    let mut place = place();
    let before_it_expired = SystemTime::now() - DAY * 400;
    let (expired, pem) = {
        let directory = DataDirectory::open(place.data(), DirectoryOptions::default()).expect("it is made");
        let identity = BrokerIdentity::load_or_create_at(&directory, before_it_expired).expect("it is made");
        (identity, std::fs::read(directory.layout().keys_dir().join("server.pem")).expect("it is there"))
    };
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
    let address = socket.local_addr().expect("it is bound");
    let server = Some(expired.quic_server());
    let endpoint =
        Endpoint::new(EndpointConfig::default(), server, socket, Arc::new(TokioRuntime)).expect("it is a socket");
    let served = tokio::spawn(async move {
        let connecting = endpoint.accept().await.expect("somebody comes");
        connecting.await.map(drop)
    });
    let options = ConnectOptions::from_url(&expired.admin_url(address)).expect("it is a connection string");
    let refused = timeout(PATIENCE, Client::connect(options)).await.expect("it gives up at once");
    let why = refused.expect_err("the certificate has expired").to_string();
    assert!(why.contains("expired"), "{why}");
    assert!(timeout(PATIENCE, served).await.expect("it hears of it").expect("it asserts nothing").is_err());

    let broker = place.start();
    let renewed = std::fs::read(place.data().join("keys").join("server.pem")).expect("it is there");
    assert_ne!(renewed, pem);
    let client = broker.client().await;
    client.list_streams().await.expect("whoever trusts the CA trusts the new one");
    client.close().await;
    broker.stop();
}
