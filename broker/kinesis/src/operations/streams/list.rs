//! ListStreams.
//!
//! What must hold: names come in their order and each once, also while streams are made and deleted between pages: a
//! page goes on after a name, whether that is still there or not.

use rheos_protocol::name::StreamName;

use super::{StreamView, whole_seconds};
use crate::error::Error;
use crate::page_token::{Page, StreamsPage};
use crate::records::Issue;
use crate::shapes::operations::find;
use crate::shapes::structures::STREAM_SUMMARY;
use crate::value::{Structure, Value};

/// Most streams of a page, whatever is asked for.
const PAGE_STREAMS_MAX: i64 = 100;

/// A page that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListAsked {
    /// The page begins with the next name after this one; empty for the first.
    pub after: String,
    /// Most streams of the page, 1 to 100.
    pub limit: usize,
}

impl ListAsked {
    /// What a ListStreams asks for. A NextToken goes before an ExclusiveStartStreamName: clients that page by tokens
    /// send what they began with all along.
    ///
    /// # Errors
    ///
    /// Those of the token.
    pub fn read(input: &Structure, issue: &Issue<'_>) -> Result<ListAsked, Error> {
        let token = input.optional::<&str>("NextToken");
        let page = token.map(|token| StreamsPage::open_for(token, issue)).transpose()?;
        let after = match &page {
            Some(page) => page.after.as_str(),
            None => input.optional::<&str>("ExclusiveStartStreamName").unwrap_or(""),
        };
        let limit = input.optional::<i64>("Limit").unwrap_or(PAGE_STREAMS_MAX).min(PAGE_STREAMS_MAX);
        Ok(ListAsked { after: after.to_owned(), limit: limit as usize })
    }

    /// The answer with these streams of the caller's, in the order of their names, where there are more or none.
    pub fn answer(&self, streams: &[StreamView<'_>], has_more: bool, issue: &Issue<'_>) -> Structure {
        let last = streams.last().filter(|_| has_more).map(|stream| StreamsPage { after: plain(stream) });
        find("ListStreams")
            .expect("it is in the table")
            .answer()
            .with("StreamNames", streams.iter().map(|stream| stream.arn.name().as_str()).collect::<Value>())
            .with("HasMoreStreams", has_more)
            .with_some("NextToken", last.map(|page| page.seal_for(issue)))
            .with("StreamSummaries", streams.iter().map(summary).collect::<Value>())
    }
}

fn plain(stream: &StreamView<'_>) -> StreamName {
    stream.arn.name().clone()
}

fn summary(stream: &StreamView<'_>) -> Structure {
    Structure::of(&STREAM_SUMMARY)
        .with("StreamName", stream.arn.name().as_str())
        .with("StreamARN", stream.arn.to_string())
        .with("StreamStatus", stream.status.name())
        .with("StreamModeDetails", stream.mode_details())
        .with("StreamCreationTimestamp", whole_seconds(stream.record.created_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::status::StreamStatus;
    use crate::operations::testing::{input_of, issue, json, record, text_of, viewed};

    fn read(members: [(&str, Value); 3]) -> Result<ListAsked, Error> {
        ListAsked::read(&input_of("ListStreams", members), &issue())
    }

    fn token() -> String {
        let after = StreamName::new("m").expect("it is one");
        StreamsPage { after }.seal_for(&issue())
    }

    #[test]
    fn a_page_is_asked_for_by_name_or_by_token() {
        let asked = |after: &str, limit| Ok(ListAsked { after: after.to_owned(), limit });
        let bare = ListAsked::read(&input_of("ListStreams", []), &issue());
        assert_eq!(bare, asked("", 100));
        let (limit, name) = (("Limit", Value::from(5)), ("ExclusiveStartStreamName", Value::from("a")));
        assert_eq!(ListAsked::read(&input_of("ListStreams", [name.clone()]), &issue()), asked("a", 100));
        assert_eq!(read([limit, name.clone(), ("NextToken", token().into())]), asked("m", 5));
        assert_eq!(read([("Limit", 10_000.into()), name.clone(), ("NextToken", token().into())]), asked("m", 100));
        assert_eq!(text_of(read([("Limit", 1.into()), name, ("NextToken", "x".into())])), "Invalid NextToken.");
    }

    #[test]
    fn a_page_with_more_has_a_token_that_goes_on_after_it() {
        let asked = ListAsked { after: String::new(), limit: 1 };
        let page = |has_more| {
            viewed(&record(1), StreamStatus::Active, |view| {
                asked.answer(std::slice::from_ref(view), has_more, &issue())
            })
        };
        let more = page(true);
        let token: &str = more.optional("NextToken").expect("there are more");
        let opened = StreamsPage::open_for(token, &issue()).expect("it was just given");
        assert_eq!((opened.after.as_str(), more.required::<bool>("HasMoreStreams")), ("orders", true));
        assert_eq!(
            json(&page(false)),
            r#"{"StreamNames":["orders"],"HasMoreStreams":false,"StreamSummaries":[{"StreamName":"orders","StreamARN":"arn:aws:kinesis:eu-west-1:000000000000:stream/orders","StreamStatus":"ACTIVE","StreamModeDetails":{"StreamMode":"PROVISIONED"},"StreamCreationTimestamp":1700000000.000}]}"#
        );
        let none = asked.answer(&[], false, &issue());
        assert_eq!(json(&none), r#"{"StreamNames":[],"HasMoreStreams":false,"StreamSummaries":[]}"#);
    }
}
