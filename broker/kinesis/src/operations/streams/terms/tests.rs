use rheos_core::catalog::StreamRecord;
use rheos_protocol::message::CreateStream;

use super::*;
use crate::operations::status::StreamStatus;
use crate::operations::testing::{input_of, json, on_demand, record, record_of, refusal_of, text_of, viewed};
use crate::shapes::structures::STREAM_MODE_DETAILS;
use crate::value::Value;

const NOT_ACTIVE: &str =
    "ResourceInUseException: Stream orders under account 000000000000 not ACTIVE, instead in state UPDATING";

type Change = fn(&Structure, &StreamView<'_>) -> Result<UpdateStream, Error>;

fn retention(operation: &str, hours: i64) -> Result<UpdateStream, Error> {
    let change: Change = if operation.starts_with('I') { increase_retention } else { decrease_retention };
    let kept = record_of(CreateStream { shards: 1, retention_ms: 48 * HOUR_MS, ..CreateStream::default() });
    let input = input_of(operation, [("RetentionPeriodHours", hours.into())]);
    viewed(&kept, StreamStatus::Active, |view| change(&input, view))
}

#[test]
fn retention_goes_one_way_each() {
    let (up, down) = ("IncreaseStreamRetentionPeriod", "DecreaseStreamRetentionPeriod");
    for (operation, hours) in [(up, 48), (up, 49), (up, 8_760), (down, 48), (down, 47), (down, 24)] {
        let changed = retention(operation, hours).expect("it may be");
        let expected = hours as u64 * HOUR_MS;
        assert_eq!((changed.stream.as_str(), changed.retention_ms), ("orders", Some(expected)), "{operation}");
    }
    let too_short = |hours| {
        format!(
            "Minimum allowed retention period is 24 hours. Requested retention period ({hours} hours) is too short."
        )
    };
    let too_long = |hours| {
        format!(
            "Maximum allowed retention period is 8760 hours. Requested retention period ({hours} hours) is too long."
        )
    };
    for operation in [up, down] {
        for hours in [23, 0, -1, i64::from(i32::MIN)] {
            assert_eq!(text_of(retention(operation, hours)), too_short(hours));
        }
        for hours in [8_761, i64::from(i32::MAX)] {
            assert_eq!(text_of(retention(operation, hours)), too_long(hours));
        }
    }
    assert_eq!(
        refusal_of(retention(up, 47)),
        "InvalidArgumentException: Requested retention period (47 hours) for stream orders can not be shorter than \
         existing retention period (48 hours). Use DecreaseRetentionPeriod API."
    );
    assert_eq!(
        refusal_of(retention(down, 49)),
        "InvalidArgumentException: Requested retention period (49 hours) for stream orders can not be longer than \
         existing retention period (48 hours). Use IncreaseRetentionPeriod API."
    );
}

#[test]
fn a_mode_is_changed_without_a_change_of_shards() {
    let mode = |record: &StreamRecord, wanted: &str| {
        let details = Structure::of(&STREAM_MODE_DETAILS).with("StreamMode", wanted);
        let input = input_of("UpdateStreamMode", [("StreamModeDetails", details.into())]);
        viewed(record, StreamStatus::Active, |view| update_mode(&input, view)).expect("it may be").mode
    };
    let bounds = |min, max| Some(StreamMode::OnDemand(ShardBounds { min, max }));
    assert_eq!(mode(&record(1), "ON_DEMAND"), bounds(4, 200));
    assert_eq!(mode(&record(300), "ON_DEMAND"), bounds(4, 300), "none of them is merged for it");
    let narrow = StreamMode::OnDemand(ShardBounds { min: 1, max: 9 });
    let bounded = record_of(CreateStream { shards: 4, mode: narrow, ..CreateStream::default() });
    assert_eq!(mode(&bounded, "ON_DEMAND"), Some(narrow), "it keeps what it was given natively");
    assert_eq!(mode(&bounded, "PROVISIONED"), Some(StreamMode::Provisioned));
}

#[test]
fn the_largest_record_is_said_in_kibibytes() {
    let input = input_of("UpdateMaxRecordSize", [("MaxRecordSizeInKiB", 2_048.into())]);
    let changed = viewed(&record(1), StreamStatus::Active, |view| update_max_record_size(&input, view));
    assert_eq!(changed.expect("it may be").record_bytes_max, Some(2 << 20));
}

#[test]
fn what_rheos_cannot_give_is_refused_in_plain_words() {
    let warm = |record: &StreamRecord, mib: i64| {
        let input = input_of("UpdateStreamWarmThroughput", [("WarmThroughputMiBps", mib.into())]);
        viewed(record, StreamStatus::Active, |view| update_warm_throughput(&input, view))
    };
    assert_eq!(
        json(&warm(&on_demand(), 0).expect("none is all there is")),
        r#"{"StreamARN":"arn:aws:kinesis:eu-west-1:000000000000:stream/orders","StreamName":"orders","WarmThroughput":{"TargetMiBps":0,"CurrentMiBps":0}}"#
    );
    assert!(text_of(warm(&on_demand(), 5)).starts_with("WarmThroughputMiBps 5 is not supported: rheos has no"));
    assert!(text_of(warm(&record(1), 0)).contains("orders under account 000000000000 is not in On-Demand mode"));

    let spread = |record: &StreamRecord, strategy: &str| {
        let input =
            input_of("UpdateStreamRecordDistributionStrategy", [("RecordDistributionStrategy", strategy.into())]);
        viewed(record, StreamStatus::Active, |view| update_distribution(&input, view))
    };
    assert_eq!(spread(&on_demand(), "USER_PARTITION_KEY"), Ok(()));
    assert!(
        refusal_of(spread(&on_demand(), "AUTO"))
            .contains("InvalidArgumentException: RecordDistributionStrategy AUTO is not")
    );
    assert!(
        refusal_of(spread(&record(1), "AUTO"))
            .contains("InvalidArgumentException: RecordDistributionStrategy AUTO is for")
    );
}

#[test]
fn only_an_active_stream_is_changed() {
    let details: Value = Structure::of(&STREAM_MODE_DETAILS).with("StreamMode", "ON_DEMAND").into();
    let hours = || ("RetentionPeriodHours", Value::from(24));
    let cases: [(Change, Structure); 4] = [
        (increase_retention, input_of("IncreaseStreamRetentionPeriod", [hours()])),
        (decrease_retention, input_of("DecreaseStreamRetentionPeriod", [hours()])),
        (update_mode, input_of("UpdateStreamMode", [("StreamModeDetails", details)])),
        (update_max_record_size, input_of("UpdateMaxRecordSize", [("MaxRecordSizeInKiB", 1_024.into())])),
    ];
    for (change, input) in &cases {
        assert_eq!(refusal_of(viewed(&record(1), StreamStatus::Updating, |view| change(input, view))), NOT_ACTIVE);
    }
    let warm = input_of("UpdateStreamWarmThroughput", [("WarmThroughputMiBps", 0.into())]);
    let refused = viewed(&on_demand(), StreamStatus::Updating, |view| update_warm_throughput(&warm, view));
    assert_eq!(refusal_of(refused), NOT_ACTIVE);
}
