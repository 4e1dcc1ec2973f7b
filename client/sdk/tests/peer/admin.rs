// What the tiny broker knows of access keys and of consumers. It asks nobody for a right.

use std::collections::BTreeMap;

use rheos_client::protocol::message::{ConsumerOf, CreateKey, Reply, Request};
use rheos_client::{ConsumerDescription, ErrorCode, KeyDescription, NewKey, WireError};

use super::{ARRIVAL_MS, State};

#[derive(Default)]
pub(super) struct Admin {
    /// By id.
    keys: BTreeMap<String, KeyDescription>,
    keys_made: u64,
    /// By stream, then name.
    consumers: BTreeMap<(String, String), ConsumerDescription>,
    epochs_given: u64,
}

impl State {
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
            Request::RegisterConsumer(ConsumerOf { stream, consumer }) => {
                let incarnation = self.incarnation_of(&stream)?;
                if self.admin.consumers.contains_key(&(stream.clone(), consumer.clone())) {
                    let message = format!("stream {stream} has a consumer {consumer}");
                    return Err(WireError::new(ErrorCode::ConsumerExists, message));
                }
                let name = consumer.clone();
                let made = ConsumerDescription { name, incarnation, created_ms: ARRIVAL_MS, epoch: 0 };
                self.admin.consumers.insert((stream, consumer), made.clone());
                Reply::Consumer(self.admin.with_epoch(made))
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
        let CreateKey { name, policy } = create;
        self.keys.insert(id.clone(), KeyDescription { id: id.clone(), name, created_ms: ARRIVAL_MS, policy });
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
