//! The broker as the rig sees it: a process, and a client of no more than the protocol.
//!
//! The client is as thin as that of the bare target, and shares its put streams: what a load costs
//! here and there differs by the frames alone.

pub(crate) mod access;
pub(crate) mod answers;
pub(crate) mod consumers;
mod incoming;
pub(crate) mod keyed;
pub(crate) mod process;
pub(crate) mod puts;
pub(crate) mod session;

#[cfg(test)]
mod tests;
