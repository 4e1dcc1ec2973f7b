//! The Kinesis face: against its bare target, against native push and native puts, against others' servers.
//!
//! The broker is started as for every other part: its lane on the server's core, its HTTP threads on the cores that
//! are left. On a machine with two cores that is the client's: then both sides of a comparison have it so, but for
//! the peers, which may run everywhere.

pub(super) mod beside;
pub(super) mod push;
pub(super) mod putrecord;
pub(super) mod putrecords;

use std::sync::Arc;

use super::Walk;
use crate::Failure;
use crate::drive::{Outcome, drive};
use crate::http::puts::{ApiPuts, RECORDS_MAX};
use crate::load::Load;

impl Walk<'_> {
    /// The cores on which a broker has its threads for HTTP: those that no lane has, or that of the lane.
    fn http_cores(&self) -> Vec<usize> {
        let mut cores = self.launch.cores.numbers();
        cores.retain(|core| !self.launch.lane_cores.contains(core));
        if cores.is_empty() { self.launch.lane_cores.clone() } else { cores }
    }
}

/// As many PutRecords as go in, each of [`RECORDS_MAX`] records.
async fn drive_many(walk: &Walk<'_>, puts: ApiPuts) -> Result<Outcome, Failure> {
    let load = Load::Closed { batches: CONNECTIONS as u32, records: RECORDS_MAX };
    drive(&Arc::new(puts), load, walk.window()).await
}

/// Connections of every load of PutRecords, each with one request on its way.
const CONNECTIONS: usize = 4;
