//! The operations of the control plane, over inputs that are nearly right.

use rheos_core::catalog::{
    Commitment, ConsumerRecord, Reshard, ShardMetric, StreamRecord, Tags, plan_consumer, plan_reshard, plan_stream,
};
use rheos_protocol::message::{CreateStream, StreamMode, UpdateStream};
use rheos_protocol::name::StreamName;

use super::choices::Choices;
use super::{NOW_MS, PRINCIPAL};
use crate::arn::{AccountId, Region, StreamArn};
use crate::codec::Encoding;
use crate::error::Error;
use crate::operations::account::{self, ShardUsage};
use crate::operations::shards::ScaleLimits;
use crate::operations::status::{ConsumerStatus, Delay, LastChanges, StreamStatus};
use crate::operations::streams::{ListAsked, StreamView};
use crate::operations::subject::Caller;
use crate::operations::tags::{self, TagChange};
use crate::operations::{consumers, encryption, monitoring, policies, shards, streams, subject};
use crate::records::Issue;
use crate::shapes::operations;
use crate::token::TokenKey;
use crate::value::Structure;

/// The bytes choose an operation, its input and a stream; what passes the table is asked for. What the face lets
/// through, the core takes, and no answer lacks a member that clients count on.
pub fn control(data: &[u8]) {
    let Some((operation, input, outcome)) = performed(data) else { return };
    match outcome {
        Ok(Some(output)) => assert_eq!(output.missing(), None, "{operation} of {input:?}"),
        Ok(None) => {}
        Err(error) => assert!(!error.text().is_empty(), "{operation} of {input:?} is refused without a word"),
    }
}

type Outcome = Result<Option<Structure>, Error>;

/// The operation, its input and what came of it, where the input passes the table.
fn performed(data: &[u8]) -> Option<(&'static str, Structure, Outcome)> {
    let mut choices = Choices(data);
    let operation = operations::all().nth(choices.below(operations::all().count()))?;
    let input = choices.structure(operation.input);
    let input = Encoding::Json.decode(operation.input, &Encoding::Json.encode(&input)).ok()?.prove().ok()?;
    let outcome = World::chosen(&mut choices).perform(operation.name, &input);
    Some((operation.name, input, outcome))
}

/// What the broker knows.
struct World {
    caller: Caller,
    arn: StreamArn,
    record: StreamRecord,
    status: StreamStatus,
    consumer: ConsumerRecord,
    key: TokenKey,
}

impl World {
    fn chosen(choices: &mut Choices<'_>) -> World {
        let mode = if choices.below(4) == 0 { StreamMode::on_demand() } else { StreamMode::Provisioned };
        let create = CreateStream { name: "orders".to_owned(), shards: 4, mode, ..CreateStream::default() };
        let created_ms = NOW_MS - 10_000;
        let mut record = plan_stream(&create, created_ms, 7, 2, None).expect("it is in range");
        let reshards = [Reshard::Split { shard: 0, at: 9 }, Reshard::Scale { target: 7 }, Reshard::Scale { target: 2 }];
        for (reshard, ms) in reshards.into_iter().take(choices.below(4)).zip([1_000, 2_000, 3_000]) {
            let Ok((begun, plan)) = record.begin_reshard(reshard, None) else { break };
            let ends = plan.parents.iter().map(|shard| (*shard, 5)).collect();
            record = begun.finish_reshard(&ends, created_ms + ms).expect("it began").expect("it changes");
        }
        let delay = Delay { delay_ms: [0, 0, 0, 8_000, 60_000][choices.below(5)], now_ms: NOW_MS };
        let status = StreamStatus::of(&record, LastChanges::default(), delay).expect("it was not deleted");
        let metrics = ShardMetric::ALL.into_iter().take(choices.below(8)).collect();
        let record = record.monitoring(metrics).unwrap_or(record);
        let consumer = plan_consumer("board", 7, created_ms).expect("it is a name");
        let key = TokenKey::new(&[7; 32]);
        World { caller: caller(), arn: arn(), record, status, consumer, key }
    }

    fn issue(&self) -> Issue<'_> {
        Issue { key: &self.key, principal: PRINCIPAL, now_ms: NOW_MS, nonce: 1 }
    }

    fn view(&self) -> StreamView<'_> {
        StreamView { arn: &self.arn, record: &self.record, status: self.status }
    }

    /// As the broker does, but that every stream is found.
    fn perform(&self, operation: &str, input: &Structure) -> Outcome {
        match operation {
            "CreateStream" => self.create(input).map(|()| None),
            "ListStreams" => self.list_streams(input).map(Some),
            "ListShards" => self.list_shards(input).map(Some),
            "DescribeLimits" => Ok(Some(account::describe_limits(&USAGE, 1, 50))),
            "DescribeAccountSettings" => Ok(Some(account::describe_settings(COMMITMENT, NOW_MS))),
            "UpdateAccountSettings" => {
                let after = account::commits(input).then(|| Commitment::enable(COMMITMENT, NOW_MS));
                Ok(Some(account::updated_settings(after, NOW_MS)))
            }
            "RegisterStreamConsumer"
            | "DeregisterStreamConsumer"
            | "DescribeStreamConsumer"
            | "ListStreamConsumers" => self.of_consumer(operation, input),
            "PutRecord" | "PutRecords" | "GetRecords" | "GetShardIterator" | "SubscribeToShard" => Ok(None),
            _ if operation.ends_with("Resource") || operation.ends_with("ResourcePolicy") => {
                self.of_resource(operation, input)
            }
            _ => {
                subject::stream(input, &self.caller)?;
                self.of_stream(operation, input)
            }
        }
    }

    fn of_stream(&self, operation: &str, input: &Structure) -> Outcome {
        let view = &self.view();
        match operation {
            "DeleteStream" => streams::admit_deletion(input, view, 1)?,
            "DescribeStream" => return streams::describe(input, view).map(Some),
            "DescribeStreamSummary" => return Ok(Some(streams::describe_summary(view, 1))),
            "UpdateStreamMode" => self.takes_update(&streams::update_mode(input, view)?),
            "UpdateMaxRecordSize" => self.takes_update(&streams::update_max_record_size(input, view)?),
            "IncreaseStreamRetentionPeriod" => self.takes_update(&streams::increase_retention(input, view)?),
            "DecreaseStreamRetentionPeriod" => self.takes_update(&streams::decrease_retention(input, view)?),
            "UpdateStreamWarmThroughput" => return streams::update_warm_throughput(input, view).map(Some),
            "UpdateStreamRecordDistributionStrategy" => streams::update_distribution(input, view)?,
            "SplitShard" => self.takes_reshard(shards::split(input, view, &USAGE)?),
            "MergeShards" => self.takes_reshard(shards::merge(input, view)?),
            "UpdateShardCount" => {
                if let Some(reshard) = shards::scale(input, view, &USAGE, ScaleLimits::Kinesis)? {
                    self.takes_reshard(reshard);
                }
                return Ok(Some(shards::scaled(input, view)));
            }
            "StartStreamEncryption" => return Err(encryption::start(input, view)),
            "StopStreamEncryption" => encryption::stop(input, view)?,
            "EnableEnhancedMonitoring" => {
                let now = self.record.shard_metrics.with(monitoring::asked(input));
                return Ok(Some(monitoring::enabled(view, now)));
            }
            "DisableEnhancedMonitoring" => {
                let now = self.record.shard_metrics.without(monitoring::asked(input));
                return Ok(Some(monitoring::disabled(view, now)));
            }
            "AddTagsToStream" => takes_tags(&tags::add(input, "stream orders", &self.record.tags)?),
            "RemoveTagsFromStream" => takes_tags(&tags::remove(input, "stream orders")?),
            "ListTagsForStream" => return Ok(Some(tags::list_page(input, &self.record.tags))),
            other => panic!("nobody says what {other} means"),
        }
        Ok(None)
    }

    fn of_resource(&self, operation: &str, input: &Structure) -> Outcome {
        let resource = subject::resource(input, &self.caller)?;
        let named = tags::named(&resource);
        match operation {
            "TagResource" => takes_tags(&tags::add(input, &named, &self.record.tags)?),
            "UntagResource" => takes_tags(&tags::remove(input, &named)?),
            "ListTagsForResource" => return Ok(Some(tags::list_all(&self.record.tags))),
            "PutResourcePolicy" => drop(policies::put(input, &resource)?),
            "GetResourcePolicy" => return Ok(Some(policies::get(None))),
            "DeleteResourcePolicy" => policies::delete(None, &resource)?,
            other => panic!("nobody says what {other} means"),
        }
        Ok(None)
    }

    fn of_consumer(&self, operation: &str, input: &Structure) -> Outcome {
        let status = ConsumerStatus::Active;
        match operation {
            "RegisterStreamConsumer" => {
                let asked = consumers::register(input, &self.caller)?;
                takes_tags(&TagChange { set: asked.tags, remove: Vec::new() });
                Ok(Some(consumers::registered(&asked.stream, &self.consumer)))
            }
            "ListStreamConsumers" => {
                let asked = consumers::ListAsked::read(input, &self.caller, &self.issue())?;
                asked.admit(self.record.incarnation, self.record.created_ms)?;
                Ok(Some(asked.answer(&[(&self.consumer, status)], true, &self.record.name, &self.issue())))
            }
            _ => {
                let asked = subject::consumer(input, &self.caller)?;
                let described = consumers::describe(&asked.stream, &self.consumer, status);
                if asked.is(self.consumer.created_ms) { Ok(Some(described)) } else { Err(asked.not_found()) }
            }
        }
    }

    fn create(&self, input: &Structure) -> Result<(), Error> {
        let asked = streams::create(input, &self.caller, &USAGE)?;
        plan_stream(&asked.create, NOW_MS, 8, 2, None).expect("the core takes what the face lets through");
        takes_tags(&TagChange { set: asked.tags, remove: Vec::new() });
        Ok(())
    }

    fn list_streams(&self, input: &Structure) -> Result<Structure, Error> {
        let asked = ListAsked::read(input, &self.issue())?;
        Ok(asked.answer(&[self.view()], true, &self.issue()))
    }

    fn list_shards(&self, input: &Structure) -> Result<Structure, Error> {
        let asked = shards::ListAsked::read(input, &self.caller, &self.issue())?;
        asked.answer(&self.view(), NOW_MS - 7_500, &self.issue())
    }

    fn takes_update(&self, update: &UpdateStream) {
        self.record.update(update, 0).expect("the core takes what the face lets through");
    }

    fn takes_reshard(&self, reshard: Reshard) {
        let planned = plan_reshard(&self.record, reshard);
        let too_narrow = |error: &str| matches!(reshard, Reshard::Scale { .. }) && error.contains("too narrow");
        assert!(planned.is_ok() || planned.is_err_and(|error| too_narrow(&error.message)), "{reshard:?}");
    }
}

fn takes_tags(change: &TagChange) {
    Tags::default().change(&change.set, &change.remove).expect("the core takes what the face lets through");
}

const USAGE: ShardUsage = ShardUsage { open: 10, limit: 1_000 };
const COMMITMENT: Option<Commitment> = Some(Commitment { started_ms: NOW_MS - 1_000, ends_ms: None });

fn caller() -> Caller {
    let account = AccountId::new("000000000000").expect("it is one");
    Caller { account, region: Region::new("eu-west-1").expect("it is one") }
}

fn arn() -> StreamArn {
    StreamArn::new(caller().region, caller().account, StreamName::new("orders").expect("it is one"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::operations::testing;

    /// Over many inputs, the same in every run, each operation is done at least once, but for two that never are here.
    #[test]
    fn every_operation_means_something() {
        let mut state = 1_u64;
        let mut byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        let mut done = BTreeSet::new();
        for _ in 0..20_000 {
            let data: Vec<u8> = (0..48).map(|_| byte()).collect();
            control(&data);
            done.extend(performed(&data).and_then(|(operation, _, outcome)| outcome.ok().map(|_| operation)));
        }
        let never: Vec<_> =
            operations::all().map(|operation| operation.name).filter(|name| !done.contains(name)).collect();
        assert_eq!(never, ["StartStreamEncryption", "DeleteResourcePolicy"], "what was never done");
        assert_eq!(testing::arn(), arn());
    }
}
