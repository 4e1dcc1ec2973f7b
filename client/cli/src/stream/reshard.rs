//! What `split`, `merge` and `scale` have in common: how far they are, and what has come of it.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rheos_client::{Client, Error, StreamDescription};
use serde_json::json;

use crate::arguments::Output;
use crate::broker::{Named, found};
use crate::failure::Failure;
use crate::output;

/// How often the time on a terminal goes on.
const TICK: Duration = Duration::from_millis(100);
/// Shards that are named in a line.
const NAMED_MAX: usize = 8;

/// Waits for a change of a stream's shards, and says which are closed and opened by it.
pub(super) async fn run(
    client: &Client,
    name: &str,
    doing: &str,
    change: impl Future<Output = Result<StreamDescription, Error>>,
    how: Output,
) -> Result<(), Failure> {
    let before = found(client, Named::Stream(name), client.describe_stream(name).await).await?;
    let progress = progress(doing);
    let changed = change.await;
    progress.finish_and_clear();
    let after = found(client, Named::Stream(name), changed).await?;
    let (was_open, is_open) = (open(&before), open(&after));
    let closed: Vec<u32> = was_open.iter().filter(|shard| !is_open.contains(shard)).copied().collect();
    let opened: Vec<u32> = is_open.iter().filter(|shard| !was_open.contains(shard)).copied().collect();
    let object = json!({ "name": after.name, "closed": closed, "opened": opened, "open_shards": is_open.len() });
    let (closed, opened) = (named(&closed), named(&opened));
    let open = output::count(is_open.len() as u64, "open shard");
    output::one(how, &format!("stream {}: closed {closed}; opened {opened}; {open}", after.name), &object)
}

/// Sorted by number, as they are described.
fn open(stream: &StreamDescription) -> std::collections::BTreeSet<u32> {
    stream.shards.iter().filter(|shard| shard.open).map(|shard| shard.shard).collect()
}

fn named(shards: &[u32]) -> String {
    let first = shards.iter().take(NAMED_MAX).map(u32::to_string).collect::<Vec<_>>().join(", ");
    match shards.len() {
        0 => "none".to_owned(),
        1 => format!("shard {first}"),
        count if count > NAMED_MAX => format!("shards {first} and {} more", count - NAMED_MAX),
        _ => format!("shards {first}"),
    }
}

/// On a terminal alone: a pipe or a log sees nothing of it.
fn progress(doing: &str) -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(None, target);
    bar.set_style(ProgressStyle::with_template("{spinner} {msg} {elapsed}").expect("the template is well formed"));
    bar.set_message(doing.to_owned());
    bar.enable_steady_tick(TICK);
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_named_and_many_counted() {
        assert_eq!(named(&[]), "none");
        assert_eq!(named(&[3]), "shard 3");
        assert_eq!(named(&[3, 9]), "shards 3, 9");
        let many: Vec<u32> = (0..20).collect();
        assert_eq!(named(&many), "shards 0, 1, 2, 3, 4, 5, 6, 7 and 12 more");
    }
}
