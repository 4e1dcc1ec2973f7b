//! The bytes are as drawn, and only what can be is believed.

use rheos_protocol::message::{CreateStream, Limit, ShardBounds, StreamFilter, Tag};

use super::super::envelope::CHECKSUM_BYTES;
use super::super::{ShardMetric, plan_stream};
use super::*;

/// Kind, fewest and most shards.
const MODE_BYTES: usize = 9;

fn planned(shards: u32) -> StreamRecord {
    let create = CreateStream { name: "orders".to_owned(), shards, ..CreateStream::default() };
    plan_stream(&create, 1_700_000_000_123, 7, 2, None).expect("it is in range")
}

fn fields(record: &StreamRecord) -> StreamFields {
    let StreamRecord { name, incarnation, created_ms, terms, log_count, shards, resharding, tags, .. } = record.clone();
    let shard_metrics = record.shard_metrics;
    StreamFields { name, incarnation, created_ms, terms, log_count, shards, resharding, tags, shard_metrics }
}

/// Numbers that look random and are the same in every run (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

fn child(shards: &[ShardRecord], logs: u32, range: HashRange, parents: [Option<u32>; 2]) -> ShardRecord {
    let shard = shards.len() as u32;
    ShardRecord {
        shard,
        range,
        state: ShardState::Open,
        parent: parents[0],
        adjacent_parent: parents[1],
        log: shard % logs,
        opened_ms: 1_700_000_000_500,
    }
}

/// Splits or merges at random, as a reshard would.
fn reshard(record: &StreamRecord, numbers: &mut Numbers) -> StreamRecord {
    let mut fields = fields(record);
    let (shards, logs) = (&mut fields.shards, fields.log_count);
    let place = numbers.below(record.open.len());
    let first = record.open[place] as usize;
    let close = |shards: &mut Vec<ShardRecord>, at: usize| {
        shards[at].state = ShardState::Closed { end_sequence: 10 * at as u64, closed_ms: 1_700_000_000_500 };
        (shards[at].shard, shards[at].range)
    };
    match record.open.get(place + 1) {
        Some(second) if numbers.below(3) == 0 => {
            let (one, other) = (close(shards, first), close(shards, *second as usize));
            let range = HashRange { first: one.1.first, last: other.1.last };
            shards.push(child(shards, logs, range, [Some(one.0), Some(other.0)]));
        }
        _ => {
            let (parent, range) = close(shards, first);
            let middle = range.first + (range.last - range.first) / (2 + numbers.below(5) as u128);
            for range in [HashRange { last: middle, ..range }, HashRange { first: middle + 1, ..range }] {
                shards.push(child(shards, logs, range, [Some(parent), None]));
            }
        }
    }
    fields.prove().expect("a reshard keeps the hash space tiled")
}

/// Two shards, the first of them split at a quarter.
fn golden() -> StreamRecord {
    let mut fields = fields(&planned(2));
    fields.shards[0].state = ShardState::Closed { end_sequence: 1_000, closed_ms: 1_700_000_000_500 };
    for range in [HashRange { first: 0, last: (1 << 126) - 1 }, HashRange { first: 1 << 126, last: (1 << 127) - 1 }] {
        fields.shards.push(child(&fields.shards, 2, range, [Some(0), None]));
    }
    fields.resharding = Some(Reshard::Split { shard: 1, at: 3 << 126 });
    (fields.terms.retention_bytes, fields.terms.trimmed_ms) = (1 << 40, 1_700_000_000_700);
    fields.terms.limits.in_bytes = Limit::of(5 << 20);
    fields.terms.limits.push_bytes = Limit::Unlimited;
    let tag = Tag { key: "team".to_owned(), value: "payments".to_owned() };
    fields.tags = fields.tags.change(&[tag], &[]).expect("it may be");
    fields.prove().expect("they tile the hash space")
}

const GOLDEN: &str = "\
    524854310100000007000000000000007b68e5cf8b010000005c260500000000000010000200000004000000010100000000\
    000000000000000000000000000000000000c006006f72646572730000000000000000000000000000000000000000ffffff\
    ffffffffffffffffffffffff7f01e8030000000000000000000000000000000000007b68e5cf8b010000f469e5cf8b010000\
    0100000000000000000000000000000000000080ffffffffffffffffffffffffffffffff0000000000000000000000000000\
    000000010000007b68e5cf8b01000000000000000000000200000000000000000000000000000000000000ffffffffffffff\
    ffffffffffffffff3f000000000000000000010000000000000000000000f469e5cf8b010000000000000000000003000000\
    00000000000000000000000000000040ffffffffffffffffffffffffffffff7f000000000000000000010000000000000001\
    000000f469e5cf8b01000000000000000000000000000000010000bc6ae5cf8b010000000050000000000000000000000000\
    0000000000000000000000000000000000ffffffffffffffff0100000004007465616d08007061796d656e74730000000000\
    00000000b8290f9f976dc106";

/// Of what ended before the mode: the checksum of the same record.
const CHECKSUM_BEFORE_MODES: u64 = u64::from_le_bytes([0xda, 0x61, 0xd6, 0xc9, 0xbd, 0x12, 0x3c, 0xda]);

fn golden_bytes() -> Vec<u8> {
    let digits: Vec<u8> = GOLDEN.bytes().map(|c| (c as char).to_digit(16).expect("it is a hex digit") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn the_first_version_stays_as_it_is() {
    let bytes = golden().encode();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, GOLDEN);
    let tags = 4 + 2 + "team".len() + 2 + "payments".len();
    assert_eq!(bytes.len(), 71 + "orders".len() + 4 * SHARD_BYTES + 56 + tags + MODE_BYTES + CHECKSUM_BYTES);
    assert_eq!(StreamRecord::decode(&golden_bytes()), Ok(golden()));
}

#[test]
fn a_record_from_before_there_were_modes_is_of_a_provisioned_stream() {
    let mut bytes = golden_bytes();
    bytes.truncate(bytes.len() - CHECKSUM_BYTES - MODE_BYTES);
    bytes.extend_from_slice(&CHECKSUM_BEFORE_MODES.to_le_bytes());
    let record = StreamRecord::decode(&bytes).expect("it was whole then");
    assert_eq!((record.terms.mode, record), (StreamMode::Provisioned, golden()));
}

#[test]
fn what_is_monitored_is_kept_and_a_record_without_it_is_of_a_stream_that_is_not() {
    let monitored = |metrics| golden().monitoring(metrics).expect("it was not");
    let some = [ShardMetric::OutgoingBytes, ShardMetric::IteratorAgeMilliseconds].into_iter().collect();
    for metrics in [ShardMetrics::ALL, some] {
        let record = monitored(metrics);
        assert_eq!(record.encode().len(), golden_bytes().len() + 1);
        assert_eq!(StreamRecord::decode(&record.encode()), Ok(record.clone()));
        assert_eq!(record.monitoring(metrics), None, "it is so already");
        assert_eq!(record.monitoring(ShardMetrics::NONE), Some(golden()));
    }
    let mut bytes = monitored(some).encode();
    bytes.truncate(bytes.len() - CHECKSUM_BYTES - 1);
    let unknown = seal(MAGIC, VERSION, 0, |out| {
        out.extend_from_slice(&bytes[8..]);
        out.push(0x80);
    });
    assert!(StreamRecord::decode(&unknown).expect_err("no metric has it").to_string().contains("metric"));
}

#[test]
fn a_stream_of_another_account_has_a_record_like_any() {
    let name = "123456789012/eu-west-1/orders";
    let create = CreateStream { name: name.to_owned(), shards: 2, ..CreateStream::default() };
    let record = plan_stream(&create, 1_700_000_000_123, 7, 2, None).expect("it is in range");
    assert_eq!(StreamRecord::decode(&record.encode()), Ok(record.clone()));
    assert_eq!((record.summary().name, record.name.base()), (name.to_owned(), "orders"));
    let begins = |prefix: &str| StreamFilter { name_prefix: prefix.to_owned(), ..StreamFilter::default() };
    assert!(record.passes(&begins("123456789012/eu-west-1/")) && !record.passes(&begins("orders")));
}

#[test]
fn no_flipped_bit_and_no_missing_byte_goes_unseen() {
    let good = golden_bytes();
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(StreamRecord::decode(&bytes).is_err(), "bit {bit}");
    }
    for length in 0..good.len() {
        assert!(StreamRecord::decode(&good[..length]).is_err(), "{length} bytes");
    }
    assert!(StreamRecord::decode(&[&good[..], &[0]].concat()).is_err());
}

#[test]
fn a_newer_version_is_recognised_whatever_follows() {
    let newer = [&MAGIC[..], &7u32.to_le_bytes(), b"anything"].concat();
    assert_eq!(StreamRecord::decode(&newer), Err(BadRecord::Newer { found: 7, known: 1 }));
    assert_eq!(StreamRecord::decode(b"something else"), Err(BadRecord::NotARecord));
    assert_eq!(StreamRecord::decode(b""), Err(BadRecord::NotARecord));
}

#[test]
fn every_record_reads_back_and_routes_as_a_scan_would() {
    let mut numbers = Numbers(0x5eed);
    for shards in [1, 2, 7, 1_000, 10_000] {
        let mut record = planned(shards);
        for _ in 0..40 {
            assert_eq!(StreamRecord::decode(&record.encode()).as_ref(), Ok(&record));
            let edges = record.open_shards().flat_map(|shard| [shard.range.first, shard.range.last]);
            for hash in edges.step_by(1 + record.open.len() / 16) {
                let scanned: Vec<_> =
                    record.shards.iter().filter(|shard| shard.is_open() && shard.range.contains(hash)).collect();
                assert_eq!(scanned.len(), 1, "one shard takes {hash:#x}");
                assert_eq!(record.open_shard_of(hash), Some(scanned[0]));
            }
            let last = record.shards.len() as u32 - 1;
            assert_eq!(record.shard(last).map(|shard| shard.shard), Some(last));
            assert_eq!(record.shard(last + 1), None);
            assert_eq!(record.describe(|log| log as u16 + 5, StreamLimits::NONE).shards.len(), record.shards.len());
            assert_eq!(record.summary().open_shards as usize, record.open.len());
            if record.open.len() < SHARDS_MAX as usize {
                record = reshard(&record, &mut numbers);
            }
        }
    }
}

#[test]
fn a_description_says_what_the_record_says() {
    let description = golden().describe(|log| 10 + log as u16, StreamLimits::kinesis());
    let own = StreamLimits { in_bytes: Limit::of(5 << 20), push_bytes: Limit::Unlimited, ..StreamLimits::default() };
    assert_eq!((description.settings.retention_bytes, description.settings.limits), (1 << 40, own));
    assert_eq!(description.settings.limits_in_force, own.or(StreamLimits::kinesis()));
    assert_eq!((description.name.as_str(), description.incarnation), ("orders", 7));
    let shards: Vec<_> =
        description.shards.iter().map(|shard| (shard.shard, shard.open, shard.parent, shard.log, shard.lane)).collect();
    assert_eq!(
        shards,
        [(0, false, None, 0, 10), (1, true, None, 1, 11), (2, true, Some(0), 0, 10), (3, true, Some(0), 1, 11)]
    );
    assert_eq!(golden().summary().open_shards, 3);
    assert_eq!(golden().shards_of_log(0).map(|shard| shard.shard).collect::<Vec<_>>(), [0, 2]);
}

#[test]
fn what_cannot_be_is_not_believed() {
    type Break = fn(&mut StreamFields);
    let breaks: &[(&str, Break)] = &[
        ("tile", |fields| fields.shards[3].range.first += 1),
        ("tile", |fields| fields.shards[2].range.last -= 1),
        ("tile", |fields| fields.shards[2].range.last += 1),
        ("tile", |fields| fields.shards[1].range.last -= 1),
        ("tile", |fields| fields.shards[2].range.first = 1),
        ("tile", |fields| fields.shards[0].state = ShardState::Open),
        ("tile", |fields| fields.shards[1].state = ShardState::Closed { end_sequence: 0, closed_ms: 0 }),
        ("tile", |fields| _ = fields.shards.remove(2)),
        ("tile", |fields| fields.shards.clear()),
        ("stretch", |fields| fields.shards[0].range = HashRange { first: 2, last: 1 }),
        ("order", |fields| fields.shards.swap(0, 1)),
        ("order", |fields| fields.shards[3].shard = 2),
        ("number", |fields| fields.shards[3].shard = u32::MAX),
        ("log", |fields| fields.shards[3].log = 2),
        ("log", |fields| fields.log_count = 0),
        ("log", |fields| fields.log_count = LOGS_OF_STREAM_MAX + 1),
        ("descends", |fields| fields.shards[2].parent = Some(2)),
        ("descends", |fields| fields.shards[2].adjacent_parent = Some(0)),
        ("descends", |fields| fields.shards[1].adjacent_parent = Some(0)),
        ("retention", |fields| fields.terms.retention_ms = 0),
        ("bytes", |fields| fields.terms.retention_bytes = 1),
        ("record", |fields| fields.terms.record_bytes_max = 0),
        ("limit", |fields| fields.terms.limits.in_bytes = Limit::of(u64::MAX - 1)),
        ("bounds", |fields| {
            fields.terms.mode = StreamMode::OnDemand(ShardBounds { min: 5, max: 4 });
        }),
        ("reshard", |fields| fields.resharding = Some(Reshard::Split { shard: 0, at: 5 })),
        ("reshard", |fields| fields.resharding = Some(Reshard::Merge { shard: 0, adjacent: 1 })),
        ("reshard", |fields| fields.resharding = Some(Reshard::Scale { target: 0 })),
    ];
    for (place, (word, break_it)) in breaks.iter().enumerate() {
        let mut broken = fields(&golden());
        break_it(&mut broken);
        let error = broken.prove().expect_err(word);
        assert!(error.to_string().contains(word), "break {place}: {error}");
    }
}

#[test]
#[should_panic(expected = "stream orders was changed")]
fn a_record_that_somebody_has_changed_is_never_written() {
    let mut record = golden();
    record.shards[1].range.first += 1;
    record.encode();
}
