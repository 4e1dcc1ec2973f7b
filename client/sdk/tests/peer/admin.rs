// What the tiny broker knows of access keys and of consumers. It asks nobody for a right.

use std::collections::BTreeMap;

use rheos_client::protocol::message::{ConsumerOf, ConsumerTerms, CreateKey, Reply, Request};
use rheos_client::{ConsumerDescription, ErrorCode, KeyDescription, NewKey, StreamFilter, Tag, WireError};

use super::{ARRIVAL_MS, State};

#[derive(Default)]
pub(super) struct Admin {
    /// By id.
    keys: BTreeMap<String, KeyDescription>,
    keys_made: u64,
    /// By stream, then name.
    consumers: BTreeMap<(String, String), ConsumerDescription>,
    epochs_given: u64,
    /// By stream and consumer.
    tags: BTreeMap<(String, Option<String>), BTreeMap<String, String>>,
}

impl State {
    pub(super) fn passes(&self, stream: &str, filter: &StreamFilter) -> bool {
        let tags = self.admin.tags.get(&(stream.to_owned(), None));
        let has = |(key, value): &(String, Option<String>)| {
            let there = tags.and_then(|tags| tags.get(key));
            there.is_some_and(|there| value.as_ref().is_none_or(|value| value == there))
        };
        stream.starts_with(&filter.name_prefix) && filter.tags.iter().all(has)
    }

    pub(super) fn administer(&mut self, request: Request) -> Result<Reply, WireError> {
        Ok(match request {
            Request::CreateKey(create) => Reply::Key(self.admin.create_key(create)?),
            Request::ListKeys { after, limit } => {
                let mut later = self.admin.keys.values().filter(|key| key.id > after).cloned();
                let page: Vec<_> = later.by_ref().take(limit as usize).collect();
                Reply::Keys(page, later.next().is_some())
            }
            Request::RevokeKey(named) => {
                let is_named = |key: &KeyDescription| key.id == named || key.name == named;
                let Some(id) = self.admin.keys.values().find(|key| is_named(key)).map(|key| key.id.clone()) else {
                    return Err(WireError::new(ErrorCode::KeyNotFound, format!("there is no key {named}")));
                };
                self.admin.keys.remove(&id);
                Reply::Done
            }
            Request::ChangeTags(change) => {
                self.incarnation_of(&change.of.stream)?;
                let tags = self.admin.tags.entry((change.of.stream, change.of.consumer)).or_default();
                change.remove.iter().for_each(|key| drop(tags.remove(key)));
                tags.extend(change.set.into_iter().map(|tag| (tag.key, tag.value)));
                Reply::Done
            }
            Request::ListTags(of) => {
                self.incarnation_of(&of.stream)?;
                let tags = self.admin.tags.get(&(of.stream, of.consumer)).cloned().unwrap_or_default();
                Reply::Tags(tags.into_iter().map(|(key, value)| Tag { key, value }).collect())
            }
            Request::RegisterConsumer(ConsumerTerms { stream, consumer, reserved_bytes }) => {
                let incarnation = self.incarnation_of(&stream)?;
                if self.admin.consumers.contains_key(&(stream.clone(), consumer.clone())) {
                    let message = format!("stream {stream} has a consumer {consumer}");
                    return Err(WireError::new(ErrorCode::ConsumerExists, message));
                }
                let name = consumer.clone();
                let made = ConsumerDescription { name, incarnation, created_ms: ARRIVAL_MS, epoch: 0, reserved_bytes };
                self.admin.consumers.insert((stream, consumer), made.clone());
                Reply::Consumer(self.admin.with_epoch(made))
            }
            Request::UpdateConsumer(ConsumerTerms { stream, consumer, reserved_bytes }) => {
                let found = self.admin.consumers.get_mut(&(stream.clone(), consumer.clone()));
                let found = found.ok_or_else(|| no_consumer(&ConsumerOf { stream, consumer }))?;
                found.reserved_bytes = reserved_bytes;
                Reply::Consumer(found.clone())
            }
            Request::DescribeConsumer(of) => {
                let found = self.admin.consumers.get(&(of.stream.clone(), of.consumer.clone())).cloned();
                Reply::Consumer(self.admin.with_epoch(found.ok_or_else(|| no_consumer(&of))?))
            }
            Request::ListConsumers { stream, after, limit } => {
                self.incarnation_of(&stream)?;
                let of_stream = self.admin.consumers.iter().filter(|((of, _), _)| *of == stream);
                let mut later =
                    of_stream.map(|(_, consumer)| consumer.clone()).filter(|consumer| consumer.name > after);
                let page: Vec<_> = later.by_ref().take(limit as usize).collect();
                Reply::Consumers(page, later.next().is_some())
            }
            Request::DeregisterConsumer(of) => {
                let removed = self.admin.consumers.remove(&(of.stream.clone(), of.consumer.clone()));
                removed.map(|_| Reply::Done).ok_or_else(|| no_consumer(&of))?
            }
            other => return Err(WireError::new(ErrorCode::Unsupported, format!("{other:?}"))),
        })
    }

    fn incarnation_of(&self, stream: &str) -> Result<u64, WireError> {
        let found = self.streams.get(stream).map(|found| found.description.incarnation);
        found.ok_or_else(|| WireError::new(ErrorCode::StreamNotFound, format!("there is no stream {stream}")))
    }
}

impl Admin {
    fn create_key(&mut self, create: CreateKey) -> Result<NewKey, WireError> {
        if self.keys.values().any(|key| key.name == create.name) {
            return Err(WireError::new(ErrorCode::KeyExists, format!("key {} exists", create.name)));
        }
        self.keys_made += 1;
        let (id, secret) = (format!("RKMADE{:06}", self.keys_made), format!("made-secret-{}", self.keys_made));
        let CreateKey { name, policy, account } = create;
        self.keys.insert(id.clone(), KeyDescription { id: id.clone(), name, created_ms: ARRIVAL_MS, policy, account });
        Ok(NewKey { id, secret })
    }

    /// Whether a stream, by its name, has a consumer of this name.
    pub(super) fn is_registered(&self, of: &(String, String)) -> bool {
        self.consumers.contains_key(of)
    }

    fn with_epoch(&mut self, consumer: ConsumerDescription) -> ConsumerDescription {
        self.epochs_given += 1;
        ConsumerDescription { epoch: self.epochs_given, ..consumer }
    }
}

fn no_consumer(of: &ConsumerOf) -> WireError {
    let message = format!("stream {} has no consumer {}", of.stream, of.consumer);
    WireError::new(ErrorCode::ConsumerNotFound, message)
}
