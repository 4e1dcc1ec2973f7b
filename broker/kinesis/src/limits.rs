//! Every bound of what the face takes and says, in one place.

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

/// The largest resource policy, in bytes: as large as those of other AWS services are.
pub const POLICY_BYTES_MAX: usize = 20 << 10;

const _: () = assert!(BODY_BYTES_MAX > (10 << 20) / 3 * 4 + (1 << 20));
