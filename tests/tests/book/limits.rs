//! The page of limits has every limit of the protocol and the core, with its value.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rheos_tests::book;

/// The constants of a module with their names, as numbers.
macro_rules! values {
    ($module:path: $($name:ident)+) => {{
        use $module as limits;
        vec![$((stringify!($name), limits::$name as u128)),+]
    }};
}

#[test]
fn the_protocol_has_these_limits() {
    let values = values!(rheos_protocol::limits: PARTITION_KEY_CHARS_MAX PARTITION_KEY_BYTES_MAX RECORD_BYTES_DEFAULT
        RECORD_BYTES_LEAST RECORD_BYTES_MAX BATCH_RECORDS_MAX BATCH_BODY_BYTES_MAX BATCH_BODY_BYTES_TARGET
        PUTS_IN_FLIGHT_MAX DATA_STREAMS_MAX CONTROL_STREAMS_MAX UNAUTHENTICATED_FRAME_BYTES_MAX CONTROL_FRAME_BYTES_MAX
        PUT_FRAME_BYTES_MAX REPLY_FRAME_BYTES_MAX READ_BYTES_MAX NAME_CHARS_MAX ACCOUNT_CHARS REGION_CHARS_MAX STREAM_NAME_CHARS_MAX TEXT_BYTES_MAX SUBSCRIPTION_STREAMS_MAX
        SUBSCRIPTIONS_MAX PUSH_STREAMS_MAX CREDIT_BYTES_MAX PUSH_BYTES_TARGET CONSUMERS_OF_STREAM_MAX KEYS_MAX GRANTS_MAX
        SHARDS_MAX LIST_PAGE_MAX RETENTION_MS_LEAST RETENTION_MS_MAX HELLO_MS_MAX METRICS_PIECE_BYTES_MAX METRICS_BYTES_MAX CHILDREN_MAX
        RETENTION_BYTES_OF_LOG_LEAST RETENTION_BYTES_MAX RATE_MAX TAGS_MAX TAG_KEY_CHARS_MAX TAG_VALUE_CHARS_MAX
        FILTER_TAGS_MAX RECORD_ENCODED_BYTES_LEAST ON_DEMAND_SHARDS_MIN ON_DEMAND_SHARDS_MAX SCALING_STEPS_MAX);
    compare("protocol", "protocol/src/limits.rs", &values);
}

#[test]
fn the_core_has_these_limits() {
    let values = values!(rheos_core::limits: BLOCK_BYTES COMMIT_BYTES_TARGET COMMIT_PAYLOAD_BYTES_MAX SEGMENT_BYTES_LEAST
        SEGMENT_BYTES_MAX SEGMENT_FILE_BYTES_MAX LOG_SHARDS_MAX INDEX_ENTRIES_MAX PRODUCER_PUTS_MAX PRODUCERS_MAX LANES_MAX
        COMMITS_IN_FLIGHT_MAX COMMITS_AT_STOP_MAX STAGED_BYTES_MAX TAIL_BYTES_MAX HELD_BACK_MAX SCAN_BYTES SCANS_MAX PIECES_BYTES_MAX
        PUSH_QUANTUM_BYTES CAPACITY_LEAST CAPACITY_ASSUMED PROMISED_PERCENT_MAX LATE_MS AWAY_MS LATE_RETRY_MS SETTLE_MS CLOSE_MS TAIL_MS_MAX PREPARE_RETRY_MS BUSY_RETRY_MS CLOCK_JUMP_MS_MAX
        CLOCK_JUMP_BELIEVED_MS PREWRITE_BYTES_PER_S READ_SEEN_MS CLOSING_RETRY_MS
        OVER_LIMIT_WAIT_MS_MAX TRIM_SEGMENTS_MAX POLICY_BYTES_MAX POLICIES_MAX COMMITMENTS_MAX);
    compare("core", "broker/core/src/limits.rs", &values);
}

/// The rows of the table under `anchor` are the limits of the source, with these values.
fn compare(anchor: &str, source: &str, values: &[(&str, u128)]) {
    let text = fs::read_to_string(book::root().join(source)).expect("the source is there");
    let constants = text.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    let names: BTreeSet<&str> = values.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, constants.collect(), "the left are compared here, the right are in {source}");

    let page = book::chapter("limits");
    let table = page.table(anchor);
    let said: BTreeMap<&str, Option<u128>> = table.rows.iter().map(|row| (row[0].as_str(), number(&row[1]))).collect();
    let expected = values.iter().map(|(name, value)| (*name, Some(*value))).collect();
    assert_eq!(said, expected, "the left stand in {}, the right in {source}", page.at(table.line));
}

/// Sizes in bytes, times in milliseconds.
fn number(text: &str) -> Option<u128> {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let unit = match unit {
        "" | "ms" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "MB" => 1_000_000,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(number.replace(',', "").parse::<u128>().ok()? * unit)
}
