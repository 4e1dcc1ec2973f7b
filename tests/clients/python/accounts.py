"""boto3: whose streams a key sees. accounts.py GRANTED SECRET PARTNER SECRET: a key with one grant, to read orders in
eu-central-1, and one that may do everything in account 123456789012. The script's own may do so in the broker's own."""
import sys

from steps import active, connect, create, refused, say

granted = connect(aws_access_key_id=sys.argv[1], aws_secret_access_key=sys.argv[2])
partner = connect(aws_access_key_id=sys.argv[3], aws_secret_access_key=sys.argv[4])
own = connect()
elsewhere = connect(region_name="eu-west-1")
arn = create(own, "orders", 1)["StreamARN"]
create(own, "audit", 1)
consumer = own.register_stream_consumer(StreamARN=arn, ConsumerName="board")["Consumer"]["ConsumerARN"]
own.put_record(StreamName="orders", PartitionKey="key", Data=b"kept")


def names(client):
    return client.list_streams()["StreamNames"]


def may_only_read():
    say("granted lists", names=names(granted), shards=[
        shard["ShardId"] for shard in granted.list_shards(StreamName="orders")["Shards"]])
    at = granted.get_shard_iterator(StreamName="orders", ShardId="0", ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    say("granted reads", texts=[record["Data"].decode() for record in granted.get_records(ShardIterator=at)["Records"]],
        tags=granted.list_tags_for_stream(StreamName="orders")["Tags"])
    of_orders, account = {"StreamName": "orders"}, {"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}}
    for operation, arguments in [
        ("put_record", {**of_orders, "PartitionKey": "key", "Data": b""}),
        ("create_stream", {"StreamName": "other", "ShardCount": 1}),
        ("delete_stream", of_orders),
        ("split_shard", {**of_orders, "ShardToSplit": "0", "NewStartingHashKey": "77"}),
        ("increase_stream_retention_period", {**of_orders, "RetentionPeriodHours": 48}),
        ("add_tags_to_stream", {**of_orders, "Tags": {"a": "b"}}),
        ("enable_enhanced_monitoring", {**of_orders, "ShardLevelMetrics": ["ALL"]}),
        ("stop_stream_encryption", {**of_orders, "EncryptionType": "KMS", "KeyId": "key"}),
        ("register_stream_consumer", {"StreamARN": arn, "ConsumerName": "other"}),
        ("deregister_stream_consumer", {"ConsumerARN": consumer}),
        ("put_resource_policy", {"ResourceARN": arn, "Policy": "{}"}),
        ("update_account_settings", account),
    ]:
        refused(f"granted {operation}", getattr(granted, operation), **arguments)
    for stream in ("audit", "none"):
        refused(f"granted describes {stream}", granted.describe_stream, StreamName=stream)
        refused(f"granted puts to {stream}", granted.put_record, StreamName=stream, PartitionKey="key", Data=b"")
    say("as it was", names=names(own), tags=own.list_tags_for_stream(StreamName="orders")["Tags"], consumers=[
        found["ConsumerName"] for found in own.list_stream_consumers(StreamARN=arn)["Consumers"]])


def has_an_account_of_its_own():
    theirs = create(partner, "orders", 2)["StreamARN"]
    say("partner", arn=theirs, names=names(partner), shards=active(partner, "orders")["OpenShardCount"])
    seen = own.describe_stream_summary(StreamARN=theirs)["StreamDescriptionSummary"]
    say("partner's seen by its ARN", shards=seen["OpenShardCount"])
    refused("ours by its ARN", partner.describe_stream_summary, StreamARN=arn)
    refused("partner puts to ours", partner.put_record, StreamARN=arn, PartitionKey="key", Data=b"")
    refused("partner subscribes to ours", partner.subscribe_to_shard, ConsumerARN=consumer, ShardId="0",
            StartingPosition={"Type": "LATEST"})
    at = own.get_shard_iterator(StreamName="orders", ShardId="0", ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    refused("partner reads on from ours", partner.get_records, ShardIterator=at)
    refused("partner lists on from ours", partner.list_streams, NextToken=own.list_streams(Limit=1)["NextToken"])
    partner.update_account_settings(MinimumThroughputBillingCommitment={"Status": "ENABLED"})
    say("settings", partner=status(partner), own=status(own))
    say("limits", partner=partner.describe_limits()["OpenShardCount"], own=own.describe_limits()["OpenShardCount"])
    partner.delete_stream(StreamName="orders")
    say("partner's deleted", partner=names(partner), own=names(own))


def status(client):
    return client.describe_account_settings()["MinimumThroughputBillingCommitment"]["Status"]


def is_in_another_region():
    there = create(elsewhere, "orders", 3)["StreamARN"]
    say("elsewhere", arn=there, names=names(elsewhere), shards=active(elsewhere, "orders")["OpenShardCount"])
    refused("elsewhere by its ARN", own.describe_stream, StreamARN=there)
    refused("here by its ARN", elsewhere.describe_stream, StreamARN=arn)
    say("limits of regions", elsewhere=elsewhere.describe_limits()["OpenShardCount"],
        own=own.describe_limits()["OpenShardCount"])
    elsewhere.delete_stream(StreamName="orders")
    say("elsewhere deleted", elsewhere=names(elsewhere), own=names(own))


may_only_read()
has_an_account_of_its_own()
is_in_another_region()
