//! A broker with an access key for the clients of AWS's.

use rheos_client::protocol::message::{Access, KeyPolicy, NewKey};
use rheos_tests::broker_process::{Broker, Place};
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::client::{Client, Steps, Surroundings};

/// In the scope of signatures, and in ARNs: not the broker's own region.
pub(crate) const REGION: &str = "eu-central-1";
/// The broker's own region, whose streams have plain names natively.
pub(crate) const OWN_REGION: &str = "us-east-1";

/// How a client reaches the face.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    /// `http://`
    Plain,
    /// `https://`, with the broker's own CA.
    Tls,
}

/// The broker and the key.
pub(crate) struct Face {
    /// The broker.
    pub(crate) broker: Broker,
    place: Place,
    key: NewKey,
    runs: usize,
}

impl Face {
    /// Starts a broker and has it make a key that may do everything.
    pub(crate) async fn start() -> Face {
        Face::start_with(&[]).await
    }

    /// As [`start`](Self::start), with flags for the broker.
    pub(crate) async fn start_with(flags: &[&str]) -> Face {
        let place = Place::new(env!("CARGO_BIN_EXE_test-broker"), env!("CARGO_TARGET_TMPDIR"));
        let mut place = flags.iter().fold(place, |place, flag| place.with_flag(flag));
        let broker = place.start();
        let admin = broker.client().await;
        let key = admin.create_key("aws", KeyPolicy::everywhere(Access::Admin)).await.expect("there is none");
        admin.close().await;
        Face { broker, place, key, runs: 0 }
    }

    /// Runs a script to its end, in [`REGION`].
    pub(crate) async fn run(&mut self, client: Client, script: &'static str, arguments: &[&str], way: Way) -> Steps {
        self.run_in(REGION, client, script, arguments, way).await
    }

    /// Runs a script to its end, in this region.
    pub(crate) async fn run_in(
        &mut self,
        region: &'static str,
        client: Client,
        script: &'static str,
        arguments: &[&str],
        way: Way,
    ) -> Steps {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let run = move |around: &Surroundings<'_>| {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            Steps::of(client, script, &arguments, around)
        };
        self.surrounded(region, way, run).await
    }

    /// Does something with a client: on a thread of its own, because connections of the native client live on this one.
    pub(crate) async fn surrounded<T: Send + 'static>(
        &mut self,
        region: &'static str,
        way: Way,
        run: impl FnOnce(&Surroundings<'_>) -> T + Send + 'static,
    ) -> T {
        self.runs += 1;
        let scheme = match way {
            Way::Plain => "http",
            Way::Tls => "https",
        };
        let endpoint = format!("{scheme}://{}", self.broker.address());
        let (id, secret) = (self.key.id.clone(), self.key.secret.clone());
        let (ca, home) = (self.place.data().join("ca.pem"), self.place.scratch().join(format!("run-{}", self.runs)));
        let run = spawn_blocking(move || {
            run(&Surroundings { endpoint: &endpoint, key: (&id, &secret), region, ca: &ca, home: &home })
        });
        run.await.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()))
    }

    /// Stops the broker, in which nothing has panicked.
    pub(crate) fn end(self) {
        let said = self.broker.stop();
        assert!(!said.contains("panicked"), "{said}");
    }
}

/// The account in the ARN of a stream of this region.
pub(crate) fn account<'a>(arn: &'a Value, stream: &str) -> &'a str {
    let arn = arn.as_str().unwrap_or_else(|| panic!("{arn} is a text"));
    let rest = arn.strip_prefix("arn:aws:kinesis:").and_then(|rest| rest.strip_prefix(REGION)?.strip_prefix(':'));
    let (account, resource) = rest.and_then(|rest| rest.split_once(':')).unwrap_or_else(|| panic!("{arn} is an ARN"));
    assert!(account.len() == 12 && account.bytes().all(|digit| digit.is_ascii_digit()), "{arn}");
    assert_eq!(resource, format!("stream/{stream}"), "{arn}");
    account
}
