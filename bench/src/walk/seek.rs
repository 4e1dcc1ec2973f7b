//! Seeking: how long it takes to find a moment in a log of many GiB.
//!
//! The log is the one of the starts, whose segments keep their two ends on the disk alone. So the moments that are
//! looked for are those at which segments begin; and the answer must be a record of that moment.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use rheos_core::segment::{HEAD_BYTES, HEADER_OFFSET, Header, Label};
use rheos_protocol::message::Position;

use super::Walk;
use super::lines::{Goal, Lines};
use super::start::{SEALED_GIB, put_sealed, segments};
use crate::Failure;

pub(super) async fn measure(walk: &Walk<'_>, lines: &mut Lines) -> Result<(), Failure> {
    let gib = walk.arguments.start_gib;
    let data = walk.data("seek");
    let stream = put_sealed(walk, &data, gib).await?;
    let segments = segments(data.path())?;
    let moments: Vec<u64> = segments.iter().flatten().map(|path| begins_ms(path)).collect::<Result<_, _>>()?;
    let broker = walk.start_broker(&data)?;
    let session = walk.session(&broker).await?;
    let mut took = Vec::new();
    for turn in 0..SEEKS {
        // Up and down the log: neighbours in time are in segments far apart.
        let moment = moments[turn * STRIDE % moments.len()];
        let asked = Instant::now();
        let read = session.read_from(&stream, Position::AtTimestamp(moment), READ_BYTES).await?;
        took.push(asked.elapsed().as_secs_f64() * 1e3);
        match read.first_arrival_ms {
            Some(arrival_ms) if arrival_ms >= moment => {}
            found => return Err(format!("looking for {moment} ms found {found:?}").into()),
        }
    }
    let name = "timestamp_seek";
    if gib != SEALED_GIB {
        // What was not measured is not guessed.
        lines.fact(format!("{name}_ms"), serde_json::Value::Null);
    }
    let (name, goal) = match gib {
        SEALED_GIB => (name.to_owned(), Goal::AtMost(SEEK_MS_MAX)),
        _ => (format!("{name}_{gib}gib"), Goal::None),
    };
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took[(share * (took.len() - 1) as f64) as usize];
    lines.absolute(&format!("{name}_ms"), &took, goal);
    lines.absolute(&format!("{name}_p99_ms"), &[at(0.99)], Goal::None);
    lines.absolute(&format!("{name}_slowest_ms"), &[at(1.0)], Goal::None);
    lines.fact(format!("{name}_segments"), moments.len());
    broker.stop()
}

/// When the first batch of a segment arrived, as its header says.
fn begins_ms(path: &Path) -> Result<u64, Failure> {
    let mut head = [0; HEAD_BYTES as usize];
    File::open(path)?.read_exact_at(&mut head, 0)?;
    let label = Label::decode(&head[..HEADER_OFFSET as usize])?;
    Ok(Header::decode_either(&head, label.segment, label.salt)?.first_arrival_ms)
}

const SEEKS: usize = 500;
const STRIDE: usize = 37;
const READ_BYTES: u32 = 64 << 10;
const SEEK_MS_MAX: f64 = 5.0;
