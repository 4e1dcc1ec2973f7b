//! Tags of streams and consumers, by name of a stream or by ARN.
//!
//! What tags may be is the core's to say ([`Tags::change`]); this says it in AWS's words.
//!
//! What must hold: tags are listed sorted by key; a change is taken whole or not at all.

use std::collections::BTreeMap;

use rheos_core::catalog::Tags;
use rheos_protocol::error::ErrorCode;
use rheos_protocol::limits::TAGS_MAX;
use rheos_protocol::message::Tag;

use crate::arn::ResourceArn;
use crate::error::Error;
use crate::shapes::operations::find;
use crate::shapes::structures::TAG;
use crate::value::{Structure, Value, items};

/// A change of tags that may be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TagChange {
    /// To be there afterwards.
    pub set: Vec<Tag>,
    /// Keys not to be there afterwards.
    pub remove: Vec<String>,
}

/// What an AddTagsToStream or a TagResource adds to what there is, `of` being the thing as messages name it: see
/// [`named`].
///
/// # Errors
///
/// `InvalidArgumentException`.
pub fn add(input: &Structure, of: &str, now: &Tags) -> Result<TagChange, Error> {
    added(input.required("Tags"), of, now)
}

fn added(tags: &BTreeMap<String, Value>, of: &str, now: &Tags) -> Result<TagChange, Error> {
    let set = given(tags);
    check(set.iter().flat_map(|tag| [&tag.key, &tag.value]), || format!("Failed to add tags to {of}"))?;
    for tag in &set {
        is_free(tag)?;
    }
    match now.change(&set, &[]) {
        Err(error) if error.code == ErrorCode::LimitExceeded => Err(too_many(of)),
        Err(error) => Err(Error::invalid_argument(error.message)),
        Ok(_) => Ok(TagChange { set, remove: Vec::new() }),
    }
}

/// What a RemoveTagsFromStream or an UntagResource removes. Keys that are not there are no error.
///
/// # Errors
///
/// `InvalidArgumentException`.
pub fn remove(input: &Structure, of: &str) -> Result<TagChange, Error> {
    let remove: Vec<String> = items::<&str>(input.required("TagKeys")).map(str::to_owned).collect();
    check(remove.iter(), || format!("Failed to remove tags from {of}"))?;
    for key in &remove {
        is_free(&Tag { key: key.clone(), value: String::new() })?;
    }
    Ok(TagChange { set: Vec::new(), remove })
}

/// The tags that a new stream or consumer is to have.
///
/// # Errors
///
/// `InvalidArgumentException`.
pub(super) fn given_to_new(input: &Structure, of: &str) -> Result<Vec<Tag>, Error> {
    match input.optional::<&BTreeMap<String, Value>>("Tags") {
        Some(tags) => Ok(added(tags, of, &Tags::default())?.set),
        None => Ok(Vec::new()),
    }
}

/// The answer to ListTagsForStream: a page of the tags, sorted by key.
pub fn list_page(input: &Structure, tags: &Tags) -> Structure {
    let after = input.optional::<&str>("ExclusiveStartTagKey");
    let limit = input.optional::<i64>("Limit").map_or(TAGS_MAX as usize, |limit| limit as usize);
    let mut rest = tags.list().into_iter().filter(|tag| after.is_none_or(|after| tag.key.as_str() > after));
    let page: Value = rest.by_ref().take(limit).map(shown).collect();
    let answer = find("ListTagsForStream").expect("it is in the table").answer();
    answer.with("Tags", page).with("HasMoreTags", rest.next().is_some())
}

/// The answer to ListTagsForResource: all tags, sorted by key.
pub fn list_all(tags: &Tags) -> Structure {
    let answer = find("ListTagsForResource").expect("it is in the table").answer();
    answer.with("Tags", tags.list().into_iter().map(shown).collect::<Value>())
}

/// A stream or consumer as the messages of its tags name it.
pub fn named(resource: &ResourceArn) -> String {
    match resource {
        ResourceArn::Stream(stream) => stream.in_messages().to_string(),
        ResourceArn::Consumer(consumer) => {
            format!("consumer {} of {}", consumer.name(), consumer.stream().in_messages())
        }
    }
}

fn shown(tag: Tag) -> Structure {
    Structure::of(&TAG).with("Key", tag.key).with("Value", tag.value)
}

fn given(tags: &BTreeMap<String, Value>) -> Vec<Tag> {
    let value = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        other => panic!("the table lets no {other:?} be the value of a tag"),
    };
    tags.iter().map(|(key, text)| Tag { key: key.clone(), value: value(text) }).collect()
}

/// Refuses characters that may not be. AWS has two texts for them: the percent sign passes its first check.
fn check<'a>(texts: impl Iterator<Item = &'a String> + Clone, failed: impl FnOnce() -> String) -> Result<(), Error> {
    if !texts.clone().all(|text| text.chars().all(|c| c == '%' || Tags::allows(c))) {
        return Err(Error::invalid_argument(
            "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % @.",
        ));
    }
    if texts.clone().any(|text| text.contains('%')) {
        return Err(Error::invalid_argument(format!(
            "{} because some tags contained illegal characters. The allowed characters are Unicode letters, \
             white-spaces, '_',',','/','=','+','-','@'.",
            failed()
        )));
    }
    Ok(())
}

/// Refuses a key that is reserved. AWS's words for Kinesis were never recorded; these are what its other services say.
fn is_free(tag: &Tag) -> Result<(), Error> {
    match Tags::default().change(std::slice::from_ref(tag), &[]) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::invalid_argument(format!(
            "Tag key {} is invalid: aws: prefixed tag key names are not allowed for external use.",
            tag.key
        ))),
    }
}

/// AWS still says 10 here, although it takes 50: this says what is true.
fn too_many(of: &str) -> Error {
    let message = format!(
        "Failed to add tags to {of} because a given stream cannot have more than {TAGS_MAX} tags associated with it."
    );
    Error::invalid_argument(message)
}

#[cfg(test)]
mod tests;
