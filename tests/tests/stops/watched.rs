//! What a service manager hears: a real datagram socket in its place.

use std::os::unix::net::UnixDatagram;

use super::*;

/// How often the manager wants to hear that the broker is alive.
const WATCHDOG: Duration = Duration::from_millis(400);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_manager_hears_how_it_is() {
    let scratch = tempfile::tempdir().expect("there is room");
    let path = scratch.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("the path is free");
    manager.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    let notify = format!("NOTIFY_SOCKET={}", path.display());
    let watchdog = format!("WATCHDOG_USEC={}", WATCHDOG.as_micros());
    let mut place = place().with_launcher(&["env", &notify, &watchdog]);
    place.set_lanes(2);
    let broker = place.start();
    let first = hear(&manager);
    assert!(first.starts_with("READY=1\nSTATUS=serves 0 streams at 127.0.0.1:"), "{first}");

    let began = Instant::now();
    for _ in 0..6 {
        assert_eq!(hear(&manager), "WATCHDOG=1\n");
    }
    let took = began.elapsed();
    assert!(took > 5 * WATCHDOG / 2 - WATCHDOG / 4, "it is said at half the time, and not in {took:?}");

    // A lane that is stuck: whoever watches hears nothing more, however well the others are.
    let held = HeldThread::hold(broker.process_id(), "lane-1");
    manager.set_read_timeout(Some(5 * WATCHDOG)).expect("it is not zero");
    let mut said_after = 0;
    while hear_within(&manager).is_some() {
        said_after += 1;
    }
    assert!(said_after <= 2, "{said_after} times after the lane was stuck");
    assert!(broker.said().contains("a lane does not answer") && broker.said().contains("lane=1"), "{}", broker.said());
    drop(held);
    manager.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    assert_eq!(hear(&manager), "WATCHDOG=1\n");
    until_said(&broker, "the lane answers again").await;

    broker.begin_stop();
    let stopping = std::iter::repeat_with(|| hear(&manager)).find(|said| said != "WATCHDOG=1\n");
    assert!(stopping.is_some_and(|said| said.starts_with("STOPPING=1\nSTATUS=")));
    assert!(broker.ended().0.success());
}

fn hear(manager: &UnixDatagram) -> String {
    hear_within(manager).expect("it is said in time")
}

fn hear_within(manager: &UnixDatagram) -> Option<String> {
    let mut bytes = [0; 1024];
    let count = manager.recv(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes[..count]).into_owned())
}
