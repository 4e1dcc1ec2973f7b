//! Every bound of the core, in one place. Sizes are bytes unless the name says otherwise.

use rheos_protocol::batch::HEADER_BYTES;
use rheos_protocol::limits::{BATCH_BODY_BYTES_MAX, RATE_MAX};

/// The unit of direct I/O: offset and length of every write are multiples of it.
pub const BLOCK_BYTES: u64 = 4096;
/// A commit takes staged batches up to this size; one batch always fits.
pub const COMMIT_BYTES_TARGET: usize = 1 << 20;
/// Most bytes of batches in one commit.
pub const COMMIT_PAYLOAD_BYTES_MAX: usize = COMMIT_BYTES_TARGET + BATCH_BODY_BYTES_MAX as usize + HEADER_BYTES;
/// Smallest segment, and the size of a log's first one.
pub const SEGMENT_BYTES_LEAST: u64 = 1 << 20;
/// Size that segments grow to while their log is busy.
pub const SEGMENT_BYTES_MAX: u64 = 256 << 20;
/// Largest file that can be a segment: one that had to go on past its size while the next was being made.
pub const SEGMENT_FILE_BYTES_MAX: u64 = 2 * SEGMENT_BYTES_MAX + 64 * (1 << 20);
/// Most shards of one log.
pub const LOG_SHARDS_MAX: usize = 4 * rheos_protocol::limits::SHARDS_MAX as usize;
/// Most index entries of one segment; a segment that reaches it is sealed.
pub const INDEX_ENTRIES_MAX: usize = 256 << 10;
/// Most puts that the producer tables of one log remember, all producers together.
pub const PRODUCER_PUTS_MAX: usize = 64 << 10;
/// Most (producer, shard) pairs of one log, those included that have stored nothing yet.
pub const PRODUCERS_MAX: usize = 64 << 10;
/// Most lanes of a broker: a connection id names its lane in one byte.
pub const LANES_MAX: u16 = 256;
/// Most commits in flight on one lane.
pub const COMMITS_IN_FLIGHT_MAX: usize = 8;
/// The same while the broker stops: nobody's latency matters any more, and every log writes its last commit.
pub const COMMITS_AT_STOP_MAX: usize = 64;
/// Most bytes that a lane's logs hold staged and submitted.
pub const STAGED_BYTES_MAX: usize = 64 << 20;
/// Bytes of recent batches that a lane's logs keep in memory for readers.
pub const TAIL_BYTES_MAX: usize = 8 << 20;
/// Most producers whose refused put a lane remembers until it comes again.
pub const HELD_BACK_MAX: usize = 4 << 10;

/// Bytes that one scan for subscriptions behind the tail reads; it may exceed it by one batch.
pub const SCAN_BYTES: usize = 1 << 20;
/// Most such scans of a lane at once. Few, because commits wait behind their reads on the disk.
pub const SCANS_MAX: usize = 2;
/// Bytes of what scans have read that a lane keeps for its subscriptions.
pub const PIECES_BYTES_MAX: usize = 32 << 20;
/// Bytes that a peer is given before it is the next one's turn.
pub const PUSH_QUANTUM_BYTES: i64 = 64 << 10;

/// Least capacity of a lane that may be measured or set, in bytes a second.
pub const CAPACITY_LEAST: u64 = 1 << 20;
/// Capacity of a lane that is assumed where nobody has measured or set it: any machine's lane should push so much.
pub const CAPACITY_ASSUMED: u64 = 64 << 20;
/// The part of a lane's capacity that may be reserved, in percent: the rest is for puts, and for who reserves nothing.
pub const PROMISED_PERCENT_MAX: u64 = 60;
/// A subscription that has stood in line for so long for what is promised to it is late.
pub const LATE_MS: u64 = 100;
/// A lane that has not looked for so long who is late, which it does every 100 ms, had no time.
pub const AWAY_MS: u64 = 300;
/// Wait that a put is told while a lane is late with what it has promised.
pub const LATE_RETRY_MS: u32 = 50;

/// Longest resource policy, in bytes: 20 KiB (as in Kinesis).
pub const POLICY_BYTES_MAX: usize = 20 << 10;
/// Most resource policies of one broker.
pub const POLICIES_MAX: u64 = 10_000;
/// Most accounts and regions of one broker that have ever made a commitment.
pub const COMMITMENTS_MAX: u64 = 10_000;

/// A log that has been silent this long writes an empty commit, which proves the one before it.
pub const SETTLE_MS: u64 = 1_000;
/// A log that has been silent this long is sealed and closed.
pub const CLOSE_MS: u64 = 600_000;
/// A batch stays this long in memory for readers, at most.
pub const TAIL_MS_MAX: u64 = 60_000;
/// After a failure to make a segment the log asks again after this long, and puts are told the same.
pub const PREPARE_RETRY_MS: u64 = 1_000;
/// Wait that a put is told when the lane's budget is used up.
pub const BUSY_RETRY_MS: u32 = 20;
/// Wait that a put is told while its shard is being closed, which takes a commit and a change of the catalog.
pub const CLOSING_RETRY_MS: u32 = 2;
/// Whoever has read a shard within this time counts as reading it.
pub const READ_SEEN_MS: u64 = 60_000;
/// Longest wait that is told to who is over a limit; who comes again too early is told the rest.
pub const OVER_LIMIT_WAIT_MS_MAX: u64 = 30_000;
/// Most segments of a log that are looked at and given up in one go.
pub const TRIM_SEGMENTS_MAX: u64 = 256;
/// A forward jump of the wall clock up to this is followed at once.
pub const CLOCK_JUMP_MS_MAX: u64 = 60_000;
/// A larger jump is followed when it has lasted this long.
pub const CLOCK_JUMP_BELIEVED_MS: u64 = 600_000;
/// Pre-writing runs at most at this many bytes per second; a log that fills faster gets allocated segments.
pub const PREWRITE_BYTES_PER_S: u64 = 100_000_000;

const _: () = assert!(LANES_MAX as u32 == crate::catalog::LOGS_OF_STREAM_MAX && LANES_MAX <= u8::MAX as u16 + 1);
const _: () = assert!(STAGED_BYTES_MAX > 4 * COMMIT_PAYLOAD_BYTES_MAX);
// Whoever waits for a scan finds what it brought, unless batches are far larger than usual; then it reads again.
const _: () = assert!(PIECES_BYTES_MAX >= 2 * SCANS_MAX * SCAN_BYTES);
const _: () = assert!(AWAY_MS > 2 * LATE_MS);
const _: () = assert!(CAPACITY_LEAST <= CAPACITY_ASSUMED && CAPACITY_ASSUMED <= RATE_MAX);
const _: () = assert!(RATE_MAX <= u64::MAX / PROMISED_PERCENT_MAX && PROMISED_PERCENT_MAX < 100);
const _: () = assert!(SEGMENT_FILE_BYTES_MAX / BLOCK_BYTES < u32::MAX as u64);
const _: () = assert!(COMMIT_PAYLOAD_BYTES_MAX < u32::MAX as usize / 2);
