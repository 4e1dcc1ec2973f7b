//! The producers of the simulation: numbered ones, which go back to what was refused and send again
//! what was not answered, and unnumbered ones, which do neither.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use rheos_core::log::{Acked, Event};
use rheos_protocol::batch::{BatchBuilder, ProducerStamp, PutBatch};
use rheos_protocol::error::{ErrorCode, Retry, WireError};
use rheos_protocol::record::Record;

use super::broker::DIRECTORY;
use super::hostile::{self, Guess};
use super::world::{Due, Pace, SECOND_US, World};
use crate::checker::{Fingerprint, Outcome, Put, Seen, fingerprint};
use crate::random::Random;

/// Where a producer puts to, and how far it is.
#[derive(Debug)]
pub(crate) struct Producer {
    /// 0 when its puts are not numbered.
    id: u64,
    log: usize,
    shard: u32,
    /// Counts the connections; answers of an earlier one are lost.
    connection: u64,
    connected: bool,
    in_flight_max: usize,
    latency_us: u64,
    bytes_max: u64,
    hostile: bool,
    /// Number of the next put that is made.
    next_number: u64,
    /// Number of the next put that is sent; below `next_number` after something was refused.
    cursor: u64,
    /// The puts that are not answered for good.
    open: BTreeMap<u64, Sent>,
    /// Answered ones that may be sent once more.
    recent: VecDeque<(u64, Sent)>,
    paused_until_us: u64,
}

#[derive(Debug, Clone)]
struct Sent {
    id: u64,
    batch: Bytes,
    records: Vec<Fingerprint>,
}

/// Whom an answer is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    producer: usize,
    connection: u64,
    number: u64,
    put: u64,
    again: bool,
}

/// An answer, as far as a producer acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    Stored,
    Behind(u64),
    Later(u64),
    Unknown,
    /// The shard is closed, and neither this put nor one behind it is stored.
    Closed,
}

impl Producer {
    pub(crate) fn new(at: usize, numbered: bool, logs: usize, shards: u32, random: &mut Random) -> Producer {
        Producer {
            id: if numbered { 0xabc0 + at as u64 } else { 0 },
            log: random.below(logs as u64) as usize,
            shard: 3 * random.below(u64::from(shards)) as u32 + 1,
            connection: 1,
            connected: false,
            in_flight_max: random.one_of(&[1, 4, 64]),
            latency_us: random.one_of(&[50, 1_000, 80_000]),
            bytes_max: random.one_of(&[10, 500, 20_000, 400_000, 400_000, 3_000_000]),
            hostile: random.per_mille(500),
            next_number: 0,
            cursor: 0,
            open: BTreeMap::new(),
            recent: VecDeque::new(),
            paused_until_us: 0,
        }
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.open.is_empty()
    }

    /// The log and shard it puts to.
    pub(crate) fn target(&self) -> (usize, u32) {
        (self.log, self.shard)
    }

    pub(crate) fn state(&self) -> String {
        let open: Vec<_> = self.open.keys().take(3).collect();
        format!("producer {:x} of log {} shard {}: open {open:?}, at {}", self.id, self.log, self.shard, self.cursor)
    }

    fn is_numbered(&self) -> bool {
        self.id != 0
    }
}

impl World {
    pub(crate) fn produce(&mut self, at: usize) {
        let wait_us = match self.pace {
            Pace::Busy(gap_us) if self.up => self.random.within(1..gap_us * self.producers.len() as u64 + 2),
            _ if self.up => SECOND_US / 2 + self.random.below(20 * SECOND_US),
            _ => 5 * SECOND_US + self.random.below(600 * SECOND_US),
        };
        self.after(wait_us, Due::Produce(at));
        let producer = &self.producers[at];
        let silent = self.pace == Pace::Silent && producer.open.is_empty();
        if silent || !producer.connected || self.now_us < producer.paused_until_us {
            return;
        }
        if self.random.per_mille(self.faults.connection_breaks) {
            self.disconnect(at);
            let wait_us = self.random.within(1..SECOND_US);
            return self.after(wait_us, Due::Reconnect(at));
        }
        let burst = self.random.one_of(&[1, 1, 3, 64]);
        for _ in 0..burst {
            self.send_next(at);
        }
        if self.faults.reshards && !self.ending_run && self.random.per_mille(15) {
            self.reshard_now(self.producers[at].log);
        }
        // At the end of a run there is nothing to be done but to wait.
        if !self.ending_run && self.random.per_mille(30) {
            self.send_again(at);
        }
    }

    fn send_next(&mut self, at: usize) {
        let producer = &self.producers[at];
        if producer.cursor == producer.next_number {
            let can = producer.open.len() < producer.in_flight_max && self.puts_left > 0 && self.pace != Pace::Silent;
            if !can {
                return;
            }
            self.make_put(at);
        }
        let producer = &mut self.producers[at];
        let number = producer.cursor;
        producer.cursor += 1;
        if let Some(sent) = producer.open.get(&number).cloned() {
            self.send(at, number, &sent, false);
        }
    }

    /// Sends something once more that was sent before, answered or not.
    fn send_again(&mut self, at: usize) {
        let producer = &self.producers[at];
        if !producer.is_numbered() {
            return;
        }
        let sent_open = producer.open.range(..producer.cursor).map(|(number, sent)| (*number, sent));
        let sent: Vec<_> = producer.recent.iter().map(|(number, sent)| (*number, sent)).chain(sent_open).collect();
        if sent.is_empty() {
            return;
        }
        let (number, sent) = sent[self.random.below(sent.len() as u64) as usize];
        let sent = sent.clone();
        self.send(at, number, &sent, true);
    }

    fn make_put(&mut self, at: usize) {
        self.puts_left -= 1;
        let id = self.next_put;
        self.next_put += 1;
        let count = self.random.one_of(&[1, 1, 1, 2, 7, 100]);
        let mut builder = BatchBuilder::default();
        let mut records = Vec::new();
        for index in 0..count {
            let record = self.make_record(at, id, index, count);
            let view = record.view();
            if index > 0 && !builder.fits(&view) {
                break;
            }
            builder.push(&view, 10 << 20).expect("the record is within the limits");
            records.push(fingerprint(&view));
        }
        let producer = &mut self.producers[at];
        let number = producer.next_number;
        producer.next_number += 1;
        let stamp = ProducerStamp { id: producer.id, epoch: 0, number: if producer.id == 0 { 0 } else { number } };
        let incarnation = self.hosts[producer.log].settings.id.incarnation;
        let batch = builder.finish(incarnation, producer.shard, stamp).freeze();
        producer.open.insert(number, Sent { id, batch, records });
    }

    fn make_record(&mut self, at: usize, put: u64, index: u64, count: u64) -> Record {
        let producer = &self.producers[at];
        let most = (producer.bytes_max / count).max(1);
        let len = match self.random.below(8) {
            0 => 0,
            1..4 => self.random.below(most.min(300)),
            4..6 => self.random.below(most.min(20_000)),
            _ => self.random.below(most),
        } as usize;
        let key = format!("p{put}-{index}");
        let data = if producer.hostile && index == 0 && len > 4096 {
            let guess = self.guess(at);
            hostile::data(&guess, key.len(), len, &mut self.random)
        } else {
            let byte = self.random.draw() as u8;
            vec![byte; len]
        };
        let explicit_hash_key = self.random.per_mille(100).then(|| u128::from(self.random.draw()));
        Record { explicit_hash_key, ..Record::new(key, data) }
    }

    /// What a very well informed producer knows: the newest segment and where it ends.
    fn guess(&mut self, at: usize) -> Guess {
        let log = self.producers[at].log;
        let files = &self.hosts[log].files;
        let newest = files.segments.keys().next_back().copied().unwrap_or(1);
        let len = files.segments.get(&newest).map_or(0, Vec::len) as u64;
        let offset = self.random.below(len / 4096 + 1) * 4096;
        let salt = self.random.one_of(&[0, 1]);
        Guess { segment: self.segment_id(log, newest), offset, commit: self.met.commits, directory: DIRECTORY, salt }
    }

    fn send(&mut self, at: usize, number: u64, sent: &Sent, again: bool) {
        let producer = &self.producers[at];
        let (log, shard, connection) = (producer.log, producer.shard, producer.connection);
        let shard = self.hosts[log].shard(shard);
        self.see(&Seen::Sent(Put { id: sent.id, producer: producer.id, number, shard, records: sent.records.clone() }));
        let token = self.next_token;
        self.next_token += 1;
        self.tokens.insert(token, Asked { producer: at, connection, number, put: sent.id, again });
        let batch = PutBatch::parse(BytesMut::from(&sent.batch[..])).expect("the producer makes whole batches");
        self.tell(log, Event::Put { token, batch });
    }

    /// The broker answers; whether the producer hears of it is another matter.
    pub(crate) fn reply(&mut self, token: u64, outcome: Result<Acked, WireError>) {
        let Some(asked) = self.tokens.remove(&token) else {
            return self.fail(format!("token {token} is answered twice"));
        };
        let numbered = self.producers[asked.producer].is_numbered();
        let (told, said) = match &outcome {
            Ok(Acked { first_sequence, arrival_ms }) => {
                self.met.acks += 1;
                self.met.resend_acks += u64::from(asked.again);
                (Outcome::Acked { first_sequence: *first_sequence, arrival_ms: *arrival_ms }, Said::Stored)
            }
            Err(error) => match (error.code, error.retry) {
                (ErrorCode::Behind, Retry::From(number)) if numbered => {
                    self.met.behinds += 1;
                    (Outcome::Refused, Said::Behind(number))
                }
                (ErrorCode::OverLimit, Retry::After(wait_ms)) => {
                    self.met.over_limit += 1;
                    (Outcome::Refused, Said::Later(u64::from(wait_ms)))
                }
                (
                    ErrorCode::Busy | ErrorCode::StorageFull | ErrorCode::GoingAway | ErrorCode::Resharding,
                    Retry::After(wait_ms),
                ) => {
                    self.met.refusals += 1;
                    (Outcome::Refused, Said::Later(u64::from(wait_ms)))
                }
                // Its ack is on the way, and many have been stored after it.
                (ErrorCode::NumberTooOld, Retry::Never) if asked.again => return,
                (ErrorCode::ShardClosed, Retry::Never) => {
                    self.met.refused_as_closed += 1;
                    (Outcome::Refused, Said::Closed)
                }
                (ErrorCode::ReadOnly, Retry::Never) => {
                    self.met.refusals += 1;
                    (Outcome::Refused, Said::Later(1_000))
                }
                (ErrorCode::Indeterminate, Retry::Never) => {
                    self.met.indeterminate += 1;
                    (Outcome::Unknown, Said::Unknown)
                }
                _ => return self.fail(format!("put {} is answered {error:?}", asked.put)),
            },
        };
        self.see(&Seen::Answered { put: asked.put, outcome: told });
        let Asked { producer, connection, number, .. } = asked;
        let latency_us = self.producers[producer].latency_us;
        self.after(latency_us, Due::Reply { producer, connection, number, said });
    }

    pub(crate) fn replied(&mut self, at: usize, connection: u64, number: u64, said: Said) {
        let now_us = self.now_us;
        let producer = &mut self.producers[at];
        if producer.connection != connection || !producer.connected {
            return;
        }
        match said {
            Said::Stored => producer.resolve(number),
            Said::Behind(from) => {
                if producer.open.keys().next().is_some_and(|first| from < *first) {
                    let state = producer.state();
                    return self.fail(format!("put {number} is behind {from}, which was acked: {state}"));
                }
                producer.cursor = producer.cursor.min(from);
                // More of these are on their way, and each would send everything once more.
                producer.paused_until_us = producer.paused_until_us.max(now_us + producer.latency_us + 10_000);
            }
            Said::Later(wait_ms) if producer.is_numbered() => {
                producer.paused_until_us = now_us + wait_ms * 1000;
                producer.cursor = producer.cursor.min(number);
            }
            Said::Unknown if producer.is_numbered() => {
                producer.paused_until_us = now_us + SECOND_US;
                producer.cursor = producer.cursor.min(number);
            }
            Said::Closed => self.go_on_in_child(at, number),
            Said::Later(_) | Said::Unknown => producer.resolve(number),
        }
    }

    /// A shard is closed: what it has not stored is given up, and what comes goes to a child.
    fn go_on_in_child(&mut self, at: usize, number: u64) {
        let producer = &self.producers[at];
        if producer.is_numbered() && producer.open.keys().next().is_some_and(|first| *first < number) {
            return self
                .fail(format!("put {number} is refused as closed before one that came first: {}", producer.state()));
        }
        let (log, shard) = producer.target();
        let Some(closed) = self.closed(log, shard) else {
            return self
                .fail(format!("shard {shard} of log {log} is not closed, and refuses put {number} as if it were"));
        };
        let children = closed.children.clone();
        let child = children[self.random.below(children.len() as u64) as usize];
        let given_up: Vec<u64> = self.producers[at].open.values().map(|sent| sent.id).collect();
        for put in given_up {
            self.see(&Seen::Answered { put, outcome: Outcome::Refused });
        }
        let producer = &mut self.producers[at];
        // Numbers begin again at another shard; answers of the one before are for nobody.
        producer.connection += 1;
        producer.shard = child;
        (producer.next_number, producer.cursor, producer.paused_until_us) = (0, 0, 0);
        producer.open.clear();
        producer.recent.clear();
    }

    /// The connection breaks: what was not answered may be stored or not.
    pub(crate) fn disconnect(&mut self, at: usize) {
        let producer = &mut self.producers[at];
        (producer.connected, producer.paused_until_us) = (false, 0);
        producer.connection += 1;
        let lost: Vec<_> = producer.open.values().map(|sent| sent.id).collect();
        if producer.is_numbered() {
            producer.cursor = producer.open.keys().next().copied().unwrap_or(producer.next_number);
            return;
        }
        producer.open.clear();
        producer.cursor = producer.next_number;
        let sent: Vec<_> = lost.into_iter().filter(|put| self.tokens.values().any(|asked| asked.put == *put)).collect();
        for put in sent {
            self.see(&Seen::Answered { put, outcome: Outcome::Unknown });
        }
    }

    pub(crate) fn reconnect(&mut self, at: usize) {
        self.producers[at].connected = self.up;
    }
}

impl Producer {
    fn resolve(&mut self, number: u64) {
        let Some(sent) = self.open.remove(&number) else { return };
        if self.is_numbered() {
            self.recent.push_back((number, sent));
            // The broker remembers 64 places, and the puts that follow push the oldest out.
            while self.recent.len() > 32
                || self.recent.front().is_some_and(|(oldest, _)| oldest + 60 < self.next_number)
            {
                self.recent.pop_front();
            }
        }
    }
}
