//! Reservations of a real broker: what a lane cannot promise is refused with the sum, whoever asks for it and in
//! whatever way, and what it has promised is kept over a restart.

mod admission;
mod late;

use rheos_client::{Client, ConsumerDescription, ConsumerTerms, Error, ErrorCode, StreamSpec, WireError};
use rheos_tests::broker_process::{Broker, Place};

const STREAM: &str = "orders";
const MIB: u64 = 1 << 20;
/// What a lane promises at most whose capacity is assumed: 60 % of 64 MiB/s.
const PROMISED_MAX: u64 = 64 * MIB * 60 / 100;

/// A broker with a stream and a client of the administrator.
struct Ground {
    place: Place,
    broker: Broker,
    client: Client,
}

impl Ground {
    async fn new(lanes: u16, shards: u32) -> Ground {
        let mut place = Place::new(env!("CARGO_BIN_EXE_test-broker"), env!("CARGO_TARGET_TMPDIR"));
        place.set_lanes(lanes);
        let broker = place.start();
        let client = broker.client().await;
        client.create_stream(StreamSpec::new(STREAM, shards)).await.expect("the broker is new");
        Ground { place, broker, client }
    }

    async fn register(&self, name: &str, mib: u64) -> Result<ConsumerDescription, Error> {
        self.client.register_consumer_with(ConsumerTerms::of(STREAM, name).reserving(mib * MIB)).await
    }

    async fn reserve(&self, name: &str, mib: u64) -> Result<ConsumerDescription, Error> {
        self.client.update_consumer(ConsumerTerms::of(STREAM, name).reserving(mib * MIB)).await
    }

    /// What each consumer has reserved, in MiB a second, by their names.
    async fn reserved(&self) -> Vec<(String, u64)> {
        let listed = self.client.list_consumers(STREAM).await.expect("it is there");
        listed.into_iter().map(|consumer| (consumer.name, consumer.reserved_bytes / MIB)).collect()
    }

    /// Kills the broker and starts it again, with so many lanes.
    async fn restarted(self, lanes: u16) -> Ground {
        let Ground { mut place, broker, client } = self;
        client.close().await;
        assert!(!broker.kill().contains("panicked"));
        place.set_lanes(lanes);
        let broker = place.start();
        let client = broker.client().await;
        Ground { place, broker, client }
    }

    async fn end(self) {
        self.client.close().await;
        let said = self.broker.stop();
        assert!(!said.contains("panicked"), "{said}");
    }
}

/// The refusal of what a lane cannot promise, and the sum that it shows.
fn over_reserved<T: std::fmt::Debug>(outcome: Result<T, Error>) -> (u64, WireError) {
    match outcome {
        Err(Error::Broker(error)) if error.code == ErrorCode::OverReserved => {
            assert_eq!(error.detail, PROMISED_MAX, "{error}");
            (error.detail_2, error)
        }
        other => panic!("it is too much: {other:?}"),
    }
}
