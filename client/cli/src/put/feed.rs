//! Puts what is read, or made, in its order, until there is no more or it is interrupted.
//!
//! What must hold: every record that was put is handed on to be looked at, at whatever await this is given up.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use rheos_client::{Producer, Record};
use tokio::sync::mpsc;

use super::made::Made;
use super::pace::Pace;
use super::rows::{Content, Row};
use super::settle::{Pending, Place};
use crate::failure::Failure;

/// Where records come from.
pub(super) enum Records {
    Read(mpsc::Receiver<Result<Vec<Row>, String>>),
    Made(Made),
}

/// Puts records and hands on their tickets.
pub(super) struct Feed<'a> {
    pub(super) producer: &'a Producer,
    pub(super) keys: Keys<'a>,
    pub(super) pace: Option<Pace>,
    pub(super) pending: mpsc::Sender<Pending>,
}

impl Feed<'_> {
    /// Puts everything. A failure to read ends it, once what was read before is put.
    pub(super) async fn put_all(&mut self, records: Records) -> Result<(), Failure> {
        match records {
            Records::Read(rows) => self.put_rows(rows).await,
            Records::Made(made) => self.put_made(&made).await,
        }
    }

    /// The end of it: no more tickets are handed on. Gives how late the latest record was, where there is a
    /// schedule.
    pub(super) fn into_late_max(self) -> Option<Duration> {
        self.pace.as_ref().map(Pace::late_max)
    }

    async fn put_rows(&mut self, mut rows: mpsc::Receiver<Result<Vec<Row>, String>>) -> Result<(), Failure> {
        let mut number = 0;
        while let Some(chunk) = rows.recv().await {
            for Row { source, line, read_bytes, content } in chunk.map_err(Failure::new)? {
                number += 1;
                self.wait().await;
                self.put(Place { number, source, line, read_bytes }, content).await?;
            }
        }
        Ok(())
    }

    async fn put_made(&mut self, made: &Made) -> Result<(), Failure> {
        for number in 1..=made.count {
            self.wait().await;
            let content = Content { data: made.record(number), ..Content::default() };
            self.put(Place { number, source: 0, line: number, read_bytes: 1 }, Ok(content)).await?;
        }
        Ok(())
    }

    async fn wait(&mut self) {
        if let Some(pace) = &mut self.pace {
            pace.due().await;
        }
    }

    async fn put(&self, place: Place, content: Result<Content, String>) -> Result<(), Failure> {
        // Room to hand the ticket on comes first: once the record is put, nothing is waited for.
        let room = self.pending.reserve().await.map_err(|_| Failure::new("nobody looks at what becomes of records"))?;
        let (data_bytes, ticket) = match content {
            Err(why) => (0, Err(Failure::new(why))),
            Ok(content) => {
                let data_bytes = content.data.len() as u64;
                let record = self.keys.record(content, place.number);
                (data_bytes, self.producer.put(record).await.map_err(Failure::from))
            }
        };
        room.send(Pending { place, data_bytes, ticket });
        Ok(())
    }
}

/// What records are put under that say nothing themselves.
pub(super) struct Keys<'a> {
    key: Option<&'a str>,
    explicit_hash_key: Option<u128>,
    random: RandomState,
}

impl<'a> Keys<'a> {
    /// Without a key, each record has one of its own: different for each record and each run.
    pub(super) fn new(key: Option<&'a str>, explicit_hash_key: Option<u128>) -> Keys<'a> {
        Keys { key, explicit_hash_key, random: RandomState::new() }
    }

    fn record(&self, content: Content, number: u64) -> Record {
        let key = content.key.or_else(|| self.key.map(str::to_owned));
        Record {
            partition_key: key.unwrap_or_else(|| format!("{:016x}", self.random.hash_one(number))),
            explicit_hash_key: content.explicit_hash_key.or(self.explicit_hash_key),
            data: content.data,
        }
    }
}
