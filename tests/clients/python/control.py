"""boto3: the control plane. What a stream has beside records and shards, what a consumer has, and what an account has."""
import json

from steps import active, answered, awaited, connect, refused, say

NAME, DEMAND, NEITHER = "control", "control-demand", "control-neither"
kinesis = connect()


def summary(stream):
    return active(kinesis, stream)


def made():
    """A stream of two shards, one on demand, and one of which neither is said."""
    kinesis.create_stream(StreamName=NAME, ShardCount=2, Tags={"team": "flights", "env": "test"})
    kinesis.create_stream(StreamName=DEMAND, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    kinesis.create_stream(StreamName=NEITHER)
    say("made", provisioned=summary(NAME), on_demand=summary(DEMAND), neither=summary(NEITHER))
    refused("count on demand", kinesis.create_stream, StreamName="none", ShardCount=1,
            StreamModeDetails={"StreamMode": "ON_DEMAND"})
    refused("too many shards", kinesis.create_stream, StreamName="none", ShardCount=10001)
    return summary(NAME)["StreamARN"], summary(DEMAND)["StreamARN"]


def monitored():
    for step, call, metrics in [
        ("monitored", kinesis.enable_enhanced_monitoring, ["IncomingBytes", "OutgoingBytes"]),
        ("less monitored", kinesis.disable_enhanced_monitoring, ["IncomingBytes"]),
        ("all monitored", kinesis.enable_enhanced_monitoring, ["ALL"]),
    ]:
        answered(step, call, StreamName=NAME, ShardLevelMetrics=metrics)
        say(f"{step}, described", metrics=summary(NAME)["EnhancedMonitoring"])
    kinesis.disable_enhanced_monitoring(StreamName=NAME, ShardLevelMetrics=["ALL"])
    say("not monitored", metrics=summary(NAME)["EnhancedMonitoring"])


def encrypted():
    key = {"StreamName": NAME, "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
    refused("encrypted", kinesis.start_stream_encryption, **key)
    answered("not encrypted", kinesis.stop_stream_encryption, **key)


def on_other_terms(arn, demand):
    """Record size, mode, retention and what only streams on demand have."""
    kinesis.update_max_record_size(StreamARN=arn, MaxRecordSizeInKiB=2048)
    large = kinesis.put_record(StreamName=NAME, PartitionKey="key", Data=b"x" * (2048 * 1024 - 3))
    say("larger records", kib=summary(NAME)["MaxRecordSizeInKiB"], put_to=large["ShardId"])
    refused("record too large", kinesis.put_record, StreamName=NAME, PartitionKey="key", Data=b"x" * (2048 * 1024 - 2))
    kinesis.increase_stream_retention_period(StreamName=NAME, RetentionPeriodHours=48)
    refused("retention not shorter", kinesis.increase_stream_retention_period, StreamName=NAME, RetentionPeriodHours=24)
    refused("retention too long", kinesis.increase_stream_retention_period, StreamName=NAME, RetentionPeriodHours=8761)

    refused("split on demand", kinesis.split_shard, StreamName=DEMAND, ShardToSplit="0", NewStartingHashKey="100")
    refused("scaled on demand", kinesis.update_shard_count, StreamName=DEMAND, TargetShardCount=2,
            ScalingType="UNIFORM_SCALING")
    answered("not warmed", kinesis.update_stream_warm_throughput, StreamName=DEMAND, WarmThroughputMiBps=0)
    refused("warmed", kinesis.update_stream_warm_throughput, StreamName=DEMAND, WarmThroughputMiBps=5)
    refused("warmed, provisioned", kinesis.update_stream_warm_throughput, StreamName=NAME, WarmThroughputMiBps=0)
    strategy = kinesis.update_stream_record_distribution_strategy
    answered("by partition key", strategy, StreamARN=demand, RecordDistributionStrategy="USER_PARTITION_KEY")
    refused("by none", strategy, StreamARN=demand, RecordDistributionStrategy="AUTO")
    modes = []
    for mode in ("PROVISIONED", "ON_DEMAND"):
        kinesis.update_stream_mode(StreamARN=demand, StreamModeDetails={"StreamMode": mode})
        modes.append((summary(DEMAND)["StreamModeDetails"]["StreamMode"], summary(DEMAND)["OpenShardCount"]))
    say("modes", seen=modes)


def tagged():
    first = answered("first tag", kinesis.list_tags_for_stream, StreamName=NAME, Limit=1)
    answered("next tags", kinesis.list_tags_for_stream, StreamName=NAME, ExclusiveStartTagKey=first["Tags"][0]["Key"])
    refused("tag of AWS's", kinesis.add_tags_to_stream, StreamName=NAME, Tags={"aws:team": "flights"})
    refused("tag of odd letters", kinesis.add_tags_to_stream, StreamName=NAME, Tags={"team": "a;b"})
    refused("too many tags", kinesis.add_tags_to_stream, StreamName=NAME, Tags={f"key {n}": "" for n in range(49)})
    say("tags afterwards", tags=kinesis.list_tags_for_stream(StreamName=NAME)["Tags"])


def with_policy(of, arn):
    policy = json.dumps({"Version": "2012-10-17", "Statement": []}, indent=1)
    refused(f"no policy of {of}", kinesis.delete_resource_policy, ResourceARN=arn)
    kinesis.put_resource_policy(ResourceARN=arn, Policy=policy)
    refused(f"bad policy of {of}", kinesis.put_resource_policy, ResourceARN=arn, Policy="[]")
    kept = kinesis.get_resource_policy(ResourceARN=arn)["Policy"]
    kinesis.delete_resource_policy(ResourceARN=arn)
    say(f"policy of {of}", is_kept=kept == policy, deleted=kinesis.get_resource_policy(ResourceARN=arn)["Policy"])


def consumed(arn):
    board = answered("registered", kinesis.register_stream_consumer, StreamARN=arn, ConsumerName="board",
                     Tags={"team": "boards"})["Consumer"]["ConsumerARN"]
    refused("registered again", kinesis.register_stream_consumer, StreamARN=arn, ConsumerName="board")
    refused("registered nowhere", kinesis.register_stream_consumer, StreamARN=arn + "-none", ConsumerName="board")
    kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="alerts")
    for name in ("board", "alerts"):
        awaited("ACTIVE", lambda: kinesis.describe_stream_consumer(StreamARN=arn, ConsumerName=name)[
            "ConsumerDescription"], key="ConsumerStatus")
    answered("consumer", kinesis.describe_stream_consumer, ConsumerARN=board, StreamARN=arn, ConsumerName="board")
    say("consumers", count=summary(NAME)["ConsumerCount"])
    refused("no such consumer", kinesis.describe_stream_consumer, StreamARN=arn, ConsumerName="none")
    kinesis.tag_resource(ResourceARN=board, Tags={"zone": "b"})
    kinesis.untag_resource(ResourceARN=board, TagKeys=["team", "unknown"])
    say("tags of consumer", tags=kinesis.list_tags_for_resource(ResourceARN=board)["Tags"])
    with_policy("consumer", board)
    refused("deleted with consumers", kinesis.delete_stream, StreamName=NAME)
    kinesis.deregister_stream_consumer(StreamARN=arn, ConsumerName="board")
    refused("deregistered again", kinesis.deregister_stream_consumer, ConsumerARN=board)
    say("deregistered", board=board, left=[
        consumer["ConsumerName"] for consumer in kinesis.list_stream_consumers(StreamARN=arn)["Consumers"]])


def of_account():
    answered("limits", kinesis.describe_limits)
    commitment = "MinimumThroughputBillingCommitment"
    answered("settings", kinesis.describe_account_settings)
    for step, status in (("committed", "ENABLED"), ("committed no more", "DISABLED")):
        given = kinesis.update_account_settings(**{commitment: {"Status": status}})[commitment]
        kept = kinesis.describe_account_settings()[commitment]
        lasts = given["EarliestAllowedEndAt"] - given["StartedAt"]
        say(step, status=given["Status"], is_kept=given == kept, hours=lasts.total_seconds() / 3600)


stream, on_demand = made()
monitored()
encrypted()
on_other_terms(stream, on_demand)
tagged()
with_policy("stream", stream)
consumed(stream)
of_account()
kinesis.delete_stream(StreamName=NAME, EnforceConsumerDeletion=True)
kinesis.delete_stream(StreamName=DEMAND)
kinesis.get_waiter("stream_not_exists").wait(StreamName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
refused("deleted twice", kinesis.delete_stream, StreamName=NAME)
