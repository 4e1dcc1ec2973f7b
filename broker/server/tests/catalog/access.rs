//! Registered consumers and access keys in the catalog.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use rheos_broker::identity::AccessKey;
use rheos_protocol::limits::{CONSUMERS_OF_STREAM_MAX, KEYS_MAX};
use rheos_protocol::message::{Access, CreateKey, KeyPolicy};
use rheos_protocol::name::ConsumerName;

use super::*;

fn consumer(text: &str) -> ConsumerName {
    ConsumerName::new(text).expect("it is a name")
}

fn create_key(name: &str) -> CreateKey {
    let streams = vec![("orders".to_owned(), Access::ReadWrite)];
    CreateKey { name: name.to_owned(), policy: KeyPolicy { everywhere: Access::None, streams }, account: None }
}

fn new_key() -> AccessKey {
    AccessKey::generate().expect("there are random numbers")
}

#[test]
fn consumers_are_kept_and_go_with_their_stream() {
    let (_scratch, directory) = new_directory();
    let (catalog, _) = open(&directory);
    let streams = ["orders", "audit"].map(|name| run(catalog.create_stream(create(name, 1), NOW_MS, 1)).expect("room"));
    let register = |catalog: &Catalog, stream: &str, name_: &str| {
        run(catalog.register_consumer(&name(stream), name_, 0, NOW_MS + 1))
    };
    let billing = register(&catalog, "orders", "billing").expect("there is room");
    assert_eq!((billing.incarnation, billing.created_ms), (streams[0].incarnation, NOW_MS + 1));
    let mut others = Vec::new();
    for name in ["search", "zzz"] {
        others.push(register(&catalog, "audit", name).expect("there is room"));
    }
    // Of another stream it may have the same name.
    others.insert(0, register(&catalog, "audit", "billing").expect("there is room"));
    for (refused, code) in [
        (register(&catalog, "orders", "billing"), ErrorCode::ConsumerExists),
        (register(&catalog, "nowhere", "billing"), ErrorCode::StreamNotFound),
        (register(&catalog, "orders", "a b"), ErrorCode::BadRequest),
        (run(catalog.deregister_consumer(&name("orders"), &consumer("search"))), ErrorCode::ConsumerNotFound),
        (run(catalog.deregister_consumer(&name("nowhere"), &consumer("search"))), ErrorCode::StreamNotFound),
    ] {
        assert_eq!(refused.expect_err("it is refused").code, code);
    }
    catalog.close();

    let (catalog, at_start) = open(&directory);
    assert_eq!(at_start.consumers, [&[Arc::clone(&billing)], &others[..]].concat());
    assert_eq!(run(catalog.deregister_consumer(&name("audit"), &consumer("search"))), Ok(Arc::clone(&others[1])));
    run(catalog.delete_stream(&name("orders"))).expect("it is there");
    run(catalog.create_stream(create("orders", 1), NOW_MS, 1)).expect("there is room");
    // The consumers of its former life are gone.
    let gone = run(catalog.deregister_consumer(&name("orders"), &consumer("billing"))).expect_err("it is gone");
    assert_eq!(gone.code, ErrorCode::ConsumerNotFound);
    catalog.close();
    let (catalog, at_start) = open(&directory);
    assert_eq!(at_start.consumers, [Arc::clone(&others[0]), Arc::clone(&others[2])]);
    catalog.close();
}

#[test]
fn a_stream_has_so_many_consumers_and_a_broker_so_many_keys() {
    let (_scratch, directory) = new_directory();
    let (catalog, _) = open(&directory);
    run(catalog.create_stream(create("orders", 1), NOW_MS, 1)).expect("there is room");
    run(catalog.create_stream(create("audit", 1), NOW_MS, 1)).expect("there is room");
    run(async {
        let mut changes = JoinSet::new();
        for number in 0..CONSUMERS_OF_STREAM_MAX {
            let catalog = catalog.clone();
            changes.spawn(async move {
                catalog
                    .register_consumer(&name("orders"), &format!("c{number}"), 0, NOW_MS)
                    .await
                    .expect("there is room");
            });
        }
        for number in 0..KEYS_MAX {
            let catalog = catalog.clone();
            changes.spawn(async move {
                catalog.create_key(create_key(&format!("k{number}")), new_key(), NOW_MS).await.expect("there is room");
            });
        }
        changes.join_all().await;
    });
    let refused = run(catalog.register_consumer(&name("orders"), "one-more", 0, NOW_MS)).expect_err("it is full");
    assert_eq!(refused.code, ErrorCode::LimitExceeded);
    run(catalog.register_consumer(&name("audit"), "first", 0, NOW_MS)).expect("another stream has room");
    let one_more = || run(catalog.create_key(create_key("one-more"), new_key(), NOW_MS));
    assert_eq!(one_more().expect_err("it is full").code, ErrorCode::LimitExceeded);
    run(catalog.revoke_key("k7")).expect("it is there");
    one_more().expect("there is room again");
    run(catalog.deregister_consumer(&name("orders"), &consumer("c7"))).expect("it is there");
    run(catalog.register_consumer(&name("orders"), "one-more", 0, NOW_MS)).expect("there is room again");
    catalog.close();
}

#[test]
fn keys_are_kept_until_they_are_revoked() {
    let (_scratch, directory) = new_directory();
    let (catalog, _) = open(&directory);
    let drawn = new_key();
    let first = run(catalog.create_key(create_key("ingest"), drawn.clone(), NOW_MS)).expect("there is room");
    assert_eq!((&first.id, &first.secret, first.created_ms), (&drawn.id, &drawn.secret, NOW_MS));
    let second = run(catalog.create_key(create_key("other"), new_key(), NOW_MS)).expect("there is room");
    let mut admin = create_key("third");
    admin.policy.streams[0].1 = Access::Admin;
    for (refused, code) in [
        (run(catalog.create_key(create_key("ingest"), new_key(), NOW_MS)), ErrorCode::KeyExists),
        // It would be unclear which of the two is meant.
        (run(catalog.create_key(create_key(&first.id), new_key(), NOW_MS)), ErrorCode::KeyExists),
        (run(catalog.create_key(create_key("a b"), new_key(), NOW_MS)), ErrorCode::BadRequest),
        (run(catalog.create_key(admin, new_key(), NOW_MS)), ErrorCode::BadRequest),
        (run(catalog.revoke_key("nobody")), ErrorCode::KeyNotFound),
        (run(catalog.revoke_key("")), ErrorCode::KeyNotFound),
    ] {
        let error = refused.expect_err("it is refused");
        assert_eq!(error.code, code, "{error}");
        assert!(!error.message.contains(&drawn.secret));
    }
    catalog.close();

    let (catalog, at_start) = open(&directory);
    assert_eq!(at_start.keys.len(), 2);
    assert!(at_start.keys.contains(&first) && at_start.keys.contains(&second));
    catalog.close();
    let path = directory.layout().catalog_path();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("it is ours");
    let refused = refusal(&directory);
    assert!(matches!(&refused, StartError::KeysOpenToOthers { path: named, .. } if *named == path), "{refused}");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("it is ours");
    let (catalog, _) = open(&directory);
    assert_eq!(run(catalog.revoke_key("other")), Ok(second));
    assert_eq!(run(catalog.revoke_key(&first.id)), Ok(Arc::clone(&first)));
    assert_eq!(run(catalog.revoke_key(&first.id)).expect_err("it is gone").code, ErrorCode::KeyNotFound);
    catalog.close();
    let (catalog, at_start) = open(&directory);
    assert_eq!(at_start.keys, []);
    catalog.close();
}

#[test]
fn a_catalog_from_before_there_were_all_of_these_tables_opens() {
    let (_scratch, directory) = new_directory();
    let (catalog, _) = open(&directory);
    let stream = run(catalog.create_stream(create("orders", 1), NOW_MS, 1)).expect("there is room");
    catalog.close();
    let database = Database::open(directory.layout().catalog_path()).expect("nobody else has it");
    let transaction = database.begin_write().expect("it is writable");
    for table in transaction.list_tables().expect("it reads").collect::<Vec<_>>() {
        if ["consumers", "keys", "scaling", "policies", "commitments"].contains(&redb::TableHandle::name(&table)) {
            transaction.delete_table(table).expect("it is there");
        }
    }
    assert_eq!(transaction.list_tables().expect("it reads").count(), 5);
    transaction.commit().expect("there is room");
    drop(database);

    let (catalog, at_start) = open(&directory);
    assert_eq!((at_start.streams, at_start.consumers, at_start.keys), (vec![Arc::clone(&stream)], vec![], vec![]));
    run(catalog.register_consumer(&name("orders"), "billing", 0, NOW_MS)).expect("there is room");
    run(catalog.create_key(create_key("ingest"), new_key(), NOW_MS)).expect("there is room");
    assert_eq!((run(catalog.policy(&stream, None)), run(catalog.commitment(None))), (Ok(None), Ok(None)));
    catalog.close();
    let (catalog, at_start) = open(&directory);
    assert_eq!((at_start.consumers.len(), at_start.keys.len()), (1, 1));
    catalog.close();
}

#[test]
fn a_consumer_or_key_that_is_not_what_was_written_is_not_believed() {
    const CONSUMERS: TableDefinition<'_, (u64, &str), &[u8]> = TableDefinition::new("consumers");
    const KEYS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("keys");
    type Break = fn(&redb::WriteTransaction, u64);
    let breaks: &[(Break, &str)] = &[
        (|t, id| put(t, CONSUMERS, (id, "billing"), |bytes| bytes[20] ^= 1), "checksum"),
        (|t, id| move_to(t, CONSUMERS, (id, "billing"), (id, "other")), "another's place"),
        (|t, id| move_to(t, CONSUMERS, (id, "billing"), (id + 1, "billing")), "another's place"),
        (|t, _| put(t, KEYS, first_key(t).as_str(), |bytes| bytes[12] ^= 1), "checksum"),
        (|t, _| move_to(t, KEYS, first_key(t).as_str(), "RKOTHER"), "another's place"),
    ];
    for (break_it, word) in breaks {
        let (_scratch, directory) = new_directory();
        let (catalog, _) = open(&directory);
        let stream = run(catalog.create_stream(create("orders", 1), NOW_MS, 1)).expect("there is room");
        run(catalog.register_consumer(&name("orders"), "billing", 0, NOW_MS)).expect("there is room");
        let key = run(catalog.create_key(create_key("ingest"), new_key(), NOW_MS)).expect("there is room");
        catalog.close();
        let database = Database::open(directory.layout().catalog_path()).expect("nobody else has it");
        let transaction = database.begin_write().expect("it is writable");
        break_it(&transaction, stream.incarnation);
        transaction.commit().expect("there is room");
        drop(database);
        let error = refusal(&directory).to_string();
        assert!(error.contains(word) && !error.contains(&key.secret), "{error}");
    }

    fn first_key(transaction: &redb::WriteTransaction) -> String {
        let keys = transaction.open_table(KEYS).expect("it is there");
        let (id, _) = redb::ReadableTable::first(&keys).expect("it reads").expect("there is one");
        id.value().to_owned()
    }

    fn put<'k, K: redb::Key + 'static>(
        transaction: &redb::WriteTransaction,
        table: TableDefinition<'_, K, &'static [u8]>,
        key: impl std::borrow::Borrow<K::SelfType<'k>> + Copy,
        change: impl FnOnce(&mut Vec<u8>),
    ) {
        let mut table = transaction.open_table(table).expect("it is there");
        let mut bytes = redb::ReadableTable::get(&table, key).expect("it reads").expect("it is there").value().to_vec();
        change(&mut bytes);
        table.insert(key, bytes.as_slice()).expect("there is room");
    }

    fn move_to<'k, K: redb::Key + 'static>(
        transaction: &redb::WriteTransaction,
        table: TableDefinition<'_, K, &'static [u8]>,
        from: impl std::borrow::Borrow<K::SelfType<'k>>,
        to: impl std::borrow::Borrow<K::SelfType<'k>>,
    ) {
        let mut table = transaction.open_table(table).expect("it is there");
        let bytes = table.remove(from).expect("it reads").expect("it is there").value().to_vec();
        table.insert(to, bytes.as_slice()).expect("there is room");
    }
}
