//! Subscribers that take nothing, vanish or come back: they cost a bounded number of bytes, and nobody
//! else a record.

use super::*;
