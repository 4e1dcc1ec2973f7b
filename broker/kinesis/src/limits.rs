//! Every bound of what the face takes and says, in one place.

use rheos_protocol::limits::{PARTITION_KEY_BYTES_MAX, RECORD_BYTES_MAX};

/// The most bytes of a request's body. Ten MiB of records in Base64 with their frame are about 14 MiB.
pub const BODY_BYTES_MAX: usize = 16 << 20;

/// How deep JSON and CBOR may nest. The table's deepest input is four deep. JSON's bound is serde_json's own.
pub const DEPTH_MAX: usize = 128;

/// How many items of a list or map are kept where the table has no bound of its own.
pub const ITEMS_MAX: usize = 10_000;

/// How many bytes of one value a message repeats. The rest of it is cut.
pub const PRINTED_BYTES_MAX: usize = 64 << 10;

/// How many clauses a ValidationException has at most, as on AWS.
pub const CLAUSES_MAX: usize = 10;

/// The most records of one PutRecords, which is the table's bound.
pub const PUT_RECORDS_MAX: usize = 500;

/// The most bytes of keys and data that one PutRecords carries, as on AWS.
pub const PUT_RECORDS_BYTES_MAX: usize = 10 << 20;

/// The most records of one answer of GetRecords, as on AWS; and as many when it says no Limit.
pub const GET_RECORDS_MAX: usize = 10_000;

/// The most bytes of keys and data of one answer of GetRecords, as on AWS. One record is always given.
pub const GET_RECORDS_BYTES_MAX: usize = 10 << 20;

/// The most records of one event of SubscribeToShard.
pub const EVENT_RECORDS_MAX: usize = 10_000;

/// The most bytes of keys and data of one event of SubscribeToShard. One record is always given.
pub const EVENT_RECORDS_BYTES_MAX: usize = 2 << 20;

/// The most bytes of the message of an event; the format's own bound is 24 MiB, and so is that of clients.
pub const EVENT_BYTES_MAX: usize = 16 << 20;

/// What a record is taken to need when a read of so many records is turned into bytes.
pub const READ_BYTES_OF_RECORD: usize = 64 << 10;

/// How often the rest of a batch that is over its shard's limit is halved to find what is not. A batch of 64 records is
/// looked at to the single record.
pub const HALVINGS_MAX: u32 = 6;

/// How often a put looks for its shards again while the stream is resharded, before it is said to have failed.
pub const REROUTES_MAX: u32 = 64;

/// The longest wait between two of them, in ms.
pub const REROUTE_WAIT_MS_MAX: u32 = 100;

/// What a byte of a key may become in JSON, where it is a control character. Data grows by a third.
const KEY_GROWTH_MAX: usize = 6;

/// More than what stands around a record's key and data in an event.
const RECORD_FRAME_BYTES: usize = 256;

const _: () =
    assert!(EVENT_BYTES_MAX > EVENT_RECORDS_BYTES_MAX * KEY_GROWTH_MAX + EVENT_RECORDS_MAX * RECORD_FRAME_BYTES);
const _: () = assert!(
    EVENT_BYTES_MAX
        > RECORD_BYTES_MAX as usize / 3 * 4 + PARTITION_KEY_BYTES_MAX * KEY_GROWTH_MAX + 2 * RECORD_FRAME_BYTES
);
const _: () = assert!(BODY_BYTES_MAX > PUT_RECORDS_BYTES_MAX / 3 * 4 + (1 << 20));
