#!/bin/sh
# The AWS CLI, as a person types it; version 1, which takes data as they are and shows them in base64.
# A line of JSON for each step, which the test judges.
set -eu

# A step's name, then what the CLI printed, without its line ends; null for nothing.
say() { printf '{"step":"%s","seen":%s}\n' "$1" "$(printf '%s' "${2:-null}" | tr -d '\n')"; }

aws kinesis create-stream --stream-name session --shard-count 1
aws kinesis wait stream-exists --stream-name session
say described "$(aws kinesis describe-stream --stream-name session)"
say listed "$(aws kinesis list-streams)"
say put "$(aws kinesis put-record --stream-name session --partition-key key --data 'typed by hand')"
say "put many" "$(aws kinesis put-records --stream-name session \
    --records Data=second,PartitionKey=key Data=third,PartitionKey=key)"
iterator=$(aws kinesis get-shard-iterator --stream-name session --shard-id shardId-000000000000 \
    --shard-iterator-type TRIM_HORIZON --query ShardIterator --output text)
say read "$(aws kinesis get-records --shard-iterator "$iterator")"
aws kinesis add-tags-to-stream --stream-name session --tags team=flights
say tags "$(aws kinesis list-tags-for-stream --stream-name session)"
if refused=$(aws kinesis describe-stream --stream-name nowhere 2>&1); then
    refused="it is there"
fi
say refused "\"$(printf '%s' "$refused" | tr -d '"')\""
aws kinesis delete-stream --stream-name session
aws kinesis wait stream-not-exists --stream-name session
say deleted "$(aws kinesis list-streams)"
