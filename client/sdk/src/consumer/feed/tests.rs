use bytes::{Bytes, BytesMut};
use rheos_protocol::batch::{BatchBuilder, ProducerStamp, PutBatch};
use rheos_protocol::record::Record;

use super::*;

const CREDIT: u64 = 1_000;
/// Bytes of each batch below.
const BATCH: u64 = 600;

/// A batch of shard 3 with ten records, from `first` on.
fn batch(first: u64) -> Bytes {
    let mut builder = BatchBuilder::default();
    for _ in 0..9 {
        builder.push(&Record::new("key", vec![7; 20]).view(), 1 << 20).unwrap();
    }
    let short = BATCH as usize - HEADER_BYTES - builder.body_len() - Record::new("key", "").view().encoded_len();
    builder.push(&Record::new("key", vec![7; short]).view(), 1 << 20).unwrap();
    let bytes = builder.finish(9, 3, ProducerStamp::default());
    let batch = PutBatch::parse(bytes).unwrap().stamp(first, 0);
    assert_eq!(batch.bytes().len() as u64, BATCH);
    batch.bytes().clone()
}

fn push(firsts: &[u64]) -> Push {
    let mut batches = BytesMut::new();
    firsts.iter().for_each(|first| batches.extend_from_slice(&batch(*first)));
    Push { behind_ms: 0, tip_sequence: 0, batches: batches.freeze() }
}

fn feed(position: Position) -> Feed {
    let mut feed = Feed::new(9, 3, 0, Vec::new(), position);
    feed.release();
    feed
}

/// Sends what is wanted, a subscription under `id`.
fn send(feed: &mut Feed, id: u64) -> Want {
    let want = feed.want(CREDIT).expect("something is wanted");
    feed.sent(id, want);
    want
}

fn pushed(feed: &mut Feed, id: u64, firsts: &[u64]) -> Then {
    let push = push(firsts);
    let proved = prove(3, &push);
    feed.pushed(id, push, proved)
}

fn taken(feed: &mut Feed) -> u64 {
    match feed.take() {
        Some(Item::Batches(read)) => read.next_sequence,
        other => panic!("{other:?}"),
    }
}

fn failure(feed: &mut Feed) -> String {
    match feed.take() {
        Some(Item::Failed(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_overtakes_the_answer_waits_for_it() {
    let mut feed = feed(Position::AtTimestamp(5));
    assert_eq!(send(&mut feed, 1), Want::Subscribe(Position::AtTimestamp(5), CREDIT));
    assert_eq!(pushed(&mut feed, 1, &[10]), Then::GoOn);
    assert_eq!(feed.push_ended(1, PushEnd::ShardEnd(vec![4])), Then::GoOn);
    assert!(!feed.has_items() && !feed.is_started());
    assert_eq!(feed.subscribed(1, 13), Then::GoOn);
    let Some(Item::Batches(read)) = feed.take() else { panic!() };
    assert_eq!((read.start_sequence, read.next_sequence), (13, 20));
    assert!(matches!(feed.take(), Some(Item::Ended(children)) if children == [4]));
    assert!(feed.is_ended());
    assert_eq!((feed.place(), feed.queued_bytes), (Some(Place::Ended), 0));
}

#[test]
fn what_was_not_answered_is_forgotten_with_the_connection() {
    let mut feed = feed(Position::Latest);
    send(&mut feed, 1);
    pushed(&mut feed, 1, &[10]);
    feed.lost();
    assert_eq!((feed.queued_bytes, feed.place()), (0, None));
    assert_eq!(send(&mut feed, 2), Want::Subscribe(Position::Latest, CREDIT));
    // What comes late under the old id is nobody's.
    assert_eq!(pushed(&mut feed, 1, &[10]), Then::GoOn);
    assert_eq!(feed.push_ended(1, PushEnd::Superseded), Then::GoOn);
    assert_eq!(feed.refused(1, WireError::new(ErrorCode::Denied, "no")), Then::GoOn);
    assert_eq!(feed.subscribed(1, 77), Then::GoOn);
    feed.subscribed(2, 20);
    assert_eq!(feed.place(), Some(Place::Next(20)));
    feed.lost();
    // Where it began is fixed now, and what is queued counts against the credit.
    assert_eq!(send(&mut feed, 3), Want::Subscribe(Position::AtSequence(20), CREDIT));
    feed.subscribed(3, 20);
    pushed(&mut feed, 3, &[20]);
    feed.lost();
    assert_eq!(send(&mut feed, 4), Want::Subscribe(Position::AtSequence(30), CREDIT - BATCH));
}

#[test]
fn credit_is_renewed_as_records_are_taken() {
    // A broker that remembers what it pushed beyond the credit, and one that does not.
    for remembers in [true, false] {
        let mut feed = feed(Position::AtSequence(0));
        let Want::Subscribe(_, granted) = send(&mut feed, 1) else { panic!() };
        feed.subscribed(1, 0);
        let (mut balance, mut next, mut taken_next) = (granted as i64, 0, 0);
        for step in 0..1_000u64 {
            while balance > 0 {
                pushed(&mut feed, 1, &[next]);
                (next, balance) = (next + 10, balance - BATCH as i64);
            }
            if !remembers {
                balance = balance.max(0);
            }
            assert!(feed.queued_bytes <= CREDIT + 2 * BATCH, "{} bytes in step {step}", feed.queued_bytes);
            if step % 3 > 0 {
                taken_next += 10;
                assert_eq!(taken(&mut feed), taken_next);
            }
            if let Some(want @ Want::Credit(1, bytes)) = feed.want(CREDIT) {
                feed.sent(1, want);
                balance += bytes as i64;
            }
            assert!(feed.has_items() || balance > 0, "it stands still in step {step}");
        }
    }
}

#[test]
fn a_subscription_that_begins_elsewhere_is_a_gap() {
    let mut feed = feed(Position::AfterSequence(6));
    send(&mut feed, 1);
    pushed(&mut feed, 1, &[10]);
    feed.subscribed(1, 10);
    assert!(failure(&mut feed).contains("sequence 7 was due, 10 came"));
    assert_eq!((feed.want(CREDIT), feed.queued_bytes), (None, 0));
}

#[test]
fn only_the_first_batch_may_begin_before_what_is_due() {
    for (firsts, second, why) in [
        (&[0][..], 5, "sequence 10 was due, 5 came"),
        (&[4], 24, "sequence 14 was due, 24 came"),
        (&[16], 0, "sequence 5 was due, 16 came"),
        (&[0, 11], 0, "sequence 10 was due, 11 came"),
    ] {
        let mut feed = feed(Position::AtSequence(5));
        send(&mut feed, 1);
        feed.subscribed(1, 5);
        pushed(&mut feed, 1, firsts);
        pushed(&mut feed, 1, &[second]);
        if let [_] = firsts
            && feed.queue.len() == 2
        {
            taken(&mut feed);
        }
        assert!(failure(&mut feed).contains(why), "{firsts:?}");
    }
}

#[test]
fn what_no_broker_does_is_a_failure() {
    let subscribed = || {
        let mut feed = feed(Position::AtSequence(5));
        send(&mut feed, 1);
        feed.subscribed(1, 5);
        feed
    };
    let mut twice = subscribed();
    twice.subscribed(1, 5);
    assert!(failure(&mut twice).contains("answered twice"));
    let mut empty = subscribed();
    pushed(&mut empty, 1, &[]);
    assert!(failure(&mut empty).contains("holds no batch"));
    let mut back = subscribed();
    back.push_ended(1, PushEnd::Trimmed(5));
    assert!(failure(&mut back).contains("it says that 5 is kept and 5 is not"));
}

#[test]
fn every_end_means_one_thing() {
    let error = |code| WireError::new(code, "why");
    let busy = WireError::retry_after(ErrorCode::Busy, 70, "busy");
    for (end, then) in [
        (PushEnd::Superseded, Then::Superseded),
        (PushEnd::Deregistered, Then::Deregistered),
        (PushEnd::GoingAway(30), Then::Wait(30)),
        (PushEnd::Error(busy), Then::Wait(70)),
        (PushEnd::Error(error(ErrorCode::Superseded)), Then::Superseded),
        (PushEnd::Error(error(ErrorCode::ConsumerNotFound)), Then::Deregistered),
        (PushEnd::Error(error(ErrorCode::GoingAway)), Then::Wait(STOPPING_WAIT_MS)),
    ] {
        let mut feed = feed(Position::AtSequence(5));
        send(&mut feed, 1);
        feed.subscribed(1, 5);
        assert_eq!(feed.push_ended(1, end.clone()), then, "{end:?}");
        assert_eq!(send(&mut feed, 2), Want::Subscribe(Position::AtSequence(5), CREDIT), "{end:?}");
    }
    // Nothing is asked for until the program has been told.
    let mut feed = feed(Position::AtSequence(5));
    send(&mut feed, 1);
    assert_eq!(feed.refused(1, error(ErrorCode::Trimmed).with_detail(40, 0)), Then::GoOn);
    assert_eq!((feed.want(CREDIT), feed.is_started()), (None, true));
    assert!(matches!(feed.take(), Some(Item::Trimmed(40))));
    assert_eq!(send(&mut feed, 2), Want::Subscribe(Position::AtSequence(40), CREDIT));
    assert_eq!(feed.place(), Some(Place::Next(40)));
}
