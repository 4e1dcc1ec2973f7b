//! The metrics over the native protocol.

use rheos_client::protocol::message::{Access, KeyPolicy};
use rheos_client::{Client, Error, ErrorCode, StreamSpec};

use crate::place;

#[tokio::test]
async fn an_administrator_reads_the_metrics_and_nobody_else() {
    let mut place = place();
    let broker = place.start();
    let admin = broker.client().await;
    admin.create_stream(StreamSpec::new("orders", 3)).await.expect("there is none");
    admin.register_consumer("orders", "billing").await.expect("there is none");
    let text = admin.metrics().await.expect("it is an administrator");
    for line in ["rheos_streams 1", "rheos_consumers 1", &format!("rheos_build_info{{version=\"{VERSION}\"}} 1")] {
        assert!(text.lines().any(|it| it == line), "{line} is not in:\n{text}");
    }

    let key = admin.create_key("writer", KeyPolicy::everywhere(Access::ReadWrite)).await.expect("there is none");
    let url = broker.connect_options().url_with(&key.id, &key.secret).expect("it was made");
    let options = rheos_client::ConnectOptions::from_url(&url).expect("it was made");
    let denied = Client::connect(options).await.expect("the key is good").metrics().await;
    let Err(Error::Broker(error)) = denied else { panic!("a writer was told {denied:?}") };
    assert_eq!(error.code, ErrorCode::Denied);
    assert!(error.message.contains("may not read the metrics"), "{error}");
    broker.stop();
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
