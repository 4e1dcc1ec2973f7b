//! The streams that there are, by name and by incarnation: what describes, lists and resolves them without
//! asking the catalog.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rheos_core::catalog::{StreamRecord, stream_not_found};
use rheos_protocol::error::WireError;
use rheos_protocol::message::{StreamFilter, StreamSummary};
use rheos_protocol::name::StreamName;

/// All streams; every clone is the same.
#[derive(Debug, Clone)]
pub(crate) struct Streams(Arc<RwLock<Known>>);

/// The same streams twice.
#[derive(Debug, Default)]
struct Known {
    by_name: BTreeMap<String, Arc<StreamRecord>>,
    by_incarnation: BTreeMap<u64, Arc<StreamRecord>>,
}

/// How much there is of all streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StreamCounts {
    pub(crate) streams: u64,
    pub(crate) open_shards: u64,
    pub(crate) closed_shards: u64,
}

impl Streams {
    pub(crate) fn new(records: &[Arc<StreamRecord>]) -> Streams {
        let streams = Streams(Arc::default());
        records.iter().for_each(|record| streams.add(Arc::clone(record)));
        streams
    }

    pub(crate) fn add(&self, record: Arc<StreamRecord>) {
        let name = record.name.as_str().to_owned();
        let mut known = self.write();
        // Of two lives of a name that come here in the wrong order the later one stays.
        let newer = known.by_name.get(&name).is_none_or(|there| there.incarnation < record.incarnation);
        if newer {
            known.by_incarnation.insert(record.incarnation, Arc::clone(&record));
            if let Some(older) = known.by_name.insert(name, record) {
                known.by_incarnation.remove(&older.incarnation);
            }
        }
    }

    /// Takes the new record of a life of a stream, at once for everybody; of one that is gone, nothing.
    pub(crate) fn change(&self, record: Arc<StreamRecord>) {
        let mut known = self.write();
        if let Some(there) = known.by_incarnation.get_mut(&record.incarnation) {
            *there = Arc::clone(&record);
            known.by_name.insert(record.name.as_str().to_owned(), record);
        }
    }

    pub(crate) fn remove(&self, record: &StreamRecord) {
        let mut known = self.write();
        if known.by_incarnation.remove(&record.incarnation).is_some() {
            known.by_name.remove(record.name.as_str());
        }
    }

    /// The stream of this name.
    pub(crate) fn named(&self, name: &StreamName) -> Result<Arc<StreamRecord>, WireError> {
        self.read().by_name.get(name.as_str()).cloned().ok_or_else(|| stream_not_found(name))
    }

    /// The stream of which this is the present life. What somebody who may not see it is told if there is none
    /// is not decided here.
    pub(crate) fn by_incarnation(&self, incarnation: u64) -> Option<Arc<StreamRecord>> {
        self.read().by_incarnation.get(&incarnation).cloned()
    }

    /// Up to `limit` streams that pass the filter and whose names sort after `after`, and whether more follow.
    pub(crate) fn page(&self, filter: &StreamFilter, after: &str, limit: usize) -> (Vec<StreamSummary>, bool) {
        let known = self.read();
        // Names with the prefix stand together, and none before the prefix itself.
        let prefix = filter.name_prefix.as_str();
        let from = if prefix > after { Bound::Included(prefix) } else { Bound::Excluded(after) };
        let following = known.by_name.range::<str, _>((from, Bound::Unbounded)).map(|(_, record)| record);
        let alike = following.take_while(|record| record.name.as_str().starts_with(prefix));
        page(alike.filter(|record| record.passes(filter)), limit)
    }

    /// The same of those streams alone that are named, in order of their names.
    pub(crate) fn page_of(
        &self,
        names: impl IntoIterator<Item = impl AsRef<str>>,
        filter: &StreamFilter,
        after: &str,
        limit: usize,
    ) -> (Vec<StreamSummary>, bool) {
        let known = self.read();
        let following = names.into_iter().filter(|name| name.as_ref() > after);
        let known = following.filter_map(|name| known.by_name.get(name.as_ref()));
        page(known.filter(|record| record.passes(filter)), limit)
    }

    /// The first `limit` streams, those that were made first before later ones, and what there is in all.
    pub(crate) fn oldest(&self, limit: usize) -> (Vec<Arc<StreamRecord>>, StreamCounts) {
        let known = self.read();
        let mut counts = StreamCounts { streams: known.by_incarnation.len() as u64, ..StreamCounts::default() };
        for record in known.by_incarnation.values() {
            let open = record.open_shards().len();
            counts.open_shards += open as u64;
            counts.closed_shards += (record.shards.len() - open) as u64;
        }
        (known.by_incarnation.values().take(limit).cloned().collect(), counts)
    }

    /// Those that are scaled by what is put, in the order in which they were made.
    pub(crate) fn on_demand(&self) -> Vec<Arc<StreamRecord>> {
        self.those(|record| record.terms.mode.bounds().is_some())
    }

    /// Those of which `wanted` says yes, in the order in which they were made.
    pub(crate) fn those(&self, wanted: impl Fn(&StreamRecord) -> bool) -> Vec<Arc<StreamRecord>> {
        self.read().by_incarnation.values().filter(|record| wanted(record)).cloned().collect()
    }

    /// The first `limit` of these whose names sort after `after`, and whether more follow.
    pub(crate) fn those_after(
        &self,
        after: &str,
        limit: usize,
        wanted: impl Fn(&StreamRecord) -> bool,
    ) -> (Vec<Arc<StreamRecord>>, bool) {
        let known = self.read();
        let following = known.by_name.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        let mut following = following.map(|(_, record)| record).filter(|record| wanted(record));
        let page = following.by_ref().take(limit).cloned().collect();
        (page, following.next().is_some())
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn page<'a>(mut following: impl Iterator<Item = &'a Arc<StreamRecord>>, limit: usize) -> (Vec<StreamSummary>, bool) {
    let page = following.by_ref().take(limit).map(|record| record.summary()).collect();
    (page, following.next().is_some())
}

#[cfg(test)]
mod tests {
    use rheos_core::catalog::plan_stream;
    use rheos_protocol::message::{CreateStream, Tag};

    use super::*;

    fn record(name: &str, incarnation: u64) -> Arc<StreamRecord> {
        let create = CreateStream { name: name.to_owned(), shards: 1, ..CreateStream::default() };
        Arc::new(plan_stream(&create, 1_700_000_000_000, incarnation, 1, None).expect("it is in order"))
    }

    #[test]
    fn both_ways_lead_to_the_same_life() {
        let streams = Streams::new(&[record("a", 1), record("b", 2)]);
        let name = StreamName::new("a").expect("it is a name");
        streams.add(record("a", 3));
        assert_eq!(streams.by_incarnation(1), None, "a later life has its name");
        streams.add(record("a", 1));
        assert_eq!((streams.by_incarnation(1), streams.named(&name)), (None, Ok(record("a", 3))));
        streams.remove(&record("a", 1));
        assert_eq!(streams.by_incarnation(3), Some(record("a", 3)), "what is gone already takes nothing with it");
        streams.remove(&record("a", 3));
        assert!(streams.by_incarnation(3).is_none() && streams.named(&name).is_err());
        assert_eq!(streams.by_incarnation(2), Some(record("b", 2)));
    }

    #[test]
    fn a_page_of_some_streams_is_in_order_and_goes_on() {
        let streams = Streams::new(&["a", "b", "c", "d"].map(|name| record(name, u64::from(name.as_bytes()[0]))));
        let of = |names: &[&str], after: &str, limit| {
            let (page, more) = streams.page_of(names, &StreamFilter::default(), after, limit);
            (page.into_iter().map(|stream| stream.name).collect::<String>(), more)
        };
        assert_eq!(of(&["a", "c", "none"], "", 9), ("ac".to_owned(), false));
        assert_eq!(of(&["a", "c", "d"], "", 2), ("ac".to_owned(), true));
        assert_eq!(of(&["a", "c", "d"], "c", 2), ("d".to_owned(), false));
        assert_eq!(of(&[], "", 2), (String::new(), false));
    }

    #[test]
    fn a_page_holds_what_passes_and_goes_on_after_it() {
        let tagged = |name: &str, tags: &[(&str, &str)]| {
            let plain = record(name, u64::from(name.as_bytes()[name.len() - 1]));
            let tags: Vec<Tag> =
                tags.iter().map(|(key, value)| Tag { key: key.to_string(), value: value.to_string() }).collect();
            let tags = plain.tags.change(&tags, &[]).expect("they may be");
            Arc::new(plain.with_tags(tags).unwrap_or_else(|| StreamRecord::clone(&plain)))
        };
        let streams = Streams::new(&[
            tagged("a", &[("team", "x")]),
            tagged("ab", &[("team", "y"), ("env", "prod")]),
            tagged("abc", &[("team", "x"), ("env", "test")]),
            tagged("b", &[]),
        ]);
        let page = |prefix: &str, tags: &[(&str, Option<&str>)], after: &str, limit| {
            let tags = tags.iter().map(|(key, value)| (key.to_string(), value.map(str::to_owned))).collect();
            let filter = StreamFilter { name_prefix: prefix.to_owned(), tags };
            let all = ["a", "ab", "abc", "b", "gone"];
            let names = |(page, more): (Vec<StreamSummary>, bool)| {
                (page.into_iter().map(|stream| stream.name).collect::<Vec<_>>().join(" "), more)
            };
            let found = names(streams.page(&filter, after, limit));
            assert_eq!(names(streams.page_of(all, &filter, after, limit)), found, "both ways lead to the same");
            found
        };
        let found = |names: &str, more| (names.to_owned(), more);
        assert_eq!(page("ab", &[], "", 9), found("ab abc", false));
        assert_eq!(page("ab", &[], "", 1), found("ab", true));
        assert_eq!(page("ab", &[], "ab", 1), found("abc", false));
        assert_eq!(page("ab", &[], "b", 9), found("", false));
        assert_eq!(page("", &[("team", Some("x"))], "", 1), found("a", true));
        assert_eq!(page("", &[("team", Some("x"))], "a", 1), found("abc", false), "what follows does not pass");
        assert_eq!(page("", &[("team", None), ("env", None)], "", 9), found("ab abc", false));
        assert_eq!(page("a", &[("env", Some("prod"))], "", 9), found("ab", false));
        assert_eq!(page("", &[("none", None)], "", 9), found("", false));
    }
}
