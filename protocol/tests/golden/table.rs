//! Every message of version 1 with a value, each of whose fields has bytes of its own.
//!
//! A row is never changed: what it encodes to is what older clients and brokers send.

use bytes::{Bytes, BytesMut};
use rheos_protocol::batch::{BatchBuilder, BatchHeader, ProducerStamp, PutBatch, Records};
use rheos_protocol::error::{ErrorCode, Retry, WireError};
use rheos_protocol::frame::{kind, write_frame};
use rheos_protocol::hash::HashRange;
use rheos_protocol::message::{
    Access, Batches, ChangeTags, ConsumerDescription, ConsumerOf, ConsumerTerms, CreateKey, CreateStream, Hello,
    KeyDescription, KeyPolicy, Limit, LimitsUpdate, MergeShards, MetricsPiece, NewKey, Position, Push, PushEnd, Read,
    Reply, Request, ScalingOutcome, ScalingReason, ScalingStep, ShardBounds, ShardDescription, SplitShard,
    StreamDescription, StreamFilter, StreamLimits, StreamMode, StreamSettings, StreamSummary, Subscribe, Tag, Tagged,
    UpdateShardCount, UpdateStream, Welcome,
};
use rheos_protocol::record::Record;

/// A message with the name of its file.
pub(crate) struct Golden {
    pub(crate) name: String,
    /// Of the frame.
    pub(crate) id: u64,
    pub(crate) message: Message,
}

/// What a file holds.
pub(crate) enum Message {
    /// A frame with a request.
    Request(Request),
    /// A frame with a reply.
    Reply(Reply),
    /// A frame with a batch that is put.
    Put(BatchValue),
    /// A batch without a frame, as it is stored.
    Batch(BatchValue),
}

/// What a batch says.
pub(crate) struct BatchValue {
    pub(crate) records: Vec<Record>,
    pub(crate) incarnation: u64,
    pub(crate) shard: u32,
    pub(crate) producer: ProducerStamp,
    /// First sequence and arrival, once it is stamped.
    pub(crate) place: Option<(u64, u64)>,
}

impl Golden {
    /// The bytes of the file.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match &self.message {
            Message::Request(request) => request.write(self.id, &mut out),
            Message::Reply(reply) => reply.write(self.id, &mut out),
            Message::Put(value) => {
                write_frame(&mut out, kind::PUT, self.id, |out| out.extend_from_slice(&value.encode()));
            }
            Message::Batch(value) => out.extend_from_slice(&value.encode()),
        }
        out.freeze()
    }
}

impl BatchValue {
    fn encode(&self) -> Bytes {
        let mut builder = BatchBuilder::default();
        for record in &self.records {
            builder.push(&record.view(), 1 << 20).expect("the table's records are within limits");
        }
        let bytes = builder.finish(self.incarnation, self.shard, self.producer);
        match self.place {
            None => bytes.freeze(),
            Some((sequence, arrival)) => {
                PutBatch::parse(bytes).expect("it was just built").stamp(sequence, arrival).bytes().clone()
            }
        }
    }

    /// Asserts that a batch says the same.
    pub(crate) fn assert_is(&self, header: &BatchHeader, records: Records<'_>) {
        let place = self.place.unwrap_or((0, 0));
        assert_eq!((header.first_sequence, header.arrival_ms), place);
        assert_eq!((header.incarnation, header.shard, header.producer), (self.incarnation, self.shard, self.producer));
        assert_eq!(header.record_count as usize, self.records.len());
        assert!(records.eq(self.records.iter().map(Record::view)), "the records differ");
    }
}

/// Every row.
pub(crate) fn table() -> Vec<Golden> {
    [requests(), replies(), push_ends(), errors(), batches()].into_iter().flatten().collect()
}

fn requests() -> Vec<Golden> {
    let name = || "clicks-1.eu_W".to_owned();
    let mut rows = vec![
        ("hello", Request::Hello(hello())),
        ("ping", Request::Ping),
        (
            "create-stream",
            Request::CreateStream(CreateStream {
                name: name(),
                shards: 0x2701,
                retention_ms: 0x0102_0304,
                record_bytes_max: 0x00a0_0000,
                mode: StreamMode::Provisioned,
            }),
        ),
        (
            "create-stream-on-demand",
            Request::CreateStream(CreateStream {
                name: name(),
                shards: 4,
                mode: on_demand(),
                ..CreateStream::default()
            }),
        ),
        ("describe-stream", Request::DescribeStream(name())),
        ("list-streams", Request::ListStreams { after: name(), limit: 1_000, filter: StreamFilter::default() }),
        ("list-streams-first-page", list_first(StreamFilter::default())),
        ("list-streams-filtered", list_first(filter())),
        ("delete-stream", Request::DeleteStream(name())),
        ("register-consumer", Request::RegisterConsumer(consumer_of().into())),
        ("describe-consumer", Request::DescribeConsumer(consumer_of())),
        ("update-consumer", Request::UpdateConsumer(ConsumerTerms::from(consumer_of()).reserving(0x0102_0304_0506))),
        ("list-consumers", Request::ListConsumers { stream: name(), after: "billing".to_owned(), limit: 0x0102_0304 }),
        ("deregister-consumer", Request::DeregisterConsumer(consumer_of())),
        ("create-key", Request::CreateKey(CreateKey { name: "app-1".to_owned(), policy: policy(), account: None })),
        (
            "create-key-of-account",
            Request::CreateKey(CreateKey { name: "app-1".to_owned(), policy: policy(), account: account() }),
        ),
        ("list-keys", Request::ListKeys { after: "RKABC".to_owned(), limit: 0x0102_0304 }),
        ("revoke-key", Request::RevokeKey("app-1".to_owned())),
        ("read-metrics", Request::ReadMetrics),
        ("update-stream", Request::UpdateStream(update())),
        ("update-stream-nothing", Request::UpdateStream(UpdateStream { stream: name(), ..UpdateStream::default() })),
        ("update-stream-mode", Request::UpdateStream(UpdateStream { mode: Some(on_demand()), ..update() })),
        ("list-scaling-steps", Request::ListScalingSteps(name())),
        ("change-tags", Request::ChangeTags(change_tags())),
        ("list-tags", Request::ListTags(Tagged { stream: name(), consumer: None })),
        ("list-tags-of-consumer", Request::ListTags(change_tags().of)),
        ("subscribe", Request::Subscribe(subscribe())),
        ("credit", Request::Credit(0x0102_0304_0506_0708)),
        ("unsubscribe", Request::Unsubscribe),
        ("split-shard", Request::SplitShard(SplitShard { stream: name(), shard: 0x0102_0304, at: Some(1 << 127 | 7) })),
        ("split-shard-in-the-middle", Request::SplitShard(SplitShard { stream: name(), shard: 7, at: None })),
        (
            "merge-shards",
            Request::MergeShards(MergeShards { stream: name(), shard: 0x0102_0304, adjacent: 0x0506_0708 }),
        ),
        ("update-shard-count", Request::UpdateShardCount(UpdateShardCount { stream: name(), target: 0x2701 })),
    ];
    for (name, position) in [
        ("read-trim-horizon", Position::TrimHorizon),
        ("read-latest", Position::Latest),
        ("read-at-sequence", Position::AtSequence(0x1112_1314_1516_1718)),
        ("read-after-sequence", Position::AfterSequence(0x2122_2324_2526_2728)),
        ("read-at-timestamp", Position::AtTimestamp(1_700_000_000_123)),
    ] {
        let read = Read { incarnation: 0x3132_3334_3536_3738, shard: 0x4142_4344, position, bytes_max: 8 << 20 };
        rows.push((name, Request::Read(read)));
    }
    rows.into_iter().map(|(name, request)| row(&format!("request-{name}"), Message::Request(request))).collect()
}

fn replies() -> Vec<Golden> {
    let stored: Vec<u8> = [stamped().encode(), stamped_next().encode()].concat();
    let batches = Batches {
        start_sequence: 0x0102_0304_0506_0709,
        next_sequence: 0x0102_0304_0506_070c,
        tip_sequence: 0x0102_0304_0506_07ff,
        behind_ms: 0x1234,
        children: None,
        batches: stored.into(),
    };
    let none = Batches { batches: Bytes::new(), behind_ms: 0, ..batches.clone() };
    let ended = Batches { children: Some(vec![0x0102_0304, 0x0506_0708]), ..none.clone() };
    let resharded = StreamDescription { shards: resharded(), ..description() };
    [
        ("welcome", Reply::Welcome(welcome())),
        ("pong", Reply::Pong),
        ("ack", Reply::Ack { first_sequence: 0x0102_0304_0506_0708, arrival_ms: 1_700_000_000_123 }),
        ("batches", Reply::Batches(batches)),
        ("batches-none", Reply::Batches(none)),
        ("batches-ended", Reply::Batches(ended)),
        ("stream", Reply::Stream(description())),
        ("stream-resharded", Reply::Stream(resharded)),
        ("stream-limited", Reply::Stream(StreamDescription { settings: settings(), ..description() })),
        ("stream-on-demand", Reply::Stream(StreamDescription { settings: scaled(), ..description() })),
        ("scaling-steps", Reply::ScalingSteps(vec![scaling_steps()[1]])),
        ("scaling-steps-all-reasons", Reply::ScalingSteps(scaling_steps())),
        ("scaling-steps-none", Reply::ScalingSteps(Vec::new())),
        ("tags", Reply::Tags(tags())),
        ("tags-none", Reply::Tags(Vec::new())),
        ("streams", Reply::Streams(vec![summary("a", 1), summary("clicks", 2)], true)),
        ("streams-on-demand", Reply::Streams(vec![StreamSummary { mode: on_demand(), ..summary("a", 4) }], false)),
        ("streams-none", Reply::Streams(Vec::new(), false)),
        ("done", Reply::Done),
        ("subscribed", Reply::Subscribed(0x0102_0304_0506_0708)),
        ("consumer", Reply::Consumer(consumer("billing", 0x0102_0304_0506_0708))),
        ("consumers", Reply::Consumers(vec![consumer("a", 0), consumer("billing", 0)], true)),
        ("push", Reply::Push(push(stamped().encode()))),
        ("push-two", Reply::Push(push([stamped().encode(), stamped_next().encode()].concat().into()))),
        ("metrics", Reply::Metrics(MetricsPiece { more: true, text: Bytes::from_static(b"rheos_ready 1\n") })),
        ("metrics-last", Reply::Metrics(MetricsPiece { more: false, text: Bytes::from_static(b"rheos_streams 2\n") })),
        ("key", Reply::Key(NewKey { id: "RKABCDEFGHIJKLMNOPQR".to_owned(), secret: "s-_".repeat(13) })),
        ("keys", Reply::Keys(vec![key("RKA", KeyPolicy::everywhere(Access::Admin)), key("RKB", policy())], true)),
        (
            "keys-of-accounts",
            Reply::Keys(
                vec![KeyDescription { account: account(), ..key("RKA", policy()) }, key("RKB", policy())],
                false,
            ),
        ),
    ]
    .into_iter()
    .map(|(name, reply)| row(&format!("reply-{name}"), Message::Reply(reply)))
    .collect()
}

fn push_ends() -> Vec<Golden> {
    let lost = WireError::new(ErrorCode::Damaged, "records 7 to 9 are damaged").with_detail(7, 9);
    [
        ("shard-end", PushEnd::ShardEnd(vec![0x0102_0304, 5])),
        ("shard-end-childless", PushEnd::ShardEnd(Vec::new())),
        ("superseded", PushEnd::Superseded),
        ("deregistered", PushEnd::Deregistered),
        ("trimmed", PushEnd::Trimmed(0x0102_0304_0506_0708)),
        ("going-away", PushEnd::GoingAway(2_500)),
        ("error", PushEnd::Error(lost)),
    ]
    .into_iter()
    .map(|(name, end)| row(&format!("reply-push-end-{name}"), Message::Reply(Reply::PushEnd(end))))
    .collect()
}

/// One for each code, so that a code without golden bytes shows; and the ways to try again.
fn errors() -> Vec<Golden> {
    let coded = ErrorCode::ALL.iter().map(|code| {
        let name = format!("reply-error-{:03}-{code:?}", code.number());
        row(&name, Message::Reply(Reply::Error(WireError::new(*code, "what to do").with_detail(1, 2))))
    });
    let retried = [
        ("retry-never", WireError::new(ErrorCode::BadKey, "")),
        ("retry-after", WireError::retry_after(ErrorCode::Busy, 0x0102_0304, "später ✓")),
        ("retry-from", WireError::behind(0x0102_0304_0506_0708)),
    ];
    let retried = retried.map(|(name, error)| row(&format!("reply-error-{name}"), Message::Reply(Reply::Error(error))));
    assert!(ErrorCode::ALL.iter().all(|code| WireError::new(*code, "").retry == Retry::Never));
    coded.chain(retried).collect()
}

fn batches() -> Vec<Golden> {
    let explicit = Record { explicit_hash_key: Some(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10), ..record("k", "v") };
    let records = |records: Vec<Record>| BatchValue { records, ..put() };
    vec![
        row("request-put", Message::Put(put())),
        row("request-put-unnumbered", Message::Put(BatchValue { producer: ProducerStamp::default(), ..put() })),
        row("batch-put", Message::Batch(put())),
        row("batch-stamped", Message::Batch(stamped())),
        row("batch-explicit-hash-key", Message::Batch(records(vec![explicit]))),
        row("batch-empty-data", Message::Batch(records(vec![record("empty", "")]))),
        row("batch-multi-byte-key", Message::Batch(records(vec![record("schlüssel-鍵-🔑", "value")]))),
        row("batch-longest-key", Message::Batch(records(vec![record(&"🔑".repeat(256), "value")]))),
    ]
}

fn row(name: &str, message: Message) -> Golden {
    let pushed = matches!(message, Message::Reply(Reply::Push(..) | Reply::PushEnd(_)));
    let id = if pushed { 0x8182_8384_8586_8788 } else { 0x0000_0000_0000_0102 };
    Golden { name: name.to_owned(), id, message }
}

fn record(key: &str, data: &str) -> Record {
    Record::new(key, data.to_owned())
}

fn put() -> BatchValue {
    BatchValue {
        records: vec![record("AA", "flight 1141"), record("UA", "flight 8")],
        incarnation: 0x3132_3334_3536_3738,
        shard: 0x4142_4344,
        producer: ProducerStamp { id: 0x5152_5354_5556_5758, epoch: 0x6162_6364, number: 0x7172_7374_7576_7778 },
        place: None,
    }
}

fn stamped() -> BatchValue {
    BatchValue { place: Some((0x0102_0304_0506_0708, 1_700_000_000_123)), ..put() }
}

fn stamped_next() -> BatchValue {
    BatchValue { records: vec![record("BA", "")], place: Some((0x0102_0304_0506_070a, 1_700_000_000_124)), ..put() }
}

fn hello() -> Hello {
    Hello {
        version_min: 1,
        version_max: 0x0203,
        features: 0x0405_0607_0809_0a0b,
        key_id: "RKABCDEFGHIJKLMNOPQR".to_owned(),
        proof: std::array::from_fn(|at| 0xc0 + at as u8),
        client: "rheos-client 0.1.0".to_owned(),
    }
}

fn welcome() -> Welcome {
    Welcome {
        version: 1,
        features: 0x0405_0607_0809_0a0b,
        lanes: 0x0102,
        directory_id: 0x1112_1314_1516_1718,
        broker: "rheos 0.1.0".to_owned(),
        lane: 0x0204,
    }
}

fn consumer_of() -> ConsumerOf {
    ConsumerOf { stream: "clicks".to_owned(), consumer: "billing".to_owned() }
}

fn consumer(name: &str, epoch: u64) -> ConsumerDescription {
    let (incarnation, created_ms) = (0x3132_3334_3536_3738, 1_700_000_000_123);
    ConsumerDescription { name: name.to_owned(), incarnation, created_ms, epoch, reserved_bytes: 0x0102_0304_0506 }
}

fn push(batches: Bytes) -> Push {
    Push { behind_ms: 0x5678, tip_sequence: 0x0102_0304_0506_07ff, batches }
}

fn policy() -> KeyPolicy {
    let streams = vec![("clicks".to_owned(), Access::ReadWrite), ("orders".to_owned(), Access::None)];
    KeyPolicy { everywhere: Access::ReadOnly, streams }
}

fn key(id: &str, policy: KeyPolicy) -> KeyDescription {
    KeyDescription { id: id.to_owned(), name: "app-1".to_owned(), created_ms: 1_700_000_000_123, policy, account: None }
}

fn account() -> Option<String> {
    Some("123456789012".to_owned())
}

fn subscribe() -> Subscribe {
    Subscribe {
        incarnation: 0x3132_3334_3536_3738,
        shard: 0x4142_4344,
        consumer: "billing".to_owned(),
        epoch: 0x0102_0304_0506_0708,
        position: Position::AfterSequence(0x2122_2324_2526_2728),
        credit: 0x0000_0000_0080_0000,
    }
}

fn description() -> StreamDescription {
    let shards = HashRange::even(2).zip(0..).map(|(range, shard)| ShardDescription {
        shard,
        range,
        open: true,
        parent: None,
        adjacent_parent: None,
        log: shard + 0x0a00,
        lane: shard as u16 + 0x0100,
    });
    StreamDescription {
        name: "clicks".to_owned(),
        incarnation: 0x3132_3334_3536_3738,
        created_ms: 1_700_000_000_123,
        retention_ms: 86_400_000,
        record_bytes_max: 1 << 20,
        shards: shards.collect(),
        settings: StreamSettings::default(),
    }
}

fn settings() -> StreamSettings {
    let limits =
        StreamLimits { in_records: Limit::Unlimited, push_bytes: Limit::of(0x0102), ..StreamLimits::default() };
    let limits_in_force = limits.or(StreamLimits::kinesis());
    StreamSettings { retention_bytes: 0x1112_1314_1516, limits, limits_in_force, mode: StreamMode::Provisioned }
}

fn on_demand() -> StreamMode {
    StreamMode::OnDemand(ShardBounds { min: 0x0102, max: 0x2701 })
}

fn scaled() -> StreamSettings {
    StreamSettings { mode: on_demand(), ..StreamSettings::default() }
}

/// Every outcome, and every kind of reason.
fn scaling_steps() -> Vec<ScalingStep> {
    let ended_ms = 1_700_000_000_456;
    let outcomes = [
        ScalingOutcome::UnderWay,
        ScalingOutcome::Done { ended_ms },
        ScalingOutcome::Undone { ended_ms },
        ScalingOutcome::NoStep,
    ];
    let reasons = (1..=8).map(|kind| {
        let one = ScalingReason::from_numbers((kind, 0x0102_0304, 0x0506_0708, 1 << 127 | 7, 0x1112_1314, 55));
        ScalingReason::from_numbers(one.to_numbers())
    });
    let steps = reasons.zip(outcomes.into_iter().cycle()).map(|(reason, outcome)| ScalingStep {
        begun_ms: 1_700_000_000_123,
        outcome,
        from: 4,
        to: 8,
        reason,
    });
    steps.collect()
}

fn update() -> UpdateStream {
    UpdateStream {
        stream: "clicks".to_owned(),
        retention_ms: Some(86_400_001),
        retention_bytes: Some(0),
        record_bytes_max: Some(2 << 20),
        limits: LimitsUpdate {
            in_bytes: Some(Limit::of(0x0203_0405)),
            in_records: Some(Limit::Inherit),
            out_bytes: None,
            out_reads: Some(Limit::Unlimited),
            push_bytes: None,
        },
        mode: None,
    }
}

fn tags() -> Vec<Tag> {
    [("env", ""), ("team", "zählung")].map(|(key, value)| Tag { key: key.to_owned(), value: value.to_owned() }).into()
}

fn change_tags() -> ChangeTags {
    let of = Tagged { stream: "clicks".to_owned(), consumer: Some("billing".to_owned()) };
    ChangeTags { of, set: tags(), remove: vec!["old".to_owned(), "older".to_owned()] }
}

fn filter() -> StreamFilter {
    let tags = vec![("team".to_owned(), Some("payments".to_owned())), ("env".to_owned(), None)];
    StreamFilter { name_prefix: "click".to_owned(), tags }
}

fn list_first(filter: StreamFilter) -> Request {
    Request::ListStreams { after: String::new(), limit: 1, filter }
}

/// Two shards, closed and merged into a third.
fn resharded() -> Vec<ShardDescription> {
    let mut shards = description().shards;
    shards.iter_mut().for_each(|shard| shard.open = false);
    let parents = (Some(0), Some(1));
    shards.push(ShardDescription {
        shard: 2,
        range: HashRange::FULL,
        open: true,
        parent: parents.0,
        adjacent_parent: parents.1,
        log: 0x0a00,
        lane: 0x0100,
    });
    shards
}

fn summary(name: &str, open_shards: u32) -> StreamSummary {
    StreamSummary {
        name: name.to_owned(),
        incarnation: 0x3132_3334_3536_3738,
        created_ms: 1_700_000_000_123,
        open_shards,
        retention_ms: 86_400_000,
        mode: StreamMode::Provisioned,
    }
}
