//! What the scaler of an on-demand stream is told of a log: what its open shards took, and of which hash keys.
//!
//! What must hold: records of provisioned streams cost nothing here, and those of on-demand ones an addition; an
//! idle shard holds no memory. What is counted of keys is what was looked at to be admitted, also where the put was
//! refused after all: it says where load comes from, and decides nothing about a record.

use rheos_protocol::batch::PutBatch;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::hash::HashRange;
use rheos_protocol::limits::BATCH_RECORDS_MAX;
use rheos_protocol::message::StreamMode;

use super::{Admission, Log, Shard};
use crate::keys::KeyHistogram;
use crate::scaler::{ShardLoad, record_weight};

impl Log {
    /// What each open shard has taken until now, if the stream is on demand, sorted by number. Of those whose keys weigh
    /// at least this much since they were last asked for, with the keys; counting begins anew with that.
    pub fn take_loads(&mut self, keys_weight_least: u64) -> Vec<ShardLoad> {
        if !self.is_on_demand() {
            return Vec::new();
        }
        let load = |shard: &mut Shard| {
            let keys = shard.keys.take().filter(|keys| keys.weight() >= keys_weight_least).map(|keys| *keys);
            let is_open = !matches!(shard.admission, Admission::Closed(_));
            is_open.then_some(ShardLoad { shard: shard.number, incoming: shard.counts.incoming, keys })
        };
        self.shards.iter_mut().filter_map(load).collect()
    }

    /// Proves that every record of a batch may be as large as it is and belongs to its shard.
    pub(super) fn records_belong(&mut self, shard_at: usize, batch: &PutBatch) -> Result<(), WireError> {
        let mut keys = match self.is_on_demand() {
            true => Some(self.shards[shard_at].keys.take().unwrap_or_default()),
            false => None,
        };
        let outcome = self.look_at_records(shard_at, batch, keys.as_deref_mut());
        self.shards[shard_at].keys = keys;
        outcome
    }

    fn look_at_records(
        &self,
        shard_at: usize,
        batch: &PutBatch,
        mut keys: Option<&mut KeyHistogram>,
    ) -> Result<(), WireError> {
        assert!(batch.header().record_count <= BATCH_RECORDS_MAX, "a batch is bounded when it is parsed");
        let range = self.shards[shard_at].range;
        let need_not_hash = range == HashRange::FULL && keys.is_none();
        // Records of one key often stand together; its MD5 is the dearest thing in the whole walk.
        let mut hashed: Option<((&str, Option<u128>), u128)> = None;
        for (index, record) in batch.records().enumerate() {
            if record.data.len() > self.settings.terms.record_bytes_max as usize {
                return Err(self.too_large(index, record.data.len()));
            }
            if need_not_hash {
                continue;
            }
            let place = (record.partition_key, record.explicit_hash_key);
            let hash_key = match hashed {
                Some((before, hash_key)) if before == place => hash_key,
                _ => record.hash_key(),
            };
            if !range.contains(hash_key) {
                return Err(self.of_another_shard(index, shard_at));
            }
            hashed = Some((place, hash_key));
            if let Some(keys) = &mut keys {
                keys.add(hash_key, record_weight((record.partition_key.len() + record.data.len()) as u64));
            }
        }
        Ok(())
    }

    fn is_on_demand(&self) -> bool {
        self.settings.terms.mode != StreamMode::Provisioned
    }

    fn too_large(&self, index: usize, data_len: usize) -> WireError {
        let message = format!(
            "record {index} of the batch has {data_len} bytes of data; this stream takes {}",
            self.settings.terms.record_bytes_max
        );
        WireError::new(ErrorCode::RecordTooLarge, message).with_detail(index as u64, 0)
    }

    fn of_another_shard(&self, index: usize, shard_at: usize) -> WireError {
        let message = format!(
            "record {index} of the batch belongs to another shard than {}; describe the stream again",
            self.shards[shard_at].number
        );
        WireError::new(ErrorCode::WrongShard, message).with_detail(index as u64, 0)
    }
}
