//! Every operation of the face: by name, what performs it.
//!
//! What must hold: an operation that the table of `rheos_kinesis` has is performed here; a test asks for each.

mod account;
mod consumers;
mod encryption;
mod monitoring;
mod policies;
mod records;
mod shards;
mod streams;
mod subscribe;
mod tags;
mod terms;

use std::pin::Pin;

use rheos_kinesis::error::{Error, ErrorKind};
use rheos_kinesis::shapes::operations::Operation;
use rheos_kinesis::value::Structure;

use super::call::{Call, Outcome};

/// Performs an operation.
///
/// # Errors
/// Those of the operation.
pub(super) async fn perform(call: &Call<'_>, operation: &Operation, input: &Structure) -> Result<Outcome, Error> {
    match performed_by(operation.name) {
        Some(perform) => perform(call, input).await,
        None => Err(Error::new(ErrorKind::UnknownOperation, format!("rheos does not perform {}.", operation.name))),
    }
}

/// Whether an operation may stop wherever it waits, when its client has gone. One that changes the catalog may not:
/// lanes and whoever looks things up are told after the catalog has the change.
pub(super) fn may_be_given_up(operation: &Operation) -> bool {
    GIVEN_UP.contains(&operation.name)
}

/// Those that hold much memory or wait for long, and change nothing but records.
const GIVEN_UP: [&str; 5] = ["PutRecord", "PutRecords", "GetRecords", "GetShardIterator", "SubscribeToShard"];

/// What performs an operation.
type Perform = for<'a> fn(&'a Call<'a>, &'a Structure) -> Performing<'a>;
type Performing<'a> = Pin<Box<dyn Future<Output = Result<Outcome, Error>> + Send + 'a>>;

fn performed_by(name: &str) -> Option<Perform> {
    TABLE.iter().find(|(operation, _)| *operation == name).map(|(_, perform)| *perform)
}

/// Those of the data plane come first: they are called most.
const TABLE: &[(&str, Perform)] = &[
    // Records.
    ("PutRecord", |call, input| Box::pin(records::put_record(call, input))),
    ("PutRecords", |call, input| Box::pin(records::put_records(call, input))),
    ("GetRecords", |call, input| Box::pin(records::get_records(call, input))),
    ("GetShardIterator", |call, input| Box::pin(records::get_shard_iterator(call, input))),
    ("SubscribeToShard", |call, input| Box::pin(subscribe::subscribe_to_shard(call, input))),
    // Streams.
    ("CreateStream", |call, input| Box::pin(streams::create(call, input))),
    ("DeleteStream", |call, input| Box::pin(streams::delete(call, input))),
    ("DescribeStream", |call, input| Box::pin(streams::describe(call, input))),
    ("DescribeStreamSummary", |call, input| Box::pin(streams::describe_summary(call, input))),
    ("ListStreams", |call, input| Box::pin(streams::list(call, input))),
    // Their terms.
    ("IncreaseStreamRetentionPeriod", |call, input| Box::pin(terms::increase_retention(call, input))),
    ("DecreaseStreamRetentionPeriod", |call, input| Box::pin(terms::decrease_retention(call, input))),
    ("UpdateStreamMode", |call, input| Box::pin(terms::update_mode(call, input))),
    ("UpdateMaxRecordSize", |call, input| Box::pin(terms::update_max_record_size(call, input))),
    ("UpdateStreamWarmThroughput", |call, input| Box::pin(terms::update_warm_throughput(call, input))),
    ("UpdateStreamRecordDistributionStrategy", |call, input| Box::pin(terms::update_distribution(call, input))),
    // Their shards.
    ("ListShards", |call, input| Box::pin(shards::list(call, input))),
    ("SplitShard", |call, input| Box::pin(shards::split(call, input))),
    ("MergeShards", |call, input| Box::pin(shards::merge(call, input))),
    ("UpdateShardCount", |call, input| Box::pin(shards::scale(call, input))),
    // Their registered consumers.
    ("RegisterStreamConsumer", |call, input| Box::pin(consumers::register(call, input))),
    ("DeregisterStreamConsumer", |call, input| Box::pin(consumers::deregister(call, input))),
    ("DescribeStreamConsumer", |call, input| Box::pin(consumers::describe(call, input))),
    ("ListStreamConsumers", |call, input| Box::pin(consumers::list(call, input))),
    // What is measured and encrypted.
    ("EnableEnhancedMonitoring", |call, input| Box::pin(monitoring::enable(call, input))),
    ("DisableEnhancedMonitoring", |call, input| Box::pin(monitoring::disable(call, input))),
    ("StartStreamEncryption", |call, input| Box::pin(encryption::start(call, input))),
    ("StopStreamEncryption", |call, input| Box::pin(encryption::stop(call, input))),
    // Tags, of streams and of whatever has an ARN.
    ("AddTagsToStream", |call, input| Box::pin(tags::add_to_stream(call, input))),
    ("RemoveTagsFromStream", |call, input| Box::pin(tags::remove_from_stream(call, input))),
    ("ListTagsForStream", |call, input| Box::pin(tags::list_for_stream(call, input))),
    ("TagResource", |call, input| Box::pin(tags::add_to_resource(call, input))),
    ("UntagResource", |call, input| Box::pin(tags::remove_from_resource(call, input))),
    ("ListTagsForResource", |call, input| Box::pin(tags::list_for_resource(call, input))),
    // Policies.
    ("PutResourcePolicy", |call, input| Box::pin(policies::put(call, input))),
    ("GetResourcePolicy", |call, input| Box::pin(policies::get(call, input))),
    ("DeleteResourcePolicy", |call, input| Box::pin(policies::delete(call, input))),
    // The account.
    ("DescribeLimits", |call, input| Box::pin(account::describe_limits(call, input))),
    ("DescribeAccountSettings", |call, input| Box::pin(account::describe_settings(call, input))),
    ("UpdateAccountSettings", |call, input| Box::pin(account::update_settings(call, input))),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rheos_kinesis::shapes::operations;

    use super::*;

    #[test]
    fn every_operation_of_the_api_is_performed_and_no_other() {
        let missing: Vec<_> =
            operations::all().filter(|of| performed_by(of.name).is_none()).map(|of| of.name).collect();
        assert_eq!(missing, Vec::<&str>::new());
        let named: BTreeSet<_> = TABLE.iter().map(|(name, _)| *name).collect();
        assert_eq!((named.len(), TABLE.len()), (operations::all().count(), operations::all().count()));
    }
}
