//! A thousand streams that are put to, and clients that do nothing that they should.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rheos_broker::verify;
use tokio::task::JoinSet;

use super::*;

/// Streams that are put to all the while.
const STREAMS: usize = 1_000;
/// Tasks that put, each to its part of the streams.
const PUTTING: usize = 8;
/// Acks before the broker is told to stop, in all.
const ACKS: u64 = 20_000;

/// What was acked: stream, sequence, and what was put.
type Acked = Vec<(usize, u64, String)>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_broker_stops_in_time_whatever_its_clients_do() {
    let mut place = place();
    let broker = place.start();
    let client = broker.client().await;
    make_streams(&client).await;
    let strange = strange_clients(&broker, place.data(), &client).await;
    let mut told = subscriber(&broker, place.data(), &client, &name(1)).await;
    let (stop, acks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut putting = JoinSet::new();
    for part in 0..PUTTING {
        putting.spawn(put_until(client.clone(), part, Arc::clone(&stop), Arc::clone(&acks)));
    }
    while acks.load(Ordering::Relaxed) < ACKS {
        sleep(Duration::from_millis(20)).await;
    }

    let began = Instant::now();
    broker.begin_stop();
    let waiting = tokio::task::spawn_blocking(move || (broker.ended(), began.elapsed()));
    assert!(matches!(goodbye(&mut told).await, PushEnd::GoingAway(wait_ms) if wait_ms > 0));
    let ((status, said), took) = waiting.await.expect("it ends");
    assert!(took < STOP_MAX, "it took {took:?}:\n{said}");
    assert!(
        (status.success() && said.contains("stopped: every log is sealed"))
            || (status.code() == Some(1) && said.contains("work unfinished")),
        "{status}:\n{said}"
    );
    stop.store(true, Ordering::Relaxed);
    client.close().await;
    drop(strange);
    let acked: Acked = putting.join_all().await.into_iter().flatten().collect();

    let report = verify(place.data(), |_| {}).expect("nobody holds the directory");
    assert!(report.is_whole(), "{report:?}");
    let broker = place.start();
    let client = broker.client().await;
    let mut stored: Vec<Vec<String>> = Vec::new();
    for at in 0..STREAMS {
        stored.push(read_all(&client, &name(at)).await);
    }
    assert!(acked.len() as u64 >= ACKS, "{} puts were acked", acked.len());
    for (at, sequence, text) in acked {
        assert_eq!(stored[at][sequence as usize], text, "{}", name(at));
    }
    client.close().await;
    broker.stop();
}

async fn make_streams(client: &Client) {
    let mut making = JoinSet::new();
    for part in 0..PUTTING {
        let client = client.clone();
        making.spawn(async move {
            for at in (part..STREAMS).step_by(PUTTING) {
                client.create_stream(StreamSpec::new(name(at), 1)).await.expect("there is room");
            }
        });
    }
    making.join_all().await;
}

fn name(at: usize) -> String {
    format!("stream-{at:04}")
}

/// One that takes nothing of what is pushed to it, one that stops in the middle of a frame, one that is idle; all
/// with their streams, which stay open.
async fn strange_clients(broker: &Broker, data: &Path, client: &Client) -> impl Sized + use<> {
    let key = Key::of_admin(data);
    let stream = client.describe_stream(&name(0)).await.expect("it was made");
    client.register_consumer(&name(0), "silent").await.expect("it is new");
    let silent = RawClient::admitted_with(broker.address(), &key, narrow(4_096)).await;
    let request = subscribe(stream.incarnation, 0, "silent", Position::TrimHorizon, 64 << 20);
    let unread = silent.send(&request_frame(&Request::Subscribe(request))).await.expect("the connection stands");
    let half = RawClient::admitted(broker.address(), &key).await;
    let of = ConsumerOf { stream: name(0), consumer: "half".to_owned() };
    let frame = request_frame(&Request::DescribeConsumer(of));
    let unfinished = half.send(&frame[..frame.len() / 2]).await.expect("the connection stands");
    let idle = RawClient::admitted(broker.address(), &key).await;
    (silent, unread, half, unfinished, idle)
}

/// One that takes what is pushed to it.
async fn subscriber(broker: &Broker, data: &Path, client: &Client, stream: &str) -> Subscriber {
    let incarnation = client.describe_stream(stream).await.expect("it was made").incarnation;
    client.register_consumer(stream, "told").await.expect("it is new");
    let connection = RawClient::admitted(broker.address(), &Key::of_admin(data)).await;
    let first = subscribe(incarnation, 0, "told", Position::Latest, 64 << 20);
    let mut subscriber = Subscriber::open(connection, 1, first).await;
    subscriber.subscribed().await;
    subscriber
}

/// How the subscription ends.
async fn goodbye(subscriber: &mut Subscriber) -> PushEnd {
    loop {
        if let (_, Pushed::End(end)) = subscriber.pushed().await {
            return end;
        }
    }
}

/// Puts round after round to a part of the streams; what was acked.
async fn put_until(client: Client, part: usize, stop: Arc<AtomicBool>, acks: Arc<AtomicU64>) -> Acked {
    let mut producers: Vec<(usize, Producer)> = Vec::new();
    for at in (part..STREAMS).step_by(PUTTING) {
        producers.push((at, client.producer(&name(at)).await.expect("it was made")));
    }
    let mut acked = Acked::new();
    for round in 0.. {
        let mut tickets = Vec::new();
        for (at, producer) in &producers {
            let text = format!("round {round}");
            let Ok(ticket) = producer.put(Record::new("key", text.clone())).await else { break };
            tickets.push((*at, ticket, text));
        }
        for (at, ticket, text) in tickets {
            if let Outcome::Acked { sequence, .. } = ticket.await {
                acks.fetch_add(1, Ordering::Relaxed);
                acked.push((at, sequence, text));
            }
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    acked
}
