//! DeleteStream.

use super::StreamView;
use crate::error::{Error, ErrorKind};
use crate::operations::status::StreamStatus;
use crate::value::Structure;

/// Whether a stream with so many registered consumers may be deleted. It may while it is made or changed.
///
/// # Errors
///
/// `ResourceInUseException` for a stream that is being deleted, and for one with consumers unless the call is ready to
/// lose them.
pub fn admit_deletion(input: &Structure, stream: &StreamView<'_>, consumers: usize) -> Result<(), Error> {
    if stream.status == StreamStatus::Deleting {
        return Err(stream.status.refuses(stream.arn));
    }
    let enforced = input.optional::<bool>("EnforceConsumerDeletion").unwrap_or(false);
    if consumers == 0 || enforced {
        return Ok(());
    }
    let (arn, name) = (stream.arn, stream.arn.name());
    let message = format!(
        "DeleteStream can't delete {arn} because there are consumers associated with this data stream. To delete {name} \
         anyway, set the EnforceConsumerDeletion parameter to true to force the deletion of all the consumers that are \
         associated with it."
    );
    Err(Error::new(ErrorKind::ResourceInUse, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::testing::{input, record, refusal_of, viewed};

    #[test]
    fn consumers_hold_a_stream_unless_told_otherwise() {
        let bare = input("DeleteStream", &[("StreamName", "orders")]);
        let may = |input: &Structure, status, consumers| {
            viewed(&record(1), status, |view| admit_deletion(input, view, consumers))
        };
        for status in [StreamStatus::Active, StreamStatus::Creating, StreamStatus::Updating] {
            assert_eq!(may(&bare, status, 0), Ok(()), "{status:?}");
        }
        assert_eq!(may(&bare.clone().with("EnforceConsumerDeletion", true), StreamStatus::Active, 1), Ok(()));
        let refusal = refusal_of(may(&bare.clone().with("EnforceConsumerDeletion", false), StreamStatus::Active, 1));
        let arn = "arn:aws:kinesis:eu-west-1:000000000000:stream/orders";
        assert!(refusal.starts_with(&format!("ResourceInUseException: DeleteStream can't delete {arn} because")));
        assert!(refusal_of(may(&bare, StreamStatus::Deleting, 0)).ends_with("instead in state DELETING"));
    }
}
