//! Terms and tags in the catalog: they outlive a restart and a kill, go with their stream, and a refusal changes
//! nothing.

use rheos_protocol::error::ErrorCode;
use rheos_protocol::message::{Limit, LimitsUpdate, StreamLimits, Tag, UpdateStream};
use rheos_protocol::name::ConsumerName;

use super::{NOW_MS, create, name, new_directory, open, run};

const DAY_MS: u64 = 86_400_000;

fn tag(key: &str, value: &str) -> Tag {
    Tag { key: key.to_owned(), value: value.to_owned() }
}

fn retention(retention_ms: u64) -> UpdateStream {
    UpdateStream { retention_ms: Some(retention_ms), ..UpdateStream::of("orders") }
}

#[test]
fn terms_are_kept_and_what_has_expired_stays_so() {
    let (_scratch, directory) = new_directory();
    let (catalog, _) = open(&directory);
    let update = |update, horizon_ms| run(catalog.update_stream(&name("orders"), update, horizon_ms));
    assert_eq!(update(retention(DAY_MS), 0).expect_err("there is none").code, ErrorCode::StreamNotFound);
    let made = run(catalog.create_stream(create("orders", 2), NOW_MS, 2)).expect("there is room");
    assert_eq!(update(retention(DAY_MS), 5), Ok(made.clone()), "that is what it has");
    let raised = update(retention(7 * DAY_MS), 5).expect("it is in range");
    assert_eq!((raised.terms.retention_ms, raised.terms.trimmed_ms), (7 * DAY_MS, 5));
    let limits = LimitsUpdate { in_bytes: Some(Limit::of(1_000)), ..LimitsUpdate::default() };
    let limited = update(UpdateStream { limits, ..UpdateStream::of("orders") }, 9).expect("it is in range");
    for bad in
        [retention(1), retention(u64::MAX), UpdateStream { retention_bytes: Some(1), ..UpdateStream::of("orders") }]
    {
        assert_eq!(update(bad, 9).expect_err("it is out of range").code, ErrorCode::BadRequest);
    }
    catalog.close();

    let (catalog, at_start) = open(&directory);
    assert_eq!(at_start.streams, [std::sync::Arc::clone(&limited)]);
    assert_eq!(limited.terms.limits, StreamLimits { in_bytes: Limit::of(1_000), ..StreamLimits::default() });
    assert_eq!((limited.terms.trimmed_ms, limited.incarnation), (5, made.incarnation));
    run(catalog.delete_stream(&name("orders"))).expect("it is there");
    let again = run(catalog.create_stream(create("orders", 2), NOW_MS + 5_000, 2)).expect("there is room");
    assert_eq!(again.terms, made.terms, "another life begins anew");
    catalog.close();
}

#[test]
fn tags_of_streams_and_consumers_are_kept_apart() {
    let (_scratch, directory) = new_directory();
    let (catalog, _) = open(&directory);
    let (stream, board) = (name("orders"), ConsumerName::new("board").expect("it is a name"));
    run(catalog.create_stream(create("orders", 1), NOW_MS, 1)).expect("there is room");
    run(catalog.register_consumer(&stream, "board", 0, NOW_MS)).expect("there is room");
    let of_stream = |set, remove: &[&str]| {
        let remove = remove.iter().map(ToString::to_string).collect();
        run(catalog.tag_stream(&stream, set, remove)).map(|stream| stream.tags.list())
    };
    let of_board = |set| run(catalog.tag_consumer(&stream, &board, set, Vec::new())).map(|it| it.tags.list());
    assert_eq!(of_stream(vec![tag("team", "a"), tag("env", "x")], &[]), Ok(vec![tag("env", "x"), tag("team", "a")]));
    assert_eq!(of_board(vec![tag("team", "b")]), Ok(vec![tag("team", "b")]));
    assert_eq!(of_stream(vec![tag("team", "c")], &["env", "none"]), Ok(vec![tag("team", "c")]));
    let many: Vec<Tag> = (0..50).map(|at| tag(&format!("k{at}"), "")).collect();
    assert_eq!(of_stream(many, &[]).expect_err("one too many").code, ErrorCode::LimitExceeded);
    assert_eq!(of_board(vec![tag("aws:x", "")]).expect_err("it is reserved").code, ErrorCode::BadRequest);
    let nobody = ConsumerName::new("nobody").expect("it is a name");
    let refusal = run(catalog.tag_consumer(&stream, &nobody, Vec::new(), Vec::new())).expect_err("there is none");
    assert_eq!(refusal.code, ErrorCode::ConsumerNotFound);
    catalog.close();

    let (catalog, at_start) = open(&directory);
    assert_eq!(at_start.streams[0].tags.list(), [tag("team", "c")]);
    assert_eq!(at_start.consumers[0].tags.list(), [tag("team", "b")]);
    run(catalog.delete_stream(&stream)).expect("it is there");
    catalog.close();
    let (catalog, at_start) = open(&directory);
    assert!(at_start.streams.is_empty() && at_start.consumers.is_empty());
    catalog.close();
}
