//! Listings that come in pages.
//!
//! What must hold: each page begins after the last one ended, so that a listing ends whatever the
//! broker says.

use rheos_protocol::limits::LIST_PAGE_MAX;
use rheos_protocol::message::{Reply, Request};

use crate::core::Core;
use crate::error::Error;

/// Everything that a listing holds, in its order: by what `place` gives of an item.
///
/// `request` asks for up to so many items after a place; `page_of` takes the items and whether more
/// follow out of the reply.
pub(crate) async fn all_pages<T>(
    core: &Core,
    request: impl Fn(String, u32) -> Request,
    page_of: impl Fn(Reply) -> Result<(Vec<T>, bool), Error>,
    place: impl Fn(&T) -> &str,
) -> Result<Vec<T>, Error> {
    let mut items: Vec<T> = Vec::new();
    loop {
        let after = items.last().map_or("", &place).to_owned();
        let (page, more) = page_of(core.ask(&request(after, LIST_PAGE_MAX)).await?)?;
        if let (Some(first), Some(last)) = (page.first(), items.last())
            && place(first) <= place(last)
        {
            return Err(Error::protocol("a page of a listing begins before the last one ended"));
        }
        let ended = !more || page.is_empty();
        items.extend(page);
        if ended {
            return Ok(items);
        }
    }
}
