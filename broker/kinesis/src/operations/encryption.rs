//! StartStreamEncryption and StopStreamEncryption.
//!
//! rheos does not encrypt records yet, and has no KMS: to start encryption is refused, in words that say so. The
//! alternative, to keep the KeyId and show KMS, would tell people that what lies on their disks is encrypted. To stop
//! what never began is taken, so that tools can settle on NONE.

use super::streams::StreamView;
use crate::error::{Error, ErrorKind};
use crate::value::Structure;

/// What a StartStreamEncryption is refused with.
///
/// `InvalidArgumentException` where it asks for no encryption, `ResourceInUseException` unless the stream is active,
/// else `KMSNotFoundException`.
pub fn start(input: &Structure, stream: &StreamView<'_>) -> Error {
    let checked = must_be_kms(input).and_then(|()| stream.status.must_be_active(stream.arn));
    checked.err().unwrap_or_else(|| {
        let key_id: &str = input.required("KeyId");
        let shown = &key_id[..key_id.floor_char_boundary(KEY_ID_SHOWN_BYTES)];
        Error::new(
            ErrorKind::KmsNotFound,
            format!(
                "Key {shown} is not found: rheos has no KMS and does not encrypt records, so stream {} stays as it is. \
                 Put the broker's data directory on an encrypted disk, or encrypt the data before you put it.",
                stream.named()
            ),
        )
    })
}

/// Whether a StopStreamEncryption may be taken. If so, nothing changes: no stream has a key.
///
/// # Errors
///
/// `InvalidArgumentException` for a type that is none, `ResourceInUseException` unless it is active.
pub fn stop(input: &Structure, stream: &StreamView<'_>) -> Result<(), Error> {
    must_be_kms(input)?;
    stream.status.must_be_active(stream.arn)
}

const KEY_ID_SHOWN_BYTES: usize = 256;

fn must_be_kms(input: &Structure) -> Result<(), Error> {
    match input.required::<&str>("EncryptionType") {
        "KMS" => Ok(()),
        other => Err(Error::invalid_argument(format!("EncryptionType must be KMS, not {other}."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::status::StreamStatus;
    use crate::operations::testing::{input, record, refusal_of, viewed};

    const NOT_ACTIVE: &str =
        "ResourceInUseException: Stream orders under account 000000000000 not ACTIVE, instead in state CREATING";

    fn asked(operation: &str, kind: &str) -> Structure {
        input(operation, &[("EncryptionType", kind), ("KeyId", "alias/aws/kinesis")])
    }

    #[test]
    fn to_start_is_refused_honestly() {
        let start = |kind, status| {
            viewed(&record(1), status, |view| start(&asked("StartStreamEncryption", kind), view)).to_string()
        };
        let refusal = start("KMS", StreamStatus::Active);
        assert!(refusal.starts_with("KMSNotFoundException: Key alias/aws/kinesis is not found: rheos has no KMS"));
        assert!(refusal.contains("stream orders under account 000000000000 stays as it is"), "{refusal}");
        assert_eq!(
            start("NONE", StreamStatus::Active),
            "InvalidArgumentException: EncryptionType must be KMS, not NONE."
        );
        assert_eq!(start("KMS", StreamStatus::Creating), NOT_ACTIVE);
    }

    #[test]
    fn to_stop_what_never_began_is_taken() {
        let input = asked("StopStreamEncryption", "KMS");
        let stop_of = |status| viewed(&record(1), status, |view| stop(&input, view));
        assert_eq!(stop_of(StreamStatus::Active), Ok(()));
        assert_eq!(refusal_of(stop_of(StreamStatus::Creating)), NOT_ACTIVE);
    }
}
