//! Every request, asked by every kind of key: a table that a new request does not compile without.

use std::collections::BTreeSet;

use rheos_core::catalog::{StreamRecord, plan_stream};
use rheos_protocol::frame::kind;
use rheos_protocol::message::{
    Access, ChangeTags, ConsumerOf, ConsumerTerms, CreateKey, CreateStream, Hello, KeyPolicy, MergeShards, Position,
    Read, SplitShard, StreamFilter, Subscribe, Tagged, UpdateShardCount, UpdateStream,
};

use rheos_protocol::name::AccountId;

use super::settings::list_streams;
use super::*;

/// The stream that is asked for, and its life.
const STREAM: (&str, u64) = ("orders", 7);
/// Another one.
const OTHER: (&str, u64) = ("audit", 8);
/// A life that no stream has.
const UNKNOWN: u64 = 99;

/// Kinds of keys, in the order of the columns.
fn principals() -> [Authenticated<Principal>; 7] {
    let on = |stream: &str, access| KeyPolicy { everywhere: Access::None, streams: vec![(stream.to_owned(), access)] };
    [
        ("nobody", KeyPolicy::default()),
        ("reader", KeyPolicy::everywhere(Access::ReadOnly)),
        ("writer", KeyPolicy::everywhere(Access::ReadWrite)),
        ("admin", KeyPolicy::everywhere(Access::Admin)),
        ("reader-of-it", on(STREAM.0, Access::ReadOnly)),
        ("writer-of-it", on(STREAM.0, Access::ReadWrite)),
        ("writer-of-another", on(OTHER.0, Access::ReadWrite)),
    ]
    .map(|(name, policy)| {
        Authenticated::assumed(Principal { key_id: format!("RK{name}"), name: name.to_owned(), policy, account: None })
    })
}

/// What each kind of key is told: yes, Denied, Unsupported.
fn row(request: &Request) -> &'static str {
    match request {
        //                                   nobody | everywhere: ro rw admin | on it: ro rw | on another: rw
        Request::Hello(_) => "UUUUUUU",
        Request::Ping => "yyyyyyy",
        Request::Read(_) => "DyyyyyD",
        Request::CreateStream(_) => "DDDyDDD",
        Request::DescribeStream(_) => "DyyyyyD",
        Request::ListStreams { .. } => "yyyyyyy",
        Request::DeleteStream(_) => "DDDyDDD",
        Request::RegisterConsumer(of) if of.reserved_bytes > 0 => "DDDyDDD",
        Request::RegisterConsumer(_) => "DDyyDyD",
        Request::DescribeConsumer(_) => "DyyyyyD",
        Request::ListConsumers { .. } => "DyyyyyD",
        Request::DeregisterConsumer(_) => "DDyyDyD",
        Request::Subscribe(_) => "DyyyyyD",
        Request::Credit(_) => "UUUUUUU",
        Request::Unsubscribe => "UUUUUUU",
        Request::CreateKey(_) => "DDDyDDD",
        Request::ListKeys { .. } => "DDDyDDD",
        Request::RevokeKey(_) => "DDDyDDD",
        Request::SplitShard(_) => "DDDyDDD",
        Request::MergeShards(_) => "DDDyDDD",
        Request::UpdateShardCount(_) => "DDDyDDD",
        Request::ReadMetrics => "DDDyDDD",
        Request::UpdateStream(_) => "DDDyDDD",
        Request::ChangeTags(change) if change.of.consumer.is_some() => "DDyyDyD",
        Request::ChangeTags(_) => "DDDyDDD",
        Request::ListTags(_) => "DyyyyyD",
        Request::ListScalingSteps(_) => "DyyyyyD",
        Request::UpdateConsumer(_) => "DDDyDDD",
    }
}

/// What the Kinesis face asks for and no request does.
fn row_of_face(action: Action) -> Option<&'static str> {
    match action {
        Action::MonitorShards | Action::ChangeResourcePolicy | Action::UpdateAccount => Some("DDDyDDD"),
        Action::ReadResourcePolicy => Some("DyyyyyD"),
        Action::DescribeAccount => Some("DyyyDDD"),
        Action::Ping
        | Action::CreateStream
        | Action::DescribeStream
        | Action::ListStreams
        | Action::DeleteStream
        | Action::PutRecords
        | Action::GetRecords
        | Action::RegisterConsumer
        | Action::DescribeConsumer
        | Action::ListConsumers
        | Action::DeregisterConsumer
        | Action::Subscribe
        | Action::CreateKey
        | Action::ListKeys
        | Action::RevokeKey
        | Action::ReshardStream
        | Action::ReadMetrics
        | Action::UpdateStream
        | Action::TagStream
        | Action::TagConsumer
        | Action::ListTags
        | Action::Reserve => None,
    }
}

const OF_FACE: [Action; 5] = [
    Action::MonitorShards,
    Action::ReadResourcePolicy,
    Action::ChangeResourcePolicy,
    Action::DescribeAccount,
    Action::UpdateAccount,
];

/// A put is no request: its payload is a batch.
const PUT_ROW: &str = "DDyyDyD";

fn every_request() -> Vec<Request> {
    let of = ConsumerOf { stream: STREAM.0.to_owned(), consumer: "c".to_owned() };
    let hello = Hello {
        version_min: 1,
        version_max: 1,
        features: 0,
        key_id: "k".to_owned(),
        proof: [0; 32],
        client: "t".to_owned(),
    };
    vec![
        Request::Hello(hello),
        Request::Ping,
        read_of(STREAM.1),
        Request::CreateStream(create(STREAM.0)),
        Request::DescribeStream(STREAM.0.to_owned()),
        Request::ListStreams { after: String::new(), limit: 1, filter: StreamFilter::default() },
        Request::DeleteStream(STREAM.0.to_owned()),
        Request::RegisterConsumer(of.clone().into()),
        Request::RegisterConsumer(ConsumerTerms::from(of.clone()).reserving(1)),
        Request::UpdateConsumer(of.clone().into()),
        Request::DescribeConsumer(of.clone()),
        Request::ListConsumers { stream: STREAM.0.to_owned(), after: String::new(), limit: 1 },
        Request::DeregisterConsumer(of),
        subscribe_to(STREAM.1),
        Request::Credit(1),
        Request::Unsubscribe,
        Request::CreateKey(CreateKey { name: "k".to_owned(), ..CreateKey::default() }),
        Request::ListKeys { after: String::new(), limit: 1 },
        Request::RevokeKey("k".to_owned()),
        Request::SplitShard(SplitShard { stream: STREAM.0.to_owned(), shard: 0, at: None }),
        Request::MergeShards(MergeShards { stream: STREAM.0.to_owned(), shard: 0, adjacent: 1 }),
        Request::UpdateShardCount(UpdateShardCount { stream: STREAM.0.to_owned(), target: 2 }),
        Request::ReadMetrics,
        Request::UpdateStream(UpdateStream { stream: STREAM.0.to_owned(), ..UpdateStream::default() }),
        Request::ChangeTags(change_tags(None)),
        Request::ChangeTags(change_tags(Some("c".to_owned()))),
        Request::ListScalingSteps(STREAM.0.to_owned()),
        Request::ListTags(change_tags(None).of),
        Request::ListTags(change_tags(Some("c".to_owned())).of),
    ]
}

fn change_tags(consumer: Option<String>) -> ChangeTags {
    ChangeTags { of: Tagged { stream: STREAM.0.to_owned(), consumer }, set: Vec::new(), remove: Vec::new() }
}

fn create(name: &str) -> CreateStream {
    CreateStream { name: name.to_owned(), shards: 1, ..CreateStream::default() }
}

fn read_of(incarnation: u64) -> Request {
    Request::Read(Read { incarnation, shard: 0, position: Position::Latest, bytes_max: 1 })
}

fn subscribe_to(incarnation: u64) -> Request {
    let (consumer, position) = ("c".to_owned(), Position::Latest);
    Request::Subscribe(Subscribe { incarnation, shard: 0, consumer, epoch: 1, position, credit: 1 })
}

fn streams() -> Streams {
    let record = |(name, incarnation): (&str, u64)| {
        Arc::new(plan_stream(&create(name), 1_700_000_000_000, incarnation, 1, None).expect("it is in order"))
    };
    Streams::new(&[STREAM, OTHER].map(record) as &[Arc<StreamRecord>])
}

fn put_to(streams: &Streams, principal: &Authenticated<Principal>, incarnation: u64) -> Result<(), WireError> {
    authorise(principal, Action::PutRecords, &Resource::incarnation(streams, incarnation))
}

fn letter(outcome: &Result<(), WireError>) -> char {
    match outcome.as_ref().map_err(|error| error.code) {
        Ok(()) => 'y',
        Err(ErrorCode::Denied) => 'D',
        Err(ErrorCode::Unsupported) => 'U',
        Err(ErrorCode::StreamNotFound) => 'N',
        Err(other) => panic!("nobody is told {other:?}"),
    }
}

fn told(mut ask: impl FnMut(&Authenticated<Principal>) -> Result<(), WireError>) -> String {
    principals().iter().map(|principal| letter(&ask(principal))).collect()
}

#[test]
fn every_request_of_every_kind_of_key_is_answered_as_the_table_says() {
    let streams = streams();
    for request in every_request() {
        assert_eq!(told(|who| allow(&streams, who, &request)), row(&request), "{request:?}");
    }
    assert_eq!(told(|who| put_to(&streams, who, STREAM.1)), PUT_ROW);
}

#[test]
fn what_the_face_asks_for_is_answered_as_the_table_says() {
    for action in OF_FACE {
        let resource = match action {
            Action::DescribeAccount | Action::UpdateAccount => Resource::account_of(&account("000000000000")),
            _ => Resource::stream(STREAM.0).expect("it is a name"),
        };
        assert_eq!(Some(told(|who| authorise(who, action, &resource)).as_str()), row_of_face(action), "{action:?}");
    }
}

#[test]
fn no_kind_of_request_is_missing_from_the_table() {
    let asked: BTreeSet<u16> = every_request().iter().map(Request::kind).chain([kind::PUT]).collect();
    let requests: BTreeSet<u16> = kind::ALL.iter().map(|(_, kind)| *kind).filter(|kind| kind % 2 == 0).collect();
    assert_eq!(asked, requests);
}

#[test]
fn nobody_finds_out_which_streams_there_are() {
    let streams = streams();
    for request in [read_of(UNKNOWN), subscribe_to(UNKNOWN)] {
        assert_eq!(told(|who| allow(&streams, who, &request)), "DNNNDDD", "{request:?}");
    }
    assert_eq!(told(|who| put_to(&streams, who, UNKNOWN)), "DNNNDDD");
    // To who may not see it, a life that there is reads like one that there is not.
    let [nobody, .., writer_of_another] = principals();
    for who in [nobody, writer_of_another] {
        let hidden = allow(&streams, &who, &read_of(STREAM.1)).expect_err("it may not").message;
        let none = allow(&streams, &who, &read_of(UNKNOWN)).expect_err("there is none").message;
        assert_eq!(hidden.replace("incarnation 7", "incarnation 63"), none);
        assert!(!hidden.contains(STREAM.0), "{hidden}");
    }
}

#[test]
fn a_refusal_says_who_may_not_do_what_and_which_grant_is_missing() {
    let (streams, [nobody, reader, writer, _, reader_of_it, ..]) = (streams(), principals());
    let message = |outcome: Result<(), WireError>| outcome.expect_err("it is denied").message;
    assert_eq!(
        message(put_to(&streams, &reader_of_it, STREAM.1)),
        "access key reader-of-it (RKreader-of-it) may not put records into stream orders: it needs a grant of read-write \
         for that stream and has read-only"
    );
    assert_eq!(
        message(allow(&streams, &nobody, &Request::DescribeStream("orders".to_owned()))),
        "access key nobody (RKnobody) may not describe stream orders: it needs a grant of read-only for that stream and \
         has none"
    );
    assert_eq!(
        message(allow(&streams, &writer, &Request::DeleteStream("orders".to_owned()))),
        "access key writer (RKwriter) may not delete stream orders: it needs a grant of admin for every stream and has \
         read-write"
    );
    assert_eq!(
        message(allow(&streams, &reader, &Request::RevokeKey("k".to_owned()))),
        "access key reader (RKreader) may not revoke access keys: it needs a grant of admin for every stream and has \
         read-only"
    );
}

#[test]
fn a_listing_holds_what_the_key_may_see() {
    let streams = streams();
    let seen = principals().map(|who| {
        let (page, more) = list_streams(&streams, who.principal(), &StreamFilter::default(), "", 10);
        assert!(!more);
        page.into_iter().map(|stream| stream.name).collect::<Vec<_>>().join(" ")
    });
    assert_eq!(seen, ["", "audit orders", "audit orders", "audit orders", "orders", "orders", "audit"]);
    // Of several grants of a key, in pages.
    let grant = |stream: &str| (stream.to_owned(), Access::ReadOnly);
    let policy = KeyPolicy { everywhere: Access::None, streams: vec![grant("orders"), grant("gone"), grant("audit")] };
    let principal = Principal { key_id: "RKfew".to_owned(), name: "few".to_owned(), policy, account: None };
    let page = |after: &str| {
        let (page, more) = list_streams(&streams, &principal, &StreamFilter::default(), after, 1);
        (page.into_iter().map(|stream| stream.name).collect::<String>(), more)
    };
    assert_eq!(page(""), ("audit".to_owned(), true));
    assert_eq!(page("audit"), ("orders".to_owned(), false));
}

#[test]
fn a_key_of_another_account_reaches_the_streams_of_that_account_alone() {
    let (own, other) = ("123456789012/eu-west-1/orders", "210987654321/eu-west-1/orders");
    let made = |(name, incarnation): (&str, u64)| {
        Arc::new(plan_stream(&create(name), 1_700_000_000_000, incarnation, 1, None).expect("it is in order"))
    };
    let streams = Streams::new(&[STREAM, (own, 20), (other, 21)].map(made) as &[Arc<StreamRecord>]);
    let who = of_account("123456789012", Access::Admin);
    for (request, told) in [
        (Request::DescribeStream(own.to_owned()), 'y'),
        (Request::CreateStream(create("123456789012/us-east-1/new")), 'y'),
        (read_of(20), 'y'),
        (Request::DescribeStream(other.to_owned()), 'D'),
        (Request::DescribeStream(STREAM.0.to_owned()), 'D'),
        (Request::CreateStream(create("new")), 'D'),
        (read_of(21), 'D'),
        (read_of(STREAM.1), 'D'),
        (read_of(UNKNOWN), 'D'),
        (Request::ListKeys { after: String::new(), limit: 1 }, 'D'),
        (Request::ReadMetrics, 'D'),
        (Request::Ping, 'y'),
    ] {
        assert_eq!(letter(&allow(&streams, &who, &request)), told, "{request:?}");
    }
    let denied = allow(&streams, &who, &Request::DescribeStream(other.to_owned())).expect_err("it is another's");
    assert!(
        denied.message.ends_with("it reaches nothing but the streams of account 123456789012"),
        "{}",
        denied.message
    );
    let listed = |prefix: &str| {
        let filter = StreamFilter { name_prefix: prefix.to_owned(), ..StreamFilter::default() };
        let (page, _) = list_streams(&streams, who.principal(), &filter, "", 10);
        page.into_iter().map(|stream| stream.name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(["", "1234", "123456789012/eu", "2", "orders"].map(listed), [own, own, own, "", ""]);
}

#[test]
fn a_key_of_another_account_administers_that_account_alone() {
    for (access, of, told) in [
        (Access::Admin, "123456789012", "yy"),
        (Access::ReadOnly, "123456789012", "yD"),
        (Access::None, "123456789012", "DD"),
        (Access::Admin, "000000000000", "DD"),
        (Access::Admin, "210987654321", "DD"),
    ] {
        let (who, of) = (of_account("123456789012", access), Resource::account_of(&account(of)));
        let asked = [Action::DescribeAccount, Action::UpdateAccount].map(|action| authorise(&who, action, &of));
        assert_eq!(asked.iter().map(letter).collect::<String>(), told, "{access:?} {of:?}");
    }
    let reader = of_account("123456789012", Access::ReadOnly);
    let denied = authorise(&reader, Action::UpdateAccount, &Resource::account_of(&account("123456789012")));
    assert_eq!(
        denied.expect_err("it only reads").message,
        "access key a (RKa) may not change the settings of account 123456789012: it needs a grant of admin for every \
         stream and has read-only"
    );
}

fn account(id: &str) -> AccountId {
    AccountId::new(id).expect("it has 12 digits")
}

/// Somebody with a key of this account, and so much access to all of its streams.
fn of_account(id: &str, access: Access) -> Authenticated<Principal> {
    let (policy, account) = (KeyPolicy::everywhere(access), Some(account(id)));
    Authenticated::assumed(Principal { key_id: "RKa".to_owned(), name: "a".to_owned(), policy, account })
}

#[test]
fn no_name_is_no_resource() {
    let [.., writer_of_another] = principals();
    let bad = allow(&streams(), &writer_of_another, &Request::DescribeStream("a b".to_owned()));
    assert_eq!(bad.expect_err("it is no name").code, ErrorCode::BadRequest);
}
