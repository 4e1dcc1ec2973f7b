//! Every bound of the protocol, in one place.
//!
//! A peer may declare any length; nothing here is allocated on its word. Sizes are bytes unless the
//! name says otherwise. Relations between limits are checked when this file is compiled.

/// Longest partition key, in characters (as in Kinesis).
pub const PARTITION_KEY_CHARS_MAX: usize = 256;
/// Longest partition key in UTF-8 bytes: four for each character.
pub const PARTITION_KEY_BYTES_MAX: usize = PARTITION_KEY_CHARS_MAX * 4;
/// Largest data of one record where the stream sets nothing else: 1 MiB (as in Kinesis).
pub const RECORD_BYTES_DEFAULT: u32 = 1 << 20;
/// Smallest setting of a stream's largest record.
pub const RECORD_BYTES_LEAST: u32 = 1 << 20;
/// Largest setting of a stream's largest record: 10 MiB (as in Kinesis).
pub const RECORD_BYTES_MAX: u32 = 10 << 20;
/// Fewest bytes that a record takes in a batch: its lengths and a key of one character.
pub const RECORD_ENCODED_BYTES_LEAST: usize = 9;
/// Most records in one batch.
pub const BATCH_RECORDS_MAX: u32 = 16_384;
/// Largest body of one batch: one record of the largest size with its key, and room to spare.
pub const BATCH_BODY_BYTES_MAX: u32 = 11 << 20;
/// Body size at which a client closes a batch, unless a single record is larger.
pub const BATCH_BODY_BYTES_TARGET: u32 = 256 << 10;
/// Most batches of one (producer, shard) that may be unanswered: how many old numbers the broker remembers.
pub const PUTS_IN_FLIGHT_MAX: usize = 64;
/// Most long-lived put streams, and as many push streams, on one connection.
pub const DATA_STREAMS_MAX: u32 = 64;
/// Most control requests that one connection may have open at once.
pub const CONTROL_STREAMS_MAX: u32 = 64;

/// Largest payload of a frame before the peer has proved who it is.
pub const UNAUTHENTICATED_FRAME_BYTES_MAX: u32 = 16 << 10;
/// Largest payload of a control request after that.
pub const CONTROL_FRAME_BYTES_MAX: u32 = 64 << 10;
/// Largest payload of a put frame: one batch.
pub const PUT_FRAME_BYTES_MAX: u32 = BATCH_BODY_BYTES_MAX + crate::batch::HEADER_BYTES as u32;
/// Largest payload of any frame that a broker sends.
pub const REPLY_FRAME_BYTES_MAX: u32 = 32 << 20;
/// Most bytes of batches that one read may ask for; a reply may exceed it by one batch.
pub const READ_BYTES_MAX: u32 = 8 << 20;

/// Longest name within an account and region, in characters (as in Kinesis).
pub const NAME_CHARS_MAX: usize = 128;

/// Digits of an account (as in AWS).
pub const ACCOUNT_CHARS: usize = 12;

/// Longest region, in characters; those of AWS have at most half of it.
pub const REGION_CHARS_MAX: usize = 32;

/// Longest stream name that is qualified with its account and region, in characters.
pub const STREAM_NAME_CHARS_MAX: usize = ACCOUNT_CHARS + 1 + REGION_CHARS_MAX + 1 + NAME_CHARS_MAX;
/// Longest access key id, client name or message that travels.
pub const TEXT_BYTES_MAX: usize = 1024;
/// Most subscription streams of one connection.
pub const SUBSCRIPTION_STREAMS_MAX: u32 = 32;
/// Most subscriptions that one subscription stream may hold: every shard of the largest stream.
pub const SUBSCRIPTIONS_MAX: u32 = SHARDS_MAX;
/// Most push streams that a lane of the broker opens on a connection of its own; a shard keeps to one. On a
/// connection of another lane it opens one.
pub const PUSH_STREAMS_MAX: u32 = 8;
/// Most bytes of credit that a subscription is taken to hold; what is granted beyond that is lost.
pub const CREDIT_BYTES_MAX: u64 = 64 << 20;
/// Bytes of batches at which a push frame is closed, unless a single batch is larger.
pub const PUSH_BYTES_TARGET: u32 = 64 << 10;
/// Most registered consumers of one stream.
pub const CONSUMERS_OF_STREAM_MAX: u32 = 1_000;
/// Most access keys of one broker, the administrator's own not counted.
pub const KEYS_MAX: u32 = 1_000;
/// Most streams that one access key is granted by name.
pub const GRANTS_MAX: u32 = 100;
/// Most shards of one stream.
pub const SHARDS_MAX: u32 = 10_000;
/// Most children of one shard that are named; a split makes two.
pub const CHILDREN_MAX: u32 = SHARDS_MAX;
/// Most streams in one page of a listing.
pub const LIST_PAGE_MAX: u32 = 1_000;
/// Shortest retention: 24 hours, in milliseconds (as in Kinesis).
pub const RETENTION_MS_LEAST: u64 = 24 * 3_600_000;
/// Longest retention: 8,760 hours, in milliseconds (as in Kinesis).
pub const RETENTION_MS_MAX: u64 = 8_760 * 3_600_000;
/// Most bytes of text in one piece of the broker's metrics.
pub const METRICS_PIECE_BYTES_MAX: u32 = 1 << 20;
/// Most bytes of the whole text.
pub const METRICS_BYTES_MAX: usize = 32 << 20;
/// Least bound of a stream's bytes, for each of its logs: enough for a few segments.
pub const RETENTION_BYTES_OF_LOG_LEAST: u64 = 64 << 20;
/// Largest bound of a stream's bytes: 1 PiB.
pub const RETENTION_BYTES_MAX: u64 = 1 << 50;
/// Largest ceiling that is a ceiling: 1 TiB, or as many records or reads, a second.
pub const RATE_MAX: u64 = 1 << 40;
/// Most tags of one stream or consumer (as in Kinesis).
pub const TAGS_MAX: u32 = 50;
/// Longest key of a tag, in characters (as in Kinesis).
pub const TAG_KEY_CHARS_MAX: usize = 128;
/// Longest value of a tag, in characters (as in Kinesis).
pub const TAG_VALUE_CHARS_MAX: usize = 256;
/// Most tags that a listing may ask for at once.
pub const FILTER_TAGS_MAX: u32 = 10;
/// Fewest open shards of an on-demand stream that sets nothing else (as in Kinesis: 4 MB a second).
pub const ON_DEMAND_SHARDS_MIN: u32 = 4;
/// Most open shards of an on-demand stream that sets nothing else (as in Kinesis: 200 MB a second).
pub const ON_DEMAND_SHARDS_MAX: u32 = 200;
/// Most steps of an on-demand stream that are remembered; the oldest go first.
pub const SCALING_STEPS_MAX: u32 = 100;
/// Time in which a new connection must say Hello, in milliseconds.
pub const HELLO_MS_MAX: u64 = 5_000;

const _: () = assert!(BATCH_BODY_BYTES_MAX as usize > RECORD_BYTES_MAX as usize + PARTITION_KEY_BYTES_MAX + 64);
const _: () = assert!(REPLY_FRAME_BYTES_MAX > READ_BYTES_MAX + PUT_FRAME_BYTES_MAX + CONTROL_FRAME_BYTES_MAX);
const _: () = assert!(REPLY_FRAME_BYTES_MAX > METRICS_PIECE_BYTES_MAX + CONTROL_FRAME_BYTES_MAX);
const _: () = assert!(CONTROL_FRAME_BYTES_MAX >= UNAUTHENTICATED_FRAME_BYTES_MAX);
const _: () = assert!(PUSH_STREAMS_MAX <= DATA_STREAMS_MAX);
const _: () = assert!(GRANTS_MAX as usize * (STREAM_NAME_CHARS_MAX + 3) < CONTROL_FRAME_BYTES_MAX as usize / 2);
const _: () = assert!(TAG_VALUE_CHARS_MAX * 4 <= TEXT_BYTES_MAX && TAG_KEY_CHARS_MAX < TAG_VALUE_CHARS_MAX);
const _: () = assert!(BATCH_BODY_BYTES_TARGET < BATCH_BODY_BYTES_MAX);
const _: () = assert!(PARTITION_KEY_BYTES_MAX <= u16::MAX as usize);
