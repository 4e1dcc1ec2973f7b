//! The judge of a run: what was put, what was answered and what was read, held against the promise.
//!
//! It knows nothing of how the run was made: a simulated broker and a real one give the same plain
//! history. What must hold, and where it is judged:
//!
//! | rule | what | where |
//! |---|---|---|
//! | A | an acked put stands where its ack said, with its bytes, and is neither lost nor given back | `answered`, `stands`, `tip` |
//! | B | a record has one sequence for ever and a sequence one record; a put that is sent after another was acked stands behind it | `stands`, `behind_what_was_acked` |
//! | C | the puts of a numbered producer stand in the order of their numbers | `in_order` |
//! | D | a put of unknown outcome stands once or never, whole or not at all, and a refused one nowhere | `stands`, `read`, `answered` |
//! | E | nothing is read that was never sent; reads are dense and end where they say | `read` |
//! | F | what retention has removed is older than the retention, and a time begins where it is said to | `trimmed`, `began` |
//! | G | a closed shard has ended, and its children begin after it | `closed`, `parents_first` |
//! | H | a subscriber is pushed what follows its place, all of it and once, and in the end has it all | `pushed`, `caught_up` |
//!
//! There are no leases and no checkpoints yet, so nothing is judged of them.
//!
//! ```
//! use rheos_tests::checker::{History, Outcome, Put, Seen, ShardOf, check};
//!
//! let shard = ShardOf { stream: 1, shard: 0 };
//! let put = Put { id: 1, producer: 7, number: 0, shard, records: vec![0xabc] };
//! let acked = Outcome::Acked { first_sequence: 0, arrival_ms: 1 };
//! let mut history = History(vec![Seen::Sent(put), Seen::Answered { put: 1, outcome: acked }]);
//! assert!(check(&history).is_ok());
//!
//! // After a restart the shard begins again: a record is lost.
//! history.0.push(Seen::Tip { shard, next_sequence: 0 });
//! assert!(check(&history).is_err());
//! ```

mod history;

use std::collections::BTreeMap;

pub use history::{BatchSeen, Fingerprint, History, Outcome, Put, Seen, ShardOf, fingerprint};

/// Judges a whole history.
///
/// # Errors
/// What breaks the promise first, in words.
pub fn check(history: &History) -> Result<Checker, String> {
    let mut checker = Checker::default();
    for seen in &history.0 {
        checker.see(seen)?;
    }
    Ok(checker)
}

/// Judges a history while it is made.
#[derive(Debug, Clone, Default)]
pub struct Checker {
    puts: BTreeMap<u64, PutState>,
    /// The put and place in it of every record that was sent.
    records: BTreeMap<Fingerprint, (u64, usize)>,
    shards: BTreeMap<ShardOf, ShardSeen>,
    /// The sequence of every put that has one, by producer and number.
    order: BTreeMap<(u64, ShardOf), BTreeMap<u64, u64>>,
    /// Where every subscriber stands.
    subscribers: BTreeMap<(u64, ShardOf), PlaceOf>,
}

#[derive(Debug, Clone, Copy)]
struct PlaceOf {
    next_sequence: u64,
    /// Nothing was pushed from there on yet: the first batch may begin before the place.
    is_fresh: bool,
}

#[derive(Debug, Clone)]
struct PutState {
    put: Put,
    told: Option<Outcome>,
    /// Where its first record stands and when it arrived, once that is known.
    place: Option<(u64, u64)>,
    /// Where its shard ended, as far as it was acked, when it was sent for the first time.
    sent_after: u64,
}

#[derive(Debug, Clone, Default)]
struct ShardSeen {
    /// What stands where, and when it arrived.
    places: BTreeMap<u64, (Fingerprint, u64)>,
    /// After everything that was acked, read or shown.
    end: u64,
    /// After everything that was acked.
    acked_end: u64,
    first_kept: u64,
    /// Where it was closed.
    closed_at: Option<u64>,
    /// The shards whose records it takes on.
    parents: Vec<u32>,
}

impl Checker {
    /// Takes what was seen next.
    ///
    /// # Errors
    /// How it breaks the promise.
    pub fn see(&mut self, seen: &Seen) -> Result<(), String> {
        match seen {
            Seen::Sent(put) => self.sent(put),
            Seen::Answered { put, outcome } => self.answered(*put, *outcome),
            Seen::Read { shard, start_sequence, next_sequence, batches } => {
                self.read(*shard, *start_sequence, *next_sequence, batches)
            }
            Seen::Began { shard, arrival_ms, sequence } => self.began(*shard, *arrival_ms, *sequence),
            Seen::Tip { shard, next_sequence } => self.tip(*shard, *next_sequence),
            Seen::Trimmed { shard, first_kept, kept_since_ms } => self.trimmed(*shard, *first_kept, *kept_since_ms),
            Seen::Subscribed { subscriber, shard, next_sequence } => {
                let place = PlaceOf { next_sequence: *next_sequence, is_fresh: true };
                self.subscribers.insert((*subscriber, *shard), place);
                Ok(())
            }
            Seen::Pushed { subscriber, shard, batches, tip_sequence } => {
                self.pushed(*subscriber, *shard, batches, *tip_sequence)
            }
            Seen::Closed { shard, end_sequence, children } => self.closed(*shard, *end_sequence, children),
            Seen::CaughtUp { subscriber, shard } => self.caught_up(*subscriber, *shard),
        }
    }

    /// After everything that was acked, read or shown of a shard.
    pub fn end(&self, shard: ShardOf) -> u64 {
        self.shards.get(&shard).map_or(0, |seen| seen.end)
    }

    /// Arrivals that are known of a shard, with their sequences.
    pub fn arrivals(&self, shard: ShardOf) -> impl DoubleEndedIterator<Item = (u64, u64)> + '_ {
        self.shards
            .get(&shard)
            .into_iter()
            .flat_map(|seen| seen.places.iter().map(|(sequence, (_, arrival_ms))| (*sequence, *arrival_ms)))
    }

    /// The next sequence that a subscriber is to be pushed of a shard.
    pub fn place(&self, subscriber: u64, shard: ShardOf) -> Option<u64> {
        self.subscribers.get(&(subscriber, shard)).map(|place| place.next_sequence)
    }

    /// Puts that were told to be stored.
    pub fn acked(&self) -> usize {
        self.puts.values().filter(|put| matches!(put.told, Some(Outcome::Acked { .. }))).count()
    }

    fn sent(&mut self, put: &Put) -> Result<(), String> {
        if let Some(known) = self.puts.get_mut(&put.id) {
            if known.put != *put {
                return Err(format!("put {} is sent again as another: {put:?}", put.id));
            }
            if known.told == Some(Outcome::Refused) {
                known.told = None;
            }
            return Ok(());
        }
        for (at, record) in put.records.iter().enumerate() {
            if let Some((other, _)) = self.records.insert(*record, (put.id, at)) {
                return Err(format!("put {} has a record of put {other}: the history cannot be judged", put.id));
            }
        }
        let sent_after = self.shards.get(&put.shard).map_or(0, |seen| seen.acked_end);
        self.puts.insert(put.id, PutState { put: put.clone(), told: None, place: None, sent_after });
        Ok(())
    }

    fn answered(&mut self, id: u64, outcome: Outcome) -> Result<(), String> {
        let state = self.puts.get_mut(&id).ok_or_else(|| format!("put {id} is answered and was never sent"))?;
        if matches!(state.told, Some(Outcome::Acked { .. })) && outcome == Outcome::Refused {
            return Err(format!("put {id} is refused after it was acked"));
        }
        if outcome == Outcome::Refused && state.place.is_some() && state.put.producer == 0 {
            return Err(format!("put {id} is refused and stands at {:?}", state.place));
        }
        match (state.told, outcome) {
            (Some(Outcome::Acked { .. }), Outcome::Unknown) => return Ok(()),
            (Some(before @ Outcome::Acked { .. }), after) if before != after => {
                return Err(format!("put {id} was answered {before:?} and then {after:?}"));
            }
            _ => state.told = Some(outcome),
        }
        if let Outcome::Acked { first_sequence, arrival_ms } = outcome {
            let put = state.put.clone();
            self.stands(&put, first_sequence, arrival_ms).map_err(|why| format!("the ack of put {id}: {why}"))?;
            let seen = self.shards.entry(put.shard).or_default();
            seen.acked_end = seen.acked_end.max(first_sequence + put.records.len() as u64);
        }
        Ok(())
    }

    /// A put stands at a sequence: nothing else ever did, and it nowhere else.
    fn stands(&mut self, put: &Put, first_sequence: u64, arrival_ms: u64) -> Result<(), String> {
        let state = self.puts.get_mut(&put.id).ok_or("it was never sent")?;
        match state.place.replace((first_sequence, arrival_ms)) {
            Some(before) if before == (first_sequence, arrival_ms) => return Ok(()),
            Some((before, _)) if before != first_sequence => {
                return Err(format!("put {} stands at {before} and at {first_sequence} of {:?}", put.id, put.shard));
            }
            _ => {}
        }
        self.behind_what_was_acked(put, first_sequence)?;
        self.parents_first(put, first_sequence, arrival_ms)?;
        let seen = self.shards.entry(put.shard).or_default();
        for (sequence, record) in (first_sequence..).zip(&put.records) {
            if let Some((other, arrived_ms)) = seen.places.insert(sequence, (*record, arrival_ms))
                && (other, arrived_ms) != (*record, arrival_ms)
            {
                return Err(format!(
                    "sequence {sequence} of {:?} holds record {other:016x} of {arrived_ms} ms and record {record:016x} of {arrival_ms} ms",
                    put.shard
                ));
            }
        }
        seen.end = seen.end.max(first_sequence + put.records.len() as u64);
        if put.producer == 0 { Ok(()) } else { self.in_order(put, first_sequence) }
    }

    fn behind_what_was_acked(&self, put: &Put, first_sequence: u64) -> Result<(), String> {
        let sent_after = self.puts[&put.id].sent_after;
        if first_sequence >= sent_after {
            return Ok(());
        }
        Err(format!("put {} stands at {first_sequence}, and {sent_after} was acked before it was sent", put.id))
    }

    /// The catalog closes a shard where its log says that it ends.
    fn closed(&mut self, shard: ShardOf, end_sequence: u64, children: &[u32]) -> Result<(), String> {
        let seen = self.shards.entry(shard).or_default();
        if seen.end > end_sequence {
            return Err(format!("{shard:?} is closed at {end_sequence}, and everything below {} was there", seen.end));
        }
        if seen.closed_at.is_some_and(|closed_at| closed_at != end_sequence) {
            return Err(format!("{shard:?} was closed at {:?} and then at {end_sequence}", seen.closed_at));
        }
        seen.closed_at = Some(end_sequence);
        for child in children {
            let child = self.shards.entry(ShardOf { shard: *child, ..shard }).or_default();
            if child.end > 0 {
                return Err(format!("a child of {shard:?} has records before that is closed"));
            }
            child.parents.push(shard.shard);
        }
        Ok(())
    }

    /// What stands in a closed shard stands before its end; what stands in a child came after all of its parents.
    fn parents_first(&self, put: &Put, first_sequence: u64, arrival_ms: u64) -> Result<(), String> {
        let Some(seen) = self.shards.get(&put.shard) else { return Ok(()) };
        let end = first_sequence + put.records.len() as u64;
        if seen.closed_at.is_some_and(|closed_at| end > closed_at) {
            return Err(format!("put {} ends at {end} of {:?}, closed at {:?}", put.id, put.shard, seen.closed_at));
        }
        let last_of = |parent: &u32| {
            let parent = self.shards.get(&ShardOf { shard: *parent, ..put.shard })?;
            parent.places.values().next_back().map(|(_, arrival_ms)| *arrival_ms)
        };
        match seen.parents.iter().filter_map(last_of).max() {
            Some(last_ms) if last_ms > arrival_ms => {
                Err(format!("put {} arrived at {arrival_ms} in a child whose parent ends at {last_ms}", put.id))
            }
            _ => Ok(()),
        }
    }

    fn in_order(&mut self, put: &Put, first_sequence: u64) -> Result<(), String> {
        let placed = self.order.entry((put.producer, put.shard)).or_default();
        placed.insert(put.number, first_sequence);
        let before = placed.range(..put.number).next_back();
        let after = placed.range(put.number + 1..).next();
        let (below, above) =
            (before.is_none_or(|it| *it.1 < first_sequence), after.is_none_or(|it| *it.1 > first_sequence));
        if below && above {
            return Ok(());
        }
        Err(format!(
            "put {} of producer {:x} stands at {first_sequence}, between {before:?} and {after:?}",
            put.number, put.producer
        ))
    }

    fn read(
        &mut self,
        shard: ShardOf,
        start_sequence: u64,
        next_sequence: u64,
        batches: &[BatchSeen],
    ) -> Result<(), String> {
        let mut at = batches.first().map_or(start_sequence, |batch| batch.first_sequence);
        if at > start_sequence {
            return Err(format!("a read of {shard:?} from {start_sequence} begins at {at}"));
        }
        for batch in batches {
            if batch.first_sequence != at {
                return Err(format!("a read of {shard:?} goes from {at} to {}", batch.first_sequence));
            }
            let first = batch.records.first().ok_or("a batch holds at least one record")?;
            let (id, place) = *self
                .records
                .get(first)
                .ok_or_else(|| format!("sequence {at} of {shard:?} holds a record that nobody has put"))?;
            let state = &self.puts[&id];
            if place != 0 || state.put.records != batch.records || state.put.shard != shard {
                return Err(format!("the batch at {at} of {shard:?} is not put {id} as it was sent"));
            }
            if state.told == Some(Outcome::Refused) && state.put.producer == 0 {
                return Err(format!("put {id} was refused and is read at {at} of {shard:?}"));
            }
            let put = state.put.clone();
            self.stands(&put, at, batch.arrival_ms).map_err(|why| format!("a read: {why}"))?;
            at += batch.records.len() as u64;
        }
        if at != next_sequence || at < start_sequence {
            return Err(format!("a read of {shard:?} from {start_sequence} ends at {at} and says {next_sequence}"));
        }
        Ok(())
    }

    fn pushed(
        &mut self,
        subscriber: u64,
        shard: ShardOf,
        batches: &[BatchSeen],
        tip_sequence: u64,
    ) -> Result<(), String> {
        let told = |why: String| format!("a push to subscriber {subscriber}: {why}");
        let PlaceOf { next_sequence, is_fresh } = *self
            .subscribers
            .get(&(subscriber, shard))
            .ok_or_else(|| told(format!("it has no subscription to {shard:?}")))?;
        let (Some(first), Some(last)) = (batches.first(), batches.last()) else {
            return Err(told("it holds nothing".into()));
        };
        let end = last.first_sequence + last.records.len() as u64;
        if first.first_sequence != next_sequence && !(is_fresh && first.first_sequence < next_sequence) {
            return Err(told(format!("{next_sequence} of {shard:?} is next, and {} comes", first.first_sequence)));
        }
        if end <= next_sequence {
            return Err(told(format!("{next_sequence} of {shard:?} is next, and what comes ends at {end}")));
        }
        if end > tip_sequence {
            return Err(told(format!("it ends at {end} of {shard:?} and says that {tip_sequence} is the next record")));
        }
        self.read(shard, next_sequence, end, batches).map_err(told)?;
        self.subscribers.insert((subscriber, shard), PlaceOf { next_sequence: end, is_fresh: false });
        let seen = self.shards.entry(shard).or_default();
        seen.end = seen.end.max(tip_sequence);
        Ok(())
    }

    fn caught_up(&self, subscriber: u64, shard: ShardOf) -> Result<(), String> {
        let (at, end) = (self.place(subscriber, shard), self.end(shard));
        if at.is_some_and(|at| at >= end) {
            return Ok(());
        }
        Err(format!("subscriber {subscriber} stands at {at:?} of {shard:?}; everything below {end} is on the disk"))
    }

    fn began(&self, shard: ShardOf, arrival_ms: u64, sequence: u64) -> Result<(), String> {
        let Some(seen) = self.shards.get(&shard) else { return Ok(()) };
        let early = seen
            .places
            .range(..sequence)
            .next_back()
            .filter(|(at, place)| **at >= seen.first_kept && place.1 >= arrival_ms);
        let late = seen.places.range(sequence..).next().filter(|(_, place)| place.1 < arrival_ms);
        match early.or(late) {
            None => Ok(()),
            Some((other, place)) => Err(format!(
                "{arrival_ms} ms is said to begin at {sequence} of {shard:?}, where {other} arrived at {}",
                place.1
            )),
        }
    }

    fn tip(&mut self, shard: ShardOf, next_sequence: u64) -> Result<(), String> {
        let end = self.end(shard);
        if next_sequence < end {
            return Err(format!(
                "{shard:?} goes back to {next_sequence}; everything below {end} was acked, read or shown"
            ));
        }
        Ok(())
    }

    fn trimmed(&mut self, shard: ShardOf, first_kept: u64, kept_since_ms: Option<u64>) -> Result<(), String> {
        let seen = self.shards.entry(shard).or_default();
        seen.first_kept = seen.first_kept.max(first_kept);
        let Some(since_ms) = kept_since_ms else { return Ok(()) };
        match seen.places.range(..first_kept).next_back() {
            Some((sequence, (_, arrival_ms))) if *arrival_ms >= since_ms => Err(format!(
                "{shard:?} is trimmed to {first_kept}, and {sequence} of {arrival_ms} ms is not older than {since_ms} ms"
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
