//! The Kinesis-compatible face of rheos: what AWS clients say, in the terms of rheos, and back.
