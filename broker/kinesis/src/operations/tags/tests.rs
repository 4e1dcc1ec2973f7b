use rheos_protocol::name::ConsumerName;

use super::*;
use crate::arn::ConsumerArn;
use crate::operations::testing::{arn, input_of, json, refusal_of};

const STREAM: &str = "stream orders under account 000000000000";

fn map(tags: &[(&str, &str)]) -> Value {
    Value::Map(tags.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect())
}

fn tags(all: &[(&str, &str)]) -> Tags {
    let tag = |(key, value): &(&str, &str)| Tag { key: (*key).to_owned(), value: (*value).to_owned() };
    Tags::default().change(&all.iter().map(tag).collect::<Vec<_>>(), &[]).expect("they may be")
}

fn add_to(now: &Tags, given: &[(&str, &str)]) -> Result<TagChange, Error> {
    add(&input_of("AddTagsToStream", [("Tags", map(given))]), STREAM, now)
}

fn remove_keys(keys: &[&str]) -> Result<TagChange, Error> {
    remove(&input_of("RemoveTagsFromStream", [("TagKeys", keys.iter().copied().collect())]), STREAM)
}

#[test]
fn tags_are_added_and_removed() {
    let change = add_to(&tags(&[("a", "1")]), &[("b", "x y"), ("a", "ü_.:/=+-@")]).expect("they may be");
    let set: Vec<_> = change.set.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect();
    assert_eq!((set, change.remove.len()), (vec![("a", "ü_.:/=+-@"), ("b", "x y")], 0));
    let change = remove_keys(&["a", "none"]).expect("keys need not be there");
    assert_eq!((change.set.len(), change.remove), (0, vec!["a".to_owned(), "none".to_owned()]));
}

#[test]
fn what_tags_may_not_be_is_said_in_awss_words() {
    let invalid = "InvalidArgumentException: Some tags contain invalid characters. Valid characters: Unicode letters, \
                   digits, white space, _ . / = + - % @.";
    let illegal = |verb: &str| {
        format!(
            "InvalidArgumentException: Failed to {verb} {STREAM} because some tags contained illegal characters. The \
             allowed characters are Unicode letters, white-spaces, '_',',','/','=','+','-','@'."
        )
    };
    for (key, value) in [("a!", ""), ("a", "\u{7}"), ("a", "x,y"), ("%!", "")] {
        assert_eq!(refusal_of(add_to(&Tags::default(), &[(key, value)])), invalid, "{key} {value}");
    }
    let late = format!("{}!", "ü".repeat(255));
    assert_eq!(refusal_of(add_to(&Tags::default(), &[("a", &late)])), invalid);
    assert_eq!(refusal_of(add_to(&Tags::default(), &[("a", "50%")])), illegal("add tags to"));
    assert_eq!(refusal_of(add_to(&Tags::default(), &[("%", "")])), illegal("add tags to"));
    assert_eq!(refusal_of(remove_keys(&["a", "b%"])), illegal("remove tags from"));
    assert_eq!(refusal_of(remove_keys(&["a?"])), invalid);
    for key in ["aws:a", "AWS:a"] {
        let reserved = format!(
            "InvalidArgumentException: Tag key {key} is invalid: aws: prefixed tag key names are not allowed for external \
             use."
        );
        assert_eq!(refusal_of(add_to(&Tags::default(), &[(key, "")])), reserved);
        assert_eq!(refusal_of(remove_keys(&[key])), reserved);
    }
    // The longest that the table lets through may be.
    assert!(add_to(&Tags::default(), &[(&"ü".repeat(128), &"語".repeat(256))]).is_ok());
}

#[test]
fn there_are_fifty_at_most() {
    let names: Vec<String> = (0..51).map(|number| format!("k{number:02}")).collect();
    let pairs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    assert!(add_to(&Tags::default(), &pairs[..50]).is_ok());
    let full = tags(&pairs[..50]);
    assert!(add_to(&full, &[("k07", "other")]).is_ok(), "it is there already");
    let text = format!(
        "InvalidArgumentException: Failed to add tags to {STREAM} because a given stream cannot have more than 50 tags \
         associated with it."
    );
    assert_eq!(refusal_of(add_to(&full, &pairs[50..])), text);
    assert_eq!(refusal_of(add_to(&Tags::default(), &pairs)), text);
    let new = input_of("CreateStream", [("Tags", map(&pairs))]);
    assert_eq!(refusal_of(given_to_new(&new, STREAM)), text);
}

#[test]
fn tags_are_listed_by_key_in_pages() {
    let three = tags(&[("c", "3"), ("a", "1"), ("b", "")]);
    let page = |members: &[(&str, Value)]| {
        let bare = input_of("ListTagsForStream", []);
        json(&list_page(&members.iter().fold(bare, |input, (name, value)| input.with(name, value.clone())), &three))
    };
    let all =
        r#"{"Tags":[{"Key":"a","Value":"1"},{"Key":"b","Value":""},{"Key":"c","Value":"3"}],"HasMoreTags":false}"#;
    assert_eq!(page(&[]), all);
    assert_eq!(page(&[("Limit", 3.into())]), all);
    let after = |key: &str| ("ExclusiveStartTagKey", Value::from(key));
    let middle = r#"{"Tags":[{"Key":"b","Value":""}],"HasMoreTags":true}"#;
    assert_eq!(
        (page(&[after("a"), ("Limit", 1.into())]), page(&[after("aa"), ("Limit", 1.into())])),
        (middle.into(), middle.into())
    );
    assert_eq!(page(&[after("c")]), r#"{"Tags":[],"HasMoreTags":false}"#);
    assert_eq!(json(&list_all(&tags(&[("a", "1")]))), r#"{"Tags":[{"Key":"a","Value":"1"}]}"#);
}

#[test]
fn a_consumer_is_named_as_one() {
    let consumer = ConsumerArn::new(arn(), ConsumerName::new("board").expect("it is one"), 7);
    assert_eq!(named(&ResourceArn::Consumer(consumer)), format!("consumer board of {STREAM}"));
    assert_eq!(named(&ResourceArn::Stream(arn())), STREAM);
}
