//! What the Kinesis face keeps: it outlives a restart, goes with what it belongs to, and a refusal changes nothing.

use rheos_broker::identity::AccessKey;
use rheos_core::catalog::{CommitmentStatus, ResourcePolicy, ShardMetric, ShardMetrics};
use rheos_protocol::message::{CreateKey, KeyPolicy};
use rheos_protocol::name::{AccountId, ConsumerName, Region};

use super::*;

const THEIRS: &str = "123456789012/eu-west-1/orders";

fn policy(text: &str) -> ResourcePolicy {
    ResourcePolicy::new(text).expect("it is in range")
}

fn board() -> ConsumerName {
    ConsumerName::new("board").expect("it is a name")
}

#[test]
fn streams_of_one_name_in_two_accounts_are_two() {
    let (_scratch, directory) = new_directory();
    let (catalog, _) = open(&directory);
    let own = run(catalog.create_stream(create("orders", 1), NOW_MS, 1)).expect("there is room");
    let theirs = run(catalog.create_stream(create(THEIRS, 1), NOW_MS, 1)).expect("it is another");
    assert_eq!((own.name.base(), theirs.name.base()), ("orders", "orders"));
    let again = run(catalog.create_stream(create(THEIRS, 1), NOW_MS, 1)).expect_err("it is there");
    assert!(again.code == ErrorCode::StreamExists && again.message.contains(THEIRS), "{again}");
    let bad = run(catalog.create_stream(create("123/eu-west-1/orders", 1), NOW_MS, 1)).expect_err("it is no name");
    assert!(bad.code == ErrorCode::BadRequest && bad.message.contains("ACCOUNT/REGION/NAME"), "{bad}");
    let deleted = run(catalog.delete_stream(&name("orders")));
    assert_eq!(deleted.map(|stream| stream.incarnation), Ok(own.incarnation));
    let account = AccountId::new("123456789012").ok();
    let wanted = account.as_ref().map(ToString::to_string);
    let key = CreateKey { name: "theirs".to_owned(), policy: KeyPolicy::default(), account: wanted };
    run(catalog.create_key(key, AccessKey::generate().expect("there are random numbers"), NOW_MS)).expect("room");
    catalog.close();
    let (catalog, at_start) = open(&directory);
    assert_eq!((at_start.streams, &at_start.keys[0].account), (vec![theirs], &account));
    catalog.close();
}

#[test]
fn what_is_monitored_is_kept_with_its_stream() {
    let (_scratch, directory) = new_directory();
    let (catalog, _) = open(&directory);
    let monitor = |enable, disable| run(catalog.monitor_shards(&name("orders"), enable, disable));
    let none = ShardMetrics::NONE;
    assert_eq!(monitor(ShardMetrics::ALL, none).expect_err("there is none").code, ErrorCode::StreamNotFound);
    let made = run(catalog.create_stream(create("orders", 2), NOW_MS, 2)).expect("there is room");
    assert_eq!(monitor(none, ShardMetrics::ALL), Ok(Arc::clone(&made)), "it is so already");
    monitor(ShardMetrics::ALL, none).expect("it is there");
    let bytes = [ShardMetric::IncomingBytes, ShardMetric::OutgoingBytes].into_iter().collect();
    let changed = monitor(none, bytes).expect("it is there");
    assert_eq!(changed.shard_metrics, ShardMetrics::ALL.without(bytes));
    catalog.close();

    let (catalog, at_start) = open(&directory);
    assert_eq!(at_start.streams, [Arc::clone(&changed)]);
    // Other changes of the stream leave it alone.
    let tag = Tag { key: "team".to_owned(), value: String::new() };
    let tagged = run(catalog.tag_stream(&name("orders"), vec![tag], Vec::new())).expect("it is there");
    assert_eq!(tagged.shard_metrics, changed.shard_metrics);
    run(catalog.delete_stream(&name("orders"))).expect("it is there");
    let again = run(catalog.create_stream(create("orders", 2), NOW_MS + 5_000, 2)).expect("there is room");
    assert_eq!(again.shard_metrics, none, "another life begins anew");
    catalog.close();
}

#[test]
fn policies_go_with_their_stream_and_their_consumer() {
    let (_scratch, directory) = new_directory();
    let (catalog, _) = open(&directory);
    let orders = run(catalog.create_stream(create("orders", 1), NOW_MS, 1)).expect("there is room");
    let audit = run(catalog.create_stream(create("audit", 1), NOW_MS, 1)).expect("there is room");
    let nobody = run(catalog.put_policy(&orders, Some(&board()), policy("{}"))).expect_err("there is none");
    assert_eq!(nobody.code, ErrorCode::ConsumerNotFound);
    run(catalog.register_consumer(&orders.name, "board", 0, NOW_MS)).expect("there is room");
    assert_eq!(run(catalog.policy(&orders, None)), Ok(None));
    for (stream, consumer, text) in [
        (&orders, None, "{}"),
        (&orders, None, "{\"a\": 1}"),
        (&orders, Some(board()), "{\"b\": 2}"),
        (&audit, None, "1"),
    ] {
        assert_eq!(run(catalog.put_policy(stream, consumer.as_ref(), policy(text))), Ok(()));
    }
    catalog.close();

    let (catalog, _) = open(&directory);
    assert_eq!(run(catalog.policy(&orders, None)), Ok(Some(policy("{\"a\": 1}"))), "the later takes the place");
    assert_eq!(run(catalog.policy(&orders, Some(&board()))), Ok(Some(policy("{\"b\": 2}"))));
    run(catalog.deregister_consumer(&orders.name, &board())).expect("it is there");
    run(catalog.register_consumer(&orders.name, "board", 0, NOW_MS)).expect("there is room");
    assert_eq!(run(catalog.policy(&orders, Some(&board()))), Ok(None), "another consumer of the name has none");
    run(catalog.put_policy(&orders, Some(&board()), policy("{}"))).expect("it is there");
    run(catalog.delete_stream(&orders.name)).expect("it is there");
    let again = run(catalog.create_stream(create("orders", 1), NOW_MS, 1)).expect("there is room");
    assert_eq!(run(catalog.policy(&again, None)), Ok(None), "another life has none");
    let gone = run(catalog.put_policy(&orders, None, policy("{}"))).expect_err("that life is gone");
    assert_eq!(gone.code, ErrorCode::StreamNotFound);
    assert_eq!(run(catalog.delete_policy(&audit, None)), Ok(Some(policy("1"))));
    assert_eq!(run(catalog.delete_policy(&audit, None)), Ok(None));
    catalog.close();
    let (catalog, _) = open(&directory);
    assert_eq!(run(catalog.policy(&audit, None)), Ok(None));
    catalog.close();
}

#[test]
fn a_policy_or_commitment_that_is_not_what_was_written_is_not_believed() {
    const POLICIES: TableDefinition<'_, (u64, &str), &[u8]> = TableDefinition::new("policies");
    const COMMITMENTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("commitments");
    type Break = fn(&redb::WriteTransaction, u64, &[u8]);
    let breaks: &[(Break, &str)] = &[
        (|t, id, bytes| put(t, POLICIES, (id, ""), &bytes[1..]), "no such record"),
        (|t, id, bytes| put(t, POLICIES, (id, ""), &bytes[..bytes.len() - 1]), "checksum"),
        (|t, id, bytes| put(t, POLICIES, (id + 7, ""), bytes), "of nothing"),
        (|t, id, bytes| put(t, POLICIES, (id, "nobody"), bytes), "of nothing"),
        (|t, _, bytes| put(t, COMMITMENTS, "", bytes), "no such record"),
    ];
    for (break_it, word) in breaks {
        let (_scratch, directory) = new_directory();
        let (catalog, _) = open(&directory);
        let stream = run(catalog.create_stream(create("orders", 1), NOW_MS, 1)).expect("there is room");
        run(catalog.put_policy(&stream, None, policy("{}"))).expect("there is room");
        run(catalog.commit_throughput(None, true, NOW_MS)).expect("there is room");
        catalog.close();
        let database = Database::open(directory.layout().catalog_path()).expect("nobody else has it");
        let transaction = database.begin_write().expect("it is writable");
        break_it(&transaction, stream.incarnation, &policy("{}").encode());
        transaction.commit().expect("there is room");
        drop(database);
        let error = Catalog::open(&directory).expect_err(word).to_string();
        assert!(error.contains(word), "{error}");
    }

    fn put<K: redb::Key + 'static>(
        transaction: &redb::WriteTransaction,
        table: TableDefinition<'_, K, &'static [u8]>,
        place: K::SelfType<'_>,
        bytes: &[u8],
    ) {
        let mut table = transaction.open_table(table).expect("it is there");
        table.insert(place, bytes).expect("there is room");
    }
}

#[test]
fn each_account_has_a_commitment_of_its_own() {
    let (_scratch, directory) = new_directory();
    let (catalog, _) = open(&directory);
    let account = AccountId::new("123456789012").expect("it is one");
    let (ireland, local) = ["eu-west-1", "local"].map(|text| Region::new(text).expect("it is one")).into();
    let theirs = Some((&account, &ireland));
    assert_eq!(run(catalog.commit_throughput(theirs, false, NOW_MS)), Ok(None), "there was none to end");
    let made = run(catalog.commit_throughput(theirs, true, NOW_MS)).expect("there is room").expect("it was made");
    assert_eq!((made.started_ms, made.status(NOW_MS)), (NOW_MS, CommitmentStatus::Enabled));
    let ended = run(catalog.commit_throughput(theirs, false, NOW_MS + 1)).expect("there is room").expect("it is there");
    assert_eq!(ended.status(NOW_MS + 1), CommitmentStatus::EnabledUntilEarliestEnd);
    let own = run(catalog.commit_throughput(None, true, NOW_MS + 2)).expect("there is room");
    catalog.close();

    let (catalog, _) = open(&directory);
    assert_eq!((run(catalog.commitment(theirs)), run(catalog.commitment(None))), (Ok(Some(ended)), Ok(own)));
    assert_eq!(run(catalog.commitment(Some((&account, &local)))), Ok(None));
    catalog.close();
}
