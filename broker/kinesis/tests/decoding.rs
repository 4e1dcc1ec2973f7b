//! Bodies that are read: conversions, AWS's words for what cannot be converted, and what is malformed.

use minicbor::Encoder;
use minicbor::data::Tag;
use rheos_kinesis::codec::Encoding::{Cbor, Json};
use rheos_kinesis::codec::{Encoding, Malformed};
use rheos_kinesis::error::{Error, ErrorKind};
use rheos_kinesis::shapes::{Members, operations};
use rheos_kinesis::value::{Structure, TimestampMs, items};

#[test]
fn what_cannot_be_converted_is_told_in_awss_words() {
    let number = "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to";
    let list = "Start of list found where not expected".to_owned();
    let map = "Start of structure or map found where not expected.".to_owned();
    for (operation, body, message) in [
        ("PutRecord", r#"{"DryRun":1}"#, format!("{number} an Boolean")),
        ("PutRecord", r#"{"DryRun":"hellowtf"}"#, "'HELLOWTF' can not be converted to an Boolean".to_owned()),
        ("PutRecord", r#"{"DryRun":[]}"#, list.clone()),
        ("PutRecord", r#"{"DryRun":{}}"#, map.clone()),
        ("PutRecord", r#"{"StreamName":4.5}"#, format!("{number} an String")),
        ("PutRecord", r#"{"StreamName":true}"#, "class java.lang.Boolean can not be converted to an String".to_owned()),
        ("PutRecord", r#"{"StreamName":["a"]}"#, list.clone()),
        ("PutRecord", r#"{"StreamName":{"a":1}}"#, map.clone()),
        ("PutRecord", r#"{"Data":3}"#, format!("{number} a Blob")),
        ("PutRecord", r#"{"Data":false}"#, "class java.lang.Boolean can not be converted to a Blob".to_owned()),
        (
            "PutRecord",
            r#"{"Data":"AAAAA"}"#,
            "'AAAAA' can not be converted to a Blob: \
             Base64 encoded length is expected a multiple of 4 bytes but found: 5"
                .to_owned(),
        ),
        (
            "PutRecord",
            r#"{"Data":"=AAA"}"#,
            "'=AAA' can not be converted to a Blob: Invalid Base64 character: '='".to_owned(),
        ),
        (
            "PutRecord",
            r#"{"Data":"+/+="}"#,
            "'+/+=' can not be converted to a Blob: Invalid last non-pad Base64 character dectected".to_owned(),
        ),
        (
            "CreateStream",
            r#"{"ShardCount":"3"}"#,
            "class java.lang.String can not be converted to an Integer".to_owned(),
        ),
        (
            "CreateStream",
            r#"{"ShardCount":true}"#,
            "class java.lang.Boolean can not be converted to an Integer".to_owned(),
        ),
        ("CreateStream", r#"{"ShardCount":[3]}"#, list.clone()),
        (
            "GetShardIterator",
            r#"{"Timestamp":"x"}"#,
            "class java.lang.String can not be converted to milliseconds since epoch".to_owned(),
        ),
        ("PutRecords", r#"{"Records":"x"}"#, "Expected list or null".to_owned()),
        ("PutRecords", r#"{"Records":{}}"#, map.clone()),
        ("PutRecords", r#"{"Records":[7]}"#, "Expected null".to_owned()),
        ("PutRecords", r#"{"Records":[[]]}"#, list.clone()),
        ("AddTagsToStream", r#"{"Tags":true}"#, "Expected map or null".to_owned()),
        ("AddTagsToStream", r#"{"Tags":[]}"#, list),
        ("AddTagsToStream", r#"{"Tags":{"a":{}}}"#, map),
        ("ListShards", r#"{"ShardFilter":5}"#, "Expected null".to_owned()),
        // The first of several is told, and values of a wrong type are told before broken constraints.
        (
            "CreateStream",
            r#"{"StreamName":"","ShardCount":"3","Tags":1}"#,
            "class java.lang.String can not be converted to an Integer".to_owned(),
        ),
    ] {
        let refused = Json.decode(input_of(operation), body.as_bytes()).expect(body).prove();
        assert_eq!(refused, Err(Error::new(ErrorKind::Serialization, message)), "{operation} {body}");
    }
}

#[test]
fn what_can_be_converted_is() {
    let limit = |number: &str| {
        let body = format!(r#"{{"StreamName":"s","RetentionPeriodHours":{number}}}"#);
        proved(Json, "IncreaseStreamRetentionPeriod", body.as_bytes()).required::<i64>("RetentionPeriodHours")
    };
    for (number, read) in [
        ("7", 7),
        ("7.9", 7),
        ("-7.1", -8),
        ("3000000000", i32::MAX.into()),
        ("-3000000000", i32::MIN.into()),
        ("1e300", i32::MAX.into()),
        ("99999999999999999999", i32::MAX.into()),
    ] {
        assert_eq!(limit(number), read, "{number}");
    }
    for (text, read) in [("true", true), ("\"True\"", true), ("\"YES\"", true), ("\"1\"", true), ("\"no\"", false)] {
        let body = format!(r#"{{"EnforceConsumerDeletion":{text}}}"#);
        let input = proved(Json, "DeleteStream", body.as_bytes());
        assert_eq!(input.optional::<bool>("EnforceConsumerDeletion"), Some(read), "{text}");
    }
    for (seconds, ms) in [
        ("1700000000", 1_700_000_000_000),
        ("1700000000.123", 1_700_000_000_123),
        ("1e9", 1_000_000_000_000),
        ("-0.5", -500),
    ] {
        let body = format!(r#"{{"StreamName":"s","StreamCreationTimestamp":{seconds}}}"#);
        let input = proved(Json, "ListShards", body.as_bytes());
        assert_eq!(input.optional("StreamCreationTimestamp"), Some(TimestampMs(ms)), "{seconds}");
    }
}

#[test]
fn unknown_members_and_nulls_are_dropped() {
    let body = br#"{"Zzz":[{"a":[1,{}]}],"StreamName":null,"StreamName":"a","StreamName":"b","DryRun":null,
        "Data":"","PartitionKey":"\u00e4\ud83d\ude00"}"#;
    let input = proved(Json, "PutRecord", body);
    assert_eq!(input.optional("StreamName"), Some("b"), "the last of several counts");
    assert_eq!(input.optional::<bool>("DryRun"), None);
    assert_eq!(input.optional("PartitionKey"), Some("ä😀"));
}

#[test]
fn cbor_is_read_in_every_form() {
    let mut body = Vec::new();
    let mut to = Encoder::new(&mut body);
    to.begin_map().unwrap();
    to.str("Records").unwrap().begin_array().unwrap();
    to.map(2).unwrap().str("Data").unwrap().bytes(b"ab").unwrap().str("PartitionKey").unwrap();
    to.begin_str().unwrap().str("k").unwrap().str("ey").unwrap().end().unwrap();
    to.map(3)
        .unwrap()
        .str("Data")
        .unwrap()
        .begin_bytes()
        .unwrap()
        .bytes(b"c")
        .unwrap()
        .bytes(b"d")
        .unwrap()
        .end()
        .unwrap();
    to.str("PartitionKey").unwrap().str("k").unwrap().str("Unknown").unwrap();
    to.tag(Tag::new(9)).unwrap().tag(Tag::new(4)).unwrap().array(2).unwrap().f64(0.5).unwrap().undefined().unwrap();
    to.end().unwrap();
    to.str("StreamName").unwrap().str("s").unwrap().str("DryRun").unwrap().undefined().unwrap();
    to.end().unwrap();

    let input = proved(Cbor, "PutRecords", &body);
    let records: Vec<&Structure> = items(input.required("Records")).collect();
    assert_eq!(records.len(), 2);
    for (record, data, key) in [(records[0], b"ab", "key"), (records[1], b"cd", "k")] {
        assert_eq!(record.required::<&bytes::Bytes>("Data").as_ref(), data);
        assert_eq!(record.optional("PartitionKey"), Some(key));
    }
}

#[test]
fn cbor_timestamps_are_milliseconds_with_or_without_a_tag() {
    let write: [fn(&mut Encoder<&mut Vec<u8>>); 3] = [
        |to| _ = to.tag(Tag::new(1)).unwrap().u64(1_700_000_000_123).unwrap(),
        |to| _ = to.u64(1_700_000_000_123).unwrap(),
        |to| _ = to.tag(Tag::new(1)).unwrap().f64(1_700_000_000_123.75).unwrap(),
    ];
    for write in write {
        let mut body = Vec::new();
        let mut to = Encoder::new(&mut body);
        to.map(1).unwrap().str("StreamCreationTimestamp").unwrap();
        write(&mut to);
        let input = proved(Cbor, "ListShards", &body);
        assert_eq!(input.optional("StreamCreationTimestamp"), Some(TimestampMs(1_700_000_000_123)));
    }
}

#[test]
fn cbor_numbers_beyond_64_bits_are_the_nearest() {
    for (number, read) in [
        (&b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff"[..], i32::MAX),
        (b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff", i32::MIN),
        (b"\xf9\x44\x80", 4),
    ] {
        let body = [b"\xa2\x6aStreamName\x61s\x74RetentionPeriodHours", number].concat();
        let input = proved(Cbor, "IncreaseStreamRetentionPeriod", &body);
        assert_eq!(input.required::<i64>("RetentionPeriodHours"), i64::from(read));
    }
}

#[test]
fn malformed_bodies_are_found_whatever_stands_before() {
    let deep = "[".repeat(100_000);
    for body in [
        "",
        "[]",
        "7",
        "null",
        "\"a\"",
        "{",
        "{}x",
        "{} {}",
        "{\"a\":1,}",
        "{a:1}",
        "\u{feff}{}",
        r#"{"StreamName":7,"Data":"#,
        r#"{"StreamName":"\ud800"}"#,
        &format!(r#"{{"Zzz":{deep}"#),
        &format!(r#"{{"StreamName":{deep}"#),
        &format!(r#"{{"Records":{deep}"#),
    ] {
        let read = Json.decode(input_of("PutRecords"), body.as_bytes());
        assert_eq!(read, Err(Malformed), "{}", &body[..body.len().min(40)]);
    }
    let deep = [b"\xa1\x63Zzz".to_vec(), vec![0x81; 100_000], vec![0x01]].concat();
    let endless = [b"\xa1\x63Zzz".to_vec(), vec![0x9f; 100_000]].concat();
    let tags = [b"\xa1\x63Zzz".to_vec(), vec![0xc1; 100_000]].concat();
    for body in [
        &b""[..],
        b"\x80",
        b"\x01",
        b"\xf6",
        b"\xa1",
        b"\xbf",
        b"\xa0\xa0",
        b"\xa1\x01\x01",
        b"\xff",
        b"\xa1\x61a\xff",
        b"\xa1\x61\xff\x01",
        b"\xbf\x61a\xff",
        b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xa1\x61a\x1c",
        b"\xa1\x67Records\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xa1\x64Data\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\xa1\x64Data\x5f\x61a\xff",
        &deep,
        &endless,
        &tags,
    ] {
        let read = Cbor.decode(input_of("PutRecords"), body);
        assert_eq!(read, Err(Malformed), "{:02x?}", &body[..body.len().min(20)]);
    }
}

#[test]
fn nesting_is_read_to_its_bound() {
    let nested = |depth: usize| format!(r#"{{"Zzz":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert!(Json.decode(input_of("PutRecord"), nested(100).as_bytes()).is_ok());
    for depth in [1, 100, 127, 128, 129] {
        let body = [b"\xa1\x63Zzz".to_vec(), vec![0x81; depth], vec![0x01]].concat();
        assert_eq!(Cbor.decode(input_of("PutRecord"), &body).is_ok(), depth < 128, "{depth}");
    }
}

#[test]
fn no_more_than_one_item_too_many_is_kept() {
    let body = format!(r#"{{"StreamName":"s","TagKeys":[{}]}}"#, vec!["\"a\""; 5000].join(","));
    let refused = Json.decode(input_of("RemoveTagsFromStream"), body.as_bytes()).unwrap().prove().unwrap_err();
    let kept = ["a"; 51].join(", ");
    let text = format!(
        "1 validation error detected: Value '[{kept}]' at 'tagKeys' failed to satisfy constraint: \
         Member must have length less than or equal to 50"
    );
    assert_eq!(refused, Error::new(ErrorKind::Validation, text));
}

#[test]
fn what_messages_repeat_is_cut() {
    let long = "é".repeat(5 << 20);
    let bodies = [
        format!(r#"{{"StreamName":"{long}"}}"#),
        format!(r#"{{"Data":"{long}"}}"#),
        format!(r#"{{"DryRun":"{long}"}}"#),
    ];
    for body in bodies {
        let refused = Json.decode(input_of("PutRecord"), body.as_bytes()).unwrap().prove().unwrap_err();
        let length = refused.message.as_ref().map_or(0, String::len);
        assert!((60_000..200_000).contains(&length), "{length}");
    }
}

fn input_of(operation: &str) -> Members {
    operations::find(operation).expect(operation).input
}

fn proved(encoding: Encoding, operation: &str, body: &[u8]) -> Structure {
    let claim = encoding.decode(input_of(operation), body).expect("the body is well formed");
    claim.prove().unwrap_or_else(|refused| panic!("{operation}: {refused}"))
}

#[test]
fn a_null_in_a_list_or_map_is_refused() {
    for (operation, body, path) in [
        ("PutRecords", r#"{"StreamName":"s","Records":[null]}"#, "records.1.member"),
        ("RemoveTagsFromStream", r#"{"StreamName":"s","TagKeys":["a",null]}"#, "tagKeys.2.member"),
        ("AddTagsToStream", r#"{"StreamName":"s","Tags":{"a":null}}"#, "tags.a.member"),
    ] {
        let refused = Json.decode(input_of(operation), body.as_bytes()).unwrap().prove();
        let text = format!(
            "1 validation error detected: Value null at '{path}' failed to satisfy constraint: Member must not be null"
        );
        assert_eq!(refused, Err(Error::new(ErrorKind::Validation, text)));
    }
}
