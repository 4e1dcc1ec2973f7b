//! Who may read the metrics from where.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use rheos_tests::http::http_get;

use crate::place;

/// An address of this host that is not loopback, if it has one.
fn other_address() -> Option<IpAddr> {
    // Nothing is sent: the kernel says from where it would be.
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

#[tokio::test]
#[allow(clippy::print_stderr, reason = "a test that is not done says so")]
async fn the_metrics_are_for_this_host_unless_they_are_opened() {
    let Some(ip) = other_address() else {
        return eprintln!("not done: this host has loopback alone, and what is told over that is told to this host");
    };
    for is_open in [false, true] {
        let place = place().with_listen(SocketAddr::from(([0, 0, 0, 0], 0)));
        let mut place = if is_open { place.with_flag("--metrics-open") } else { place };
        let broker = place.start();
        let port = broker.address().port();
        let elsewhere = SocketAddr::new(ip, port);
        assert_eq!(http_get(elsewhere, "/health").await.status, 200);
        assert_eq!(http_get(elsewhere, "/ready").await.status, 200);
        let metrics = http_get(elsewhere, "/metrics").await;
        if is_open {
            assert!(metrics.status == 200 && metrics.body.contains("rheos_ready 1"), "{}", metrics.body);
        } else {
            assert!(metrics.status == 403 && metrics.body.contains("--metrics-open"), "{}", metrics.body);
            assert!(!metrics.body.contains("rheos_ready"), "{}", metrics.body);
        }
        assert_eq!(http_get(SocketAddr::from(([127, 0, 0, 1], port)), "/metrics").await.status, 200);
        broker.stop();
    }
}
