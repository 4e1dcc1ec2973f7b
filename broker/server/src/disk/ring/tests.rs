//! The ring against a real file, opened as segments are.

#![allow(clippy::disallowed_methods, reason = "the files of a test need not survive a crash")]

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::Instant;

use rustix::fs::OFlags;

use super::*;

/// A file of its own beside the test binary, which is on a disk where /tmp may be memory.
struct Scratch {
    path: PathBuf,
    file: Arc<File>,
}

impl Scratch {
    fn new(name: &str, writable: bool) -> Self {
        let mut path = std::env::current_exe().expect("a test has a binary");
        path.set_file_name(format!("commit-ring-{name}-{}", std::process::id()));
        std::fs::write(&path, []).expect("the build directory is writable");
        let file = OpenOptions::new()
            .read(true)
            .write(writable)
            .custom_flags((OFlags::DIRECT | OFlags::DSYNC).bits() as i32)
            .open(&path)
            .expect("the file system takes O_DIRECT");
        Self { path, file: Arc::new(file) }
    }

    fn read(&self) -> Vec<u8> {
        std::fs::read(&self.path).expect("the file is there")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn block_of(byte: u8, blocks: usize) -> AlignedBuffer {
    let mut buffer = AlignedBuffer::with_capacity(blocks * BLOCK_BYTES);
    buffer.extend_from_slice(&vec![byte; blocks * BLOCK_BYTES]);
    buffer
}

#[test]
fn writes_arrive_and_buffers_come_back() {
    let scratch = Scratch::new("arrive", true);
    let mut ring = CommitRing::new(8).expect("io_uring works here");
    for index in 0..8 {
        ring.write(index, &scratch.file, index * 2 * BLOCK_BYTES as u64, block_of(index as u8 + 1, 2));
    }
    assert_eq!(ring.in_flight(), 8);
    let mut ends = Vec::new();
    ring.drain(&mut ends).expect("the kernel waits");
    assert_eq!(ring.in_flight(), 0);

    ends.sort_by_key(|done| done.token);
    assert_eq!(ends.iter().map(|done| done.token).collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
    let content = scratch.read();
    for done in ends {
        assert_eq!(done.written.expect("the write succeeded"), 2 * BLOCK_BYTES);
        let start = done.token as usize * 2 * BLOCK_BYTES;
        assert_eq!(&content[start..start + 2 * BLOCK_BYTES], &done.buffer[..]);
    }
}

#[test]
fn completes_while_the_thread_never_sleeps() {
    let scratch = Scratch::new("busy", true);
    let mut ring = CommitRing::new(2).expect("io_uring works here");
    ring.write(7, &scratch.file, 0, block_of(7, 1));
    let begun = Instant::now();
    while !ring.has_completions() {
        assert!(begun.elapsed() < Duration::from_secs(30), "no completion is seen without entering the kernel");
        std::hint::spin_loop();
    }
    let mut ends = Vec::new();
    while ends.is_empty() {
        ring.reap(&mut ends);
    }
    assert_eq!((ends.len(), ends[0].token), (1, 7));
    while ring.has_completions() {
        ring.reap(&mut ends);
    }
    assert_eq!(ends.len(), 1, "one write ends once");
    assert_eq!(scratch.read(), vec![7; BLOCK_BYTES]);
}

#[test]
fn failures_are_reported_with_the_buffer() {
    let scratch = Scratch::new("readonly", false);
    let mut ring = CommitRing::new(2).expect("io_uring works here");
    ring.write(1, &scratch.file, 0, block_of(1, 1));
    let mut ends = Vec::new();
    ring.drain(&mut ends).expect("the kernel waits");
    let errno = ends[0].written.as_ref().expect_err("the file is not writable").raw_os_error();
    assert_eq!(errno, Some(Errno::BADF.raw_os_error()));
    assert_eq!(ends[0].buffer.len(), BLOCK_BYTES);
}

#[test]
fn the_file_stays_open_until_the_end() {
    let scratch = Scratch::new("closing", true);
    let mut ring = CommitRing::new(2).expect("io_uring works here");
    let own = Arc::new(scratch.file.try_clone().expect("a descriptor is free"));
    ring.write(1, &own, 0, block_of(9, 1));
    drop(own);
    let mut ends = Vec::new();
    ring.drain(&mut ends).expect("the kernel waits");
    assert_eq!(*ends[0].written.as_ref().expect("the write succeeded"), BLOCK_BYTES);
    let mut back = vec![0; BLOCK_BYTES];
    File::open(&scratch.path).expect("there").read_exact_at(&mut back, 0).expect("one block");
    assert_eq!(back, vec![9; BLOCK_BYTES]);
}

#[test]
fn reads_bring_what_is_there() {
    let scratch = Scratch::new("reading", true);
    let content: Vec<u8> = (0..3 * BLOCK_BYTES).map(|index| (index % 251) as u8).collect();
    std::fs::write(&scratch.path, &content).expect("there is room");
    let mut ring = ReadRing::new(4).expect("io_uring works here");
    ring.read(1, &scratch.file, 0, block_of(0xee, 2), 2 * BLOCK_BYTES);
    ring.read(2, &scratch.file, 2 * BLOCK_BYTES as u64, block_of(0xee, 2), 2 * BLOCK_BYTES);
    ring.read(3, &scratch.file, 1 << 30, AlignedBuffer::with_capacity(BLOCK_BYTES), BLOCK_BYTES);
    let mut ends = Vec::new();
    while ring.in_flight() > 0 {
        ring.reap(&mut ends);
    }
    ends.sort_by_key(|done| done.token);
    assert!(ends.iter().all(|done| done.outcome.is_ok()));
    assert_eq!(&ends[0].buffer[..], &content[..2 * BLOCK_BYTES]);
    assert_eq!(&ends[1].buffer[..], &content[2 * BLOCK_BYTES..], "the file ends within the second read");
    assert!(ends[2].buffer.is_empty(), "nothing is beyond the end");
}

#[test]
fn dropping_waits_for_the_disk() {
    let scratch = Scratch::new("dropping", true);
    let mut ring = CommitRing::new(4).expect("io_uring works here");
    for index in 0..4_u64 {
        ring.write(index, &scratch.file, index << 20, block_of(5, 256));
    }
    drop(ring);
    assert_eq!(scratch.read(), vec![5; 4 << 20]);
    assert_eq!(Arc::strong_count(&scratch.file), 1, "every slot gave its file back");
}

#[test]
#[should_panic(expected = "operations in flight")]
fn refuses_more_than_it_was_made_for() {
    let scratch = Scratch::new("full", true);
    let mut ring = CommitRing::new(1).expect("io_uring works here");
    ring.write(0, &scratch.file, 0, block_of(0, 1));
    ring.write(1, &scratch.file, 4096, block_of(0, 1));
}

#[test]
#[should_panic(expected = "an operation at 512")]
fn refuses_what_is_not_aligned() {
    let scratch = Scratch::new("unaligned", true);
    let mut ring = CommitRing::new(1).expect("io_uring works here");
    ring.write(0, &scratch.file, 512, block_of(0, 1));
}

#[test]
fn a_denied_ring_says_what_to_do() {
    for (errno, word) in [(Errno::PERM, "seccomp"), (Errno::PERM, "kernel.io_uring_disabled"), (Errno::NOSYS, "5.19")] {
        let text = explain(errno.into()).to_string();
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn a_submission_the_kernel_refuses_is_an_end_too() {
    let scratch = Scratch::new("broken", true);
    let mut ring = CommitRing::new(2).expect("io_uring works here");
    ring.0.broken = Some(Errno::NOMEM);
    ring.write(3, &scratch.file, 0, block_of(3, 1));
    assert!(ring.has_completions());
    assert_eq!(ring.in_flight(), 1);
    let mut ends = Vec::new();
    ring.drain(&mut ends).expect("nothing is with the kernel");
    assert_eq!((ends[0].token, ends[0].written.is_err(), ring.in_flight()), (3, true, 0));
}
