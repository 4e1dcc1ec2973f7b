use std::future::poll_fn;
use std::thread;

use bytes::BytesMut;
use rheos_protocol::batch::{BatchBuilder, ProducerStamp};
use rheos_protocol::message::Position;
use rheos_protocol::record::Record;

use super::*;

fn batch(data: &str) -> PutBatch {
    let mut builder = BatchBuilder::default();
    builder.push(&Record::new("key", data.to_owned()).view(), 1 << 20).expect("it is small");
    let bytes: BytesMut = builder.finish(1, 0, ProducerStamp::default());
    PutBatch::parse(bytes).expect("it was just made")
}

fn acked(first_sequence: u64) -> Result<Acked, WireError> {
    Ok(Acked { first_sequence, arrival_ms: 0 })
}

#[test]
fn a_logs_token_says_who_asked() {
    for lane in [0, 1, 255] {
        for token in [0, 1, (1 << 48) - 1] {
            let asker = Asker { lane, token };
            assert_eq!(Asker::of_log_token(asker.to_log_token()), Some(asker));
        }
    }
    for own in [0, 1, 1 << 40] {
        assert_eq!(Asker::of_log_token(own), None);
    }
}

#[tokio::test]
async fn answers_always_find_room_and_the_full_way_is_a_refusal() {
    let mesh = Mesh::new(2).expect("there are descriptors");
    let mut asking = MeshEnd::new(mesh.clone(), 0).expect("there are descriptors");
    let owning = MeshEnd::new(mesh.clone(), 1).expect("there are descriptors");
    let (mut asked, mut answered) = (0, 0);
    // The owner answers everything; the asker takes no answer, until nothing more can be asked.
    while asking.put(1, asked, batch("a")).is_ok() {
        asked += 1;
        let Some(Asked::Put { asker, .. }) = owning.next_asked() else { panic!("it was just asked") };
        owning.answer(asker, acked(asker.token));
    }
    assert_eq!(asked, OUTSTANDING_MAX as u64);
    let error = asking.put(1, asked, batch("a")).expect_err("the answers have no room");
    assert_eq!(error, busy(1));
    while let Some(Answer { token, outcome }) = asking.next_answer() {
        assert_eq!((token, outcome), (answered, acked(answered)));
        answered += 1;
    }
    assert_eq!(answered, asked);

    // Now the owner takes nothing.
    let mut asked = 0;
    while asking.put(1, asked, batch("a")).is_ok() {
        asked += 1;
    }
    assert_eq!(asked, ASKED_MAX as u64);
    let (reply, _answer) = oneshot::channel();
    let read = Read { incarnation: 1, shard: 0, position: Position::Latest, bytes_max: 1 };
    assert_eq!(mesh.ask(1, Asked::Read { read, reply }).expect_err("it is full").code, ErrorCode::Busy);
    for token in 0..asked {
        let Some(Asked::Put { asker, .. }) = owning.next_asked() else { panic!("it was asked") };
        assert_eq!(asker, Asker { lane: 0, token }, "in the order in which it was asked");
    }
    assert!(owning.next_asked().is_none());
    assert_eq!(mesh.post(1).asked_bytes.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn bytes_that_wait_are_bounded() {
    let mesh = Mesh::new(2).expect("there are descriptors");
    let mut asking = MeshEnd::new(mesh.clone(), 0).expect("there are descriptors");
    let large = "x".repeat(1 << 20);
    let mut asked = 0;
    while asking.put(1, asked, batch(&large)).is_ok() {
        asked += 1;
    }
    assert_eq!(asked as usize, ASKED_BYTES_MAX / batch(&large).total_len());
    asking.put(1, asked, batch("small")).expect("there is room for it");
}

#[test]
fn a_lane_that_sleeps_is_woken_by_every_question() {
    const QUESTIONS: u64 = 20_000;
    let mesh = Mesh::new(2).expect("there are descriptors");
    let run = |lane: u16, mesh: Mesh| {
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there is memory");
            runtime.block_on(async move {
                let mut end = MeshEnd::new(mesh, lane).expect("there are descriptors");
                let (mut asked, mut answered, mut served) = (0, 0, 0);
                poll_fn(|cx| {
                    loop {
                        end.get_up();
                        let mut busy = false;
                        while let Some(Asked::Put { asker, .. }) = end.next_asked() {
                            end.answer(asker, acked(served));
                            served += 1;
                            busy = true;
                        }
                        while let Some(Answer { token, .. }) = end.next_answer() {
                            assert_eq!(token, answered);
                            answered += 1;
                            busy = true;
                        }
                        // One at a time, so that both sleep as often as they can.
                        if lane == 0 && asked == answered && asked < QUESTIONS {
                            end.put(1, asked, batch("a")).expect("nothing else is under way");
                            asked += 1;
                            busy = true;
                        }
                        let done = if lane == 0 { answered } else { served };
                        if done == QUESTIONS {
                            return Poll::Ready(());
                        }
                        if !busy && end.lie_down(cx).is_pending() {
                            return Poll::Pending;
                        }
                    }
                })
                .await;
            });
        }
    };
    let lanes = [0, 1].map(|lane| thread::spawn(run(lane, mesh.clone())));
    lanes.into_iter().for_each(|lane| lane.join().expect("no panic"));
}

#[tokio::test]
async fn the_last_lane_to_stop_tells_all() {
    let mesh = Mesh::new(3).expect("there are descriptors");
    let mut ends: Vec<_> =
        (0..2).map(|lane| MeshEnd::new(mesh.clone(), lane).expect("there are descriptors")).collect();
    ends[0].stopped();
    ends[0].stopped();
    ends[1].stopped();
    assert!(!ends[0].all_stopped(), "one lane is left");
    let mut sleeper = ends.remove(0);
    let sleeping = tokio::spawn(async move {
        poll_fn(|cx| sleeper.lie_down(cx)).await;
        sleeper.all_stopped()
    });
    tokio::task::yield_now().await;
    mesh.lane_has_stopped();
    assert!(sleeping.await.expect("no panic"));
}
