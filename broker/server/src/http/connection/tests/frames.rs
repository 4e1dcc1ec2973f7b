//! Answers in frames: to clients that read them, stop reading, or go away.

use super::*;

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn frames_come_as_they_are_made_however_rarely() {
    let served = serve(SMALL).await;
    let (said, took) = ask(&mut connect(served.address).await, &get("/ticks")).await;
    let said = said.to_lowercase();
    assert!(said.contains("content-type: application/vnd.amazon.eventstream"), "{said}");
    assert!(said.ends_with("4\r\ntick\r\n4\r\ntick\r\n4\r\ntick\r\n0\r\n\r\n"), "{said}");
    assert!(took >= 6 * SMALL.stalled, "{took:?}");
}

#[tokio::test]
async fn who_stops_reading_is_given_up_and_nothing_more_is_made_for_it() {
    let served = serve(SMALL).await;
    let mut stream = connect(served.address).await;
    stream.write_all(&get("/flood")).await.expect("it is open");
    sleep(SMALL.stalled / 2).await;
    let made = served.made.load(Ordering::Relaxed);
    let took = served.frames_end().await;
    assert!(took < 2 * SMALL.stalled, "{took:?}");
    // What the sockets hold, and one more.
    assert!((1..32).contains(&made) && served.made.load(Ordering::Relaxed) == made, "{made} MiB were made");
    is_answered(served.address).await;
}

#[tokio::test]
async fn who_reads_slowly_is_served_and_who_goes_away_is_forgotten() {
    let served = serve(SMALL).await;
    let mut stream = connect(served.address).await;
    stream.write_all(&get("/flood")).await.expect("it is open");
    let mut read = vec![0; 1 << 20];
    let began = Instant::now();
    while began.elapsed() < 3 * SMALL.stalled {
        timeout(PATIENCE, stream.read_exact(&mut read)).await.expect("more comes").expect("it is open");
        sleep(SMALL.stalled / 4).await;
    }
    drop(stream);
    let took = served.frames_end().await;
    assert!(took < SMALL.stalled / 2, "{took:?}");
}

#[tokio::test]
async fn when_the_broker_stops_an_answer_ends_after_a_whole_frame() {
    let served = serve(SMALL).await;
    let mut stream = connect(served.address).await;
    stream.write_all(&get("/ticks")).await.expect("it is open");
    sleep(SMALL.stalled / 2).await;
    served.standing.send_replace(Standing::Stopping);
    let (said, took) = ask(&mut stream, b"").await;
    assert!(said.ends_with("\r\n\r\n0\r\n\r\n") && took < SMALL.stalled, "{said} after {took:?}");
    assert!(served.frames_end().await < SMALL.stalled);
}
