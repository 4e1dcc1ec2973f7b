use super::*;

const SHARD: ShardOf = ShardOf { stream: 1, shard: 0 };

fn put(id: u64, producer: u64, number: u64, records: &[u64]) -> Seen {
    Seen::Sent(Put { id, producer, number, shard: SHARD, records: records.to_vec() })
}

fn acked(put: u64, first_sequence: u64) -> Seen {
    Seen::Answered { put, outcome: Outcome::Acked { first_sequence, arrival_ms: 5 } }
}

fn read(start_sequence: u64, next_sequence: u64, batches: &[(u64, &[u64])]) -> Seen {
    let seen = |&(first_sequence, records): &(u64, &[u64])| BatchSeen {
        first_sequence,
        arrival_ms: 5,
        records: records.to_vec(),
    };
    Seen::Read { shard: SHARD, start_sequence, next_sequence, batches: batches.iter().map(seen).collect() }
}

fn acked_at(put: u64, first_sequence: u64, arrival_ms: u64) -> Seen {
    Seen::Answered { put, outcome: Outcome::Acked { first_sequence, arrival_ms } }
}

fn closed(end_sequence: u64) -> Seen {
    Seen::Closed { shard: SHARD, end_sequence, children: vec![4, 5] }
}

/// A put to a child of the shard.
fn child(id: u64, records: &[u64]) -> Seen {
    let shard = ShardOf { shard: 4, ..SHARD };
    Seen::Sent(Put { id, producer: 7, number: 0, shard, records: records.to_vec() })
}

fn subscribed(next_sequence: u64) -> Seen {
    Seen::Subscribed { subscriber: 9, shard: SHARD, next_sequence }
}

fn pushed(tip_sequence: u64, batches: &[(u64, &[u64])]) -> Seen {
    let Seen::Read { shard, batches, .. } = read(0, 0, batches) else { unreachable!("that is what it makes") };
    Seen::Pushed { subscriber: 9, shard, batches, tip_sequence }
}

const CAUGHT_UP: Seen = Seen::CaughtUp { subscriber: 9, shard: SHARD };

fn said(history: Vec<Seen>) -> Result<(), String> {
    check(&History(history)).map(|_| ())
}

#[test]
fn a_good_history_is_good() {
    let history = vec![
        put(1, 7, 0, &[10, 11]),
        put(2, 7, 1, &[20]),
        acked(1, 0),
        put(2, 7, 1, &[20]),
        acked(2, 2),
        acked(2, 2),
        read(1, 3, &[(0, &[10, 11]), (2, &[20])]),
        read(3, 3, &[]),
        Seen::Tip { shard: SHARD, next_sequence: 3 },
        subscribed(1),
        pushed(3, &[(0, &[10, 11])]),
        pushed(3, &[(2, &[20])]),
        CAUGHT_UP,
        subscribed(2),
        pushed(3, &[(2, &[20])]),
        Seen::Trimmed { shard: SHARD, first_kept: 2, kept_since_ms: Some(6) },
        closed(3),
        child(3, &[30]),
        acked(3, 0),
    ];
    assert_eq!(said(history), Ok(()));
}

/// Each of these is a promise broken; a checker that lets one pass proves nothing.
#[test]
fn every_broken_promise_is_seen() {
    let two = || vec![put(1, 7, 0, &[10, 11]), put(2, 7, 1, &[20]), acked(1, 0)];
    let with = |more: Vec<Seen>| said([two(), more].concat());
    let broken = [
        ("lost", with(vec![Seen::Tip { shard: SHARD, next_sequence: 1 }])),
        ("sequence given twice", with(vec![acked(2, 1)])),
        ("stored twice", with(vec![acked(2, 2), read(4, 5, &[(4, &[20])])])),
        ("acked elsewhere", with(vec![acked(1, 2)])),
        ("read elsewhere", with(vec![read(5, 7, &[(5, &[10, 11])])])),
        ("order", said(vec![put(1, 7, 0, &[10]), put(2, 7, 1, &[20]), acked(1, 1), acked(2, 0)])),
        ("gap", with(vec![acked(2, 3), read(0, 4, &[(0, &[10, 11]), (3, &[20])])])),
        ("begins late", with(vec![read(0, 3, &[(2, &[20])])])),
        ("says another end", with(vec![read(0, 3, &[(0, &[10, 11])])])),
        ("torn batch", with(vec![read(0, 1, &[(0, &[10])])])),
        ("never sent", with(vec![read(2, 3, &[(2, &[99])])])),
        (
            "refused and stored",
            said(vec![
                put(1, 0, 0, &[10]),
                Seen::Answered { put: 1, outcome: Outcome::Refused },
                read(0, 1, &[(0, &[10])]),
            ]),
        ),
        ("refused after acked", with(vec![Seen::Answered { put: 1, outcome: Outcome::Refused }])),
        ("expired early", with(vec![Seen::Trimmed { shard: SHARD, first_kept: 2, kept_since_ms: Some(5) }])),
        ("began late", with(vec![Seen::Began { shard: SHARD, arrival_ms: 5, sequence: 1 }])),
        ("began early", with(vec![Seen::Began { shard: SHARD, arrival_ms: 6, sequence: 0 }])),
        ("pushed to nobody", with(vec![pushed(2, &[(0, &[10, 11])])])),
        ("pushed twice", with(vec![subscribed(0), pushed(2, &[(0, &[10, 11])]), pushed(2, &[(0, &[10, 11])])])),
        ("pushed with a gap", with(vec![acked(2, 2), subscribed(0), pushed(3, &[(2, &[20])])])),
        ("pushed what was had", with(vec![subscribed(2), pushed(3, &[(0, &[10, 11])])])),
        ("pushed beyond the tip", with(vec![subscribed(0), pushed(1, &[(0, &[10, 11])])])),
        ("pushed nothing", with(vec![subscribed(0), pushed(2, &[])])),
        ("pushed another's", with(vec![subscribed(0), pushed(1, &[(0, &[99])])])),
        ("never pushed", with(vec![subscribed(0), CAUGHT_UP])),
        ("never subscribed", with(vec![CAUGHT_UP])),
        (
            "shown and lost",
            with(vec![subscribed(0), pushed(3, &[(0, &[10, 11])]), Seen::Tip { shard: SHARD, next_sequence: 2 }]),
        ),
        ("another record", with(vec![put(1, 7, 0, &[12])])),
        ("before what was acked", said(vec![put(1, 0, 0, &[10]), acked(1, 5), put(2, 0, 1, &[20]), acked(2, 0)])),
        ("closed too early", with(vec![closed(1)])),
        ("closed and put to", with(vec![closed(2), acked(2, 2)])),
        ("closed twice", with(vec![closed(2), closed(3)])),
        ("a child before its parent", said(vec![child(3, &[30]), acked(3, 0), closed(2)])),
        ("a child older than its parent", with(vec![closed(2), child(3, &[30]), acked_at(3, 0, 4)])),
    ];
    for (name, result) in broken {
        assert!(result.is_err(), "{name}");
    }
}
