//! Wrong frames, batches and requests: each has its numbered answer.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_are_none_are_answered_with_a_number() {
    let ground = ground().await;
    let (id, good) = (ground.stream.incarnation, good_batch(&ground.stream, b"data"));
    let whole = put_frame(1, &good);
    let close = Answer::Close;
    let cases: Vec<(&str, Vec<u8>, Answer)> = vec![
        ("half a frame header", whole[..7].to_vec(), close(ErrorCode::BadFrame)),
        ("half a put", whole[..40].to_vec(), close(ErrorCode::BadFrame)),
        ("a put and half a frame", [&whole[..], &whole[..20]].concat(), close(ErrorCode::BadFrame)),
        (
            "half a request",
            request_frame(&Request::DescribeStream("good".into()))[..20].to_vec(),
            close(ErrorCode::BadFrame),
        ),
        ("a put of 4 GiB", header(kind::PUT, u32::MAX).to_vec(), close(ErrorCode::FrameTooLarge)),
        (
            "a put too large by one",
            header(kind::PUT, PUT_FRAME_BYTES_MAX + 1).to_vec(),
            close(ErrorCode::FrameTooLarge),
        ),
        ("a read of 4 GiB", header(kind::READ, u32::MAX).to_vec(), close(ErrorCode::FrameTooLarge)),
        (
            "a request too large by one",
            header(kind::READ, CONTROL_FRAME_BYTES_MAX + 1).to_vec(),
            close(ErrorCode::FrameTooLarge),
        ),
        ("4 GiB of an unknown kind", header(9_998, u32::MAX).to_vec(), close(ErrorCode::FrameTooLarge)),
        (
            "a large frame after a put",
            [&whole[..], &header(kind::PUT, u32::MAX)[..]].concat(),
            close(ErrorCode::FrameTooLarge),
        ),
        ("a read of three bytes", frame(kind::READ, 1, b"abc").to_vec(), close(ErrorCode::BadFrame)),
        (
            "a name that is no text",
            frame(kind::DESCRIBE_STREAM, 1, &[2, 0, 0xff, 0xff]).to_vec(),
            close(ErrorCode::BadFrame),
        ),
        (
            "a name that goes beyond its frame",
            frame(kind::DESCRIBE_STREAM, 1, &[0xff, 0xff, b'a']).to_vec(),
            close(ErrorCode::BadFrame),
        ),
        ("an unknown request", frame(9_998, 1, b"abc").to_vec(), Answer::Error(ErrorCode::Unsupported)),
        ("kind 0", frame(0, 1, b"").to_vec(), Answer::Error(ErrorCode::Unsupported)),
        ("a reply", frame(kind::ACK, 1, &[0; 16]).to_vec(), Answer::Error(ErrorCode::Unsupported)),
        ("an empty put", put_frame(1, b"").to_vec(), Answer::Error(ErrorCode::BadBatch)),
        ("a put that is no batch", put_frame(1, &[7; 500]).to_vec(), Answer::Error(ErrorCode::BadBatch)),
        (
            "an unknown batch version",
            put_frame(1, &batch(id, 0, 1, &record("k", None, b""), |h| h[4] = 9)).to_vec(),
            Answer::Error(ErrorCode::BadBatch),
        ),
        (
            "an unknown codec",
            put_frame(1, &batch(id, 0, 1, &record("k", None, b""), |h| h[5] = 1)).to_vec(),
            Answer::Error(ErrorCode::BadBatch),
        ),
        (
            "a body of 4 GiB",
            put_frame(1, &batch(id, 0, 1, b"", |h| h[12..16].fill(0xff))).to_vec(),
            Answer::Error(ErrorCode::BadBatch),
        ),
        ("no records", put_frame(1, &batch(id, 0, 0, b"", |_| {})).to_vec(), Answer::Error(ErrorCode::BadBatch)),
        (
            "too many records",
            put_frame(1, &batch(id, 0, BATCH_RECORDS_MAX + 1, b"", |_| {})).to_vec(),
            Answer::Error(ErrorCode::BadBatch),
        ),
        (
            "more records than there are",
            put_frame(1, &batch(id, 0, 2, &record("k", None, b""), |_| {})).to_vec(),
            Answer::Error(ErrorCode::BadBatch),
        ),
        (
            "fewer records than there are",
            put_frame(1, &batch(id, 0, 1, &[record("k", None, b""), record("k", None, b"")].concat(), |_| {})).to_vec(),
            Answer::Error(ErrorCode::BadBatch),
        ),
        ("a batch that ends early", put_frame(1, &good[..good.len() - 1]).to_vec(), Answer::Error(ErrorCode::BadBatch)),
        ("bytes after a batch", put_frame(1, &[&good[..], b"x"].concat()).to_vec(), Answer::Error(ErrorCode::BadBatch)),
        (
            "the last sequence of all",
            put_frame(1, &batch(id, 0, 1, &record("k", None, b""), |h| h[56..64].fill(0xff))).to_vec(),
            Answer::Error(ErrorCode::BadBatch),
        ),
    ];
    for (what, bytes, answer) in cases {
        expect(&ground, what, &bytes, answer).await;
    }
    for (what, at) in [("the header's checksum", 20), ("the body's checksum", good.len() - 1)] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        expect(&ground, what, &put_frame(1, &bad), Answer::Error(ErrorCode::BadChecksum)).await;
    }
    ground.unharmed(GROWTH_BYTES_MAX).await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn puts_and_reads_of_what_is_not_there_are_refused_by_name() {
    let ground = ground().await;
    let id = ground.stream.incarnation;
    let put = |bytes: Vec<u8>| put_frame(1, &bytes).to_vec();
    let one = |key: &str, data: &[u8]| record(key, Some(0), data);
    let read = |incarnation, shard, position, bytes_max| {
        request_frame(&Request::Read(Read { incarnation, shard, position, bytes_max })).to_vec()
    };
    let create = |name: &str, shards, retention_ms, record_bytes_max| {
        request_frame(&Request::CreateStream(CreateStream {
            name: name.into(),
            shards,
            retention_ms,
            record_bytes_max,
            ..CreateStream::default()
        }))
        .to_vec()
    };
    let subscribe = Request::Subscribe(Subscribe {
        incarnation: id,
        shard: 0,
        consumer: "me".to_owned(),
        epoch: u64::MAX,
        position: Position::Latest,
        credit: u64::MAX,
    });
    let client = ground.client().await;
    let hello = Request::Hello(client.hello(&ground.key));
    let error = Answer::Error;
    let cases: Vec<(&str, Vec<u8>, Answer)> = vec![
        ("an unknown stream", put(batch(id + 77, 0, 1, &one("k", b""), |_| {})), error(ErrorCode::StreamNotFound)),
        ("an unknown shard", put(batch(id, 2, 1, &one("k", b""), |_| {})), error(ErrorCode::ShardNotFound)),
        ("the last shard of all", put(batch(id, u32::MAX, 1, &one("k", b""), |_| {})), error(ErrorCode::ShardNotFound)),
        ("another shard's record", put(batch(id, 1, 1, &one("k", b""), |_| {})), error(ErrorCode::WrongShard)),
        ("an empty key", put(batch(id, 0, 1, &one("", b""), |_| {})), error(ErrorCode::BadKey)),
        ("a key too long by one", put(batch(id, 0, 1, &one(&"k".repeat(257), b""), |_| {})), error(ErrorCode::BadKey)),
        ("a key of 60 kB", put(batch(id, 0, 1, &one(&"k".repeat(60_000), b""), |_| {})), error(ErrorCode::BadKey)),
        (
            "a key of 256 wide characters",
            put(batch(id, 0, 1, &one(&"\u{1f980}".repeat(256), b""), |_| {})),
            Answer::Done,
        ),
        ("a record of 1 MiB", put(batch(id, 0, 1, &one("k", &vec![1; 1 << 20]), |_| {})), Answer::Done),
        (
            "a record of more than the stream takes",
            put(batch(id, 0, 1, &one("k", &vec![1; (1 << 20) + 1]), |_| {})),
            error(ErrorCode::RecordTooLarge),
        ),
        (
            "a record of more than any stream takes",
            put(batch(id, 0, 1, &one("k", &vec![1; (10 << 20) + 1]), |_| {})),
            error(ErrorCode::RecordTooLarge),
        ),
        ("a read of an unknown stream", read(id + 77, 0, Position::Latest, 1), error(ErrorCode::StreamNotFound)),
        ("a read of an unknown shard", read(id, 2, Position::Latest, 1), error(ErrorCode::ShardNotFound)),
        ("a read of nothing", read(id, 0, Position::Latest, 0), error(ErrorCode::BadRequest)),
        ("a read of 4 GiB", read(id, 0, Position::Latest, u32::MAX), error(ErrorCode::BadRequest)),
        ("a read too large by one", read(id, 0, Position::Latest, READ_BYTES_MAX + 1), error(ErrorCode::BadRequest)),
        ("a read beyond the tip", read(id, 1, Position::AtSequence(1), 1), error(ErrorCode::BeyondTip)),
        ("a read at 2^62", read(id, 0, Position::AtSequence(1 << 62), 1), error(ErrorCode::BeyondTip)),
        (
            "a read after the last sequence of all",
            read(id, 0, Position::AfterSequence(u64::MAX), 1),
            error(ErrorCode::BeyondTip),
        ),
        ("a read at the end of time", read(id, 0, Position::AtTimestamp(u64::MAX), 1), Answer::Done),
        ("a stream without a name", create("", 1, 0, 0), error(ErrorCode::BadRequest)),
        ("a stream with a bad name", create("a b", 1, 0, 0), error(ErrorCode::BadRequest)),
        ("a stream with a name too long", create(&"n".repeat(129), 1, 0, 0), error(ErrorCode::BadRequest)),
        ("a stream without shards", create("s", 0, 0, 0), error(ErrorCode::BadRequest)),
        ("a stream with too many shards", create("s", 10_001, 0, 0), error(ErrorCode::BadRequest)),
        ("a stream with 2^32 shards", create("s", u32::MAX, 0, 0), error(ErrorCode::BadRequest)),
        ("a short retention", create("s", 1, 1, 0), error(ErrorCode::BadRequest)),
        ("a retention without end", create("s", 1, u64::MAX, 0), error(ErrorCode::BadRequest)),
        ("records of 11 MiB", create("s", 1, 0, 11 << 20), error(ErrorCode::BadRequest)),
        ("a stream that exists", create("good", 1, 0, 0), error(ErrorCode::StreamExists)),
        (
            "an unknown stream to describe",
            request_frame(&Request::DescribeStream("none".into())).to_vec(),
            error(ErrorCode::StreamNotFound),
        ),
        (
            "an unknown stream to delete",
            request_frame(&Request::DeleteStream("none".into())).to_vec(),
            error(ErrorCode::StreamNotFound),
        ),
        ("a subscription of nobody", request_frame(&subscribe).to_vec(), error(ErrorCode::ConsumerNotFound)),
        ("credit", request_frame(&Request::Credit(u64::MAX)).to_vec(), error(ErrorCode::Unsupported)),
        ("the end of a subscription", request_frame(&Request::Unsubscribe).to_vec(), error(ErrorCode::Unsupported)),
        ("a second Hello", request_frame(&hello).to_vec(), error(ErrorCode::Unsupported)),
    ];
    for (what, bytes, answer) in cases {
        expect(&ground, what, &bytes, answer).await;
    }
    // What is wrong is named.
    for (request, name) in [
        (Request::DescribeStream("nowhere".to_owned()), "nowhere"),
        (Request::DeleteStream("nowhere".to_owned()), "nowhere"),
        (subscribe, "\"me\""),
    ] {
        let Ok(Reply::Error(error)) = client.ask(&request).await else { panic!("{request:?} is refused") };
        assert!(error.message.contains(name), "{error}");
    }
    ground.unharmed(GROWTH_BYTES_MAX).await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_record_is_stored_and_read_where_a_stream_allows_it() {
    let ground = ground().await;
    let client = ground.broker.client().await;
    let spec = StreamSpec { record_bytes_max: RECORD_BYTES_MAX, ..StreamSpec::new("large", 1) };
    let large = client.create_stream(spec).await.expect("10 MiB are allowed");
    let raw = ground.client().await;
    let data: Vec<u8> = (0..RECORD_BYTES_MAX).map(|at| (at % 251) as u8).collect();
    for sequence in 0..3 {
        assert_eq!(raw.put(&good_batch(&large, &data)).await, Ok(sequence));
    }
    let beyond = record("k", Some(0), &vec![0; RECORD_BYTES_MAX as usize + 1]);
    let refused = raw.put(&batch(large.incarnation, 0, 1, &beyond, |_| {})).await;
    assert_eq!(refused.expect_err("it is too large").code, ErrorCode::RecordTooLarge);
    let mut reader = client.reader("large", 0, Position::TrimHorizon).await.expect("it is there");
    for sequence in 0..3 {
        let read = reader.next().await.expect("it is read").expect("the client is open");
        assert!(read.sequence == sequence && read.record.data[..] == data[..], "it is what was put");
    }
    client.close().await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_stream_answers_each_wrong_put_in_its_turn() {
    let ground = ground().await;
    let (raw, good) = (ground.client().await, good_batch(&ground.stream, b"data"));
    let mut bad = good.clone();
    *bad.last_mut().expect("it has bytes") ^= 1;
    let frames = [
        put_frame(1, &good),
        put_frame(2, &bad),
        frame(kind::PING, 3, b""),
        put_frame(4, &good),
        frame(9_998, 5, b"?"),
        put_frame(6, &good),
    ];
    let (mut send, mut receive) = raw.send(&frames.concat()).await.expect("the connection stands");
    send.finish().expect("it is open");
    let mut answers = Vec::new();
    for _ in 0..frames.len() {
        let (id, reply) = read_reply(&mut receive).await.expect("each frame is answered");
        let outcome = match reply {
            Reply::Ack { first_sequence, .. } => Ok(first_sequence),
            Reply::Error(error) => Err(error.code),
            other => panic!("a put was answered {other:?}"),
        };
        answers.push((id, outcome));
    }
    answers.sort_by_key(|answer| answer.0);
    let expected = [
        (1, Ok(0)),
        (2, Err(ErrorCode::BadChecksum)),
        (3, Err(ErrorCode::Unsupported)),
        (4, Ok(1)),
        (5, Err(ErrorCode::Unsupported)),
        (6, Ok(2)),
    ];
    assert_eq!(answers, expected);
    assert!(receive.read_to_end(1).await.expect("the stream ends in order").is_empty());
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_with_more_fields_than_we_know_is_understood() {
    let ground = ground().await;
    let raw = ground.client().await;
    let mut payload = bytes::BytesMut::new();
    FieldWriter::text(&mut payload, "target");
    payload.extend_from_slice(&[9; 40]);
    let reply = raw.exchange(&frame(kind::DESCRIBE_STREAM, 1, &payload)).await;
    let Ok(Reply::Stream(stream)) = reply else { panic!("a later client is understood, not answered {reply:?}") };
    assert_eq!(stream, ground.stream);
    ground.end().await;
}
