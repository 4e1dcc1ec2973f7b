//! What the log of an on-demand stream tells its scaler.

use rheos_core::catalog::StreamTerms;
use rheos_core::counts::Amount;
use rheos_core::scaler::ShardLoad;
use rheos_protocol::batch::ProducerStamp;
use rheos_protocol::error::ErrorCode;
use rheos_protocol::hash::hash_key;
use rheos_protocol::message::StreamMode;
use rheos_tests::rig::Rig;

const NOBODY: ProducerStamp = ProducerStamp { id: 0, epoch: 0, number: 0 };

fn set(rig: &mut Rig, mode: StreamMode) {
    rig.set_terms(StreamTerms { mode, ..rig.settings.terms });
}

fn load(loads: &[ShardLoad], shard: u32) -> &ShardLoad {
    loads.iter().find(|load| load.shard == shard).expect("it is open")
}

#[test]
fn records_are_counted_by_shard_and_key_while_the_stream_is_on_demand() {
    let mut rig = Rig::new(2);
    rig.put(0, &["before"]);
    assert_eq!(rig.log_mut().take_loads(0), [], "nobody scales a provisioned stream");
    set(&mut rig, StreamMode::on_demand());
    rig.put(0, &["one", "two"]);
    let loads = rig.log_mut().take_loads(0);
    // The key is "key": 3 bytes of each record beside its data.
    assert_eq!(load(&loads, 0).incoming, Amount { records: 3, bytes: 6 + 3 + 3 + 3 * 3 });
    let keys = load(&loads, 0).keys.as_ref().expect("something came");
    assert_eq!(keys.leader(), Some((hash_key("key"), 100)));
    assert_eq!(keys.weight(), 2 * 1_049, "small records weigh what a thousandth of a shard does");
    assert_eq!((load(&loads, 1).incoming, &load(&loads, 1).keys), (Amount::default(), &None));

    let again = rig.log_mut().take_loads(0);
    assert_eq!((load(&again, 0).incoming.records, &again[0].keys), (3, &None), "keys are told once, counts for ever");
    rig.put(0, &["three"]);
    let light = rig.log_mut().take_loads(2_000);
    assert_eq!((load(&light, 0).incoming.records, &light[0].keys), (4, &None), "too light to be looked at");
    rig.put(0, &["four"]);
    set(&mut rig, StreamMode::Provisioned);
    assert_eq!(rig.log_mut().take_loads(0), []);
    set(&mut rig, StreamMode::on_demand());
    assert_eq!(load(&rig.log_mut().take_loads(0), 0).keys, None, "what was counted then is forgotten");
}

#[test]
fn closed_shards_are_not_told_and_their_children_begin_at_nothing() {
    let mut rig = Rig::new(1);
    set(&mut rig, StreamMode::on_demand());
    rig.put(0, &["one", "two"]);
    rig.split(0, [1, 2]);
    let loads = rig.log_mut().take_loads(0);
    assert_eq!(loads.iter().map(|load| (load.shard, load.incoming.records)).collect::<Vec<_>>(), [(1, 0), (2, 0)]);
    rig.put(2, &["three"]);
    let loads = rig.log_mut().take_loads(0);
    assert_eq!((load(&loads, 1).incoming.records, load(&loads, 2).incoming.records), (0, 1));
}

#[test]
fn a_put_that_is_refused_for_what_it_holds_is_no_load() {
    let mut rig = Rig::new(1);
    rig.set_terms(StreamTerms { mode: StreamMode::on_demand(), record_bytes_max: 1 << 20, ..rig.settings.terms });
    let large = "x".repeat((1 << 20) + 1);
    let token = rig.send(0, NOBODY, &["small", &large]);
    let refused = rig.answer(token).expect("it is answered at once").expect_err("it is too large");
    assert_eq!((refused.code, refused.detail), (ErrorCode::RecordTooLarge, 1));
    let loads = rig.log_mut().take_loads(0);
    assert_eq!(load(&loads, 0).incoming, Amount::default());
}
