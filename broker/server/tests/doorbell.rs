//! No wake-up is lost: every order in which a lane that goes to sleep and those who leave something for
//! it can meet, with the very source that the broker runs.

use loom::sync::atomic::AtomicUsize;
use loom::sync::{Arc, Notify};
use loom::thread;

use doorbell::Doorbell;
use sync::Ordering;

#[path = "../src/mesh/doorbell.rs"]
mod doorbell;

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering, fence};
}

/// A lane's part of the mesh. The queue is a count, as weakly ordered as it can be.
struct Post {
    left: AtomicUsize,
    bell: Doorbell,
    /// The eventfd.
    wake: Notify,
}

impl Post {
    fn new() -> Post {
        Post { left: AtomicUsize::new(0), bell: Doorbell::new(), wake: Notify::new() }
    }

    fn leave(&self) {
        self.left.fetch_add(1, Ordering::Relaxed);
        if self.bell.ring() {
            self.wake.notify();
        }
    }

    /// Serves until so many things have come, asleep in between. A lane that nobody wakes is a deadlock,
    /// which the model finds.
    fn serve(&self, count: usize) {
        loop {
            let seen = self.left.load(Ordering::Relaxed);
            if seen == count {
                return;
            }
            self.bell.lie_down();
            if self.left.load(Ordering::Relaxed) != seen {
                self.bell.get_up();
                continue;
            }
            self.wake.wait();
        }
    }
}

#[test]
fn no_wake_up_is_lost() {
    for callers in [1, 2] {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(move || {
            let post = Arc::new(Post::new());
            let calls: Vec<_> = (0..callers)
                .map(|_| {
                    let post = Arc::clone(&post);
                    thread::spawn(move || post.leave())
                })
                .collect();
            post.serve(callers);
            calls.into_iter().for_each(|call| call.join().unwrap());
        });
    }
}

/// The same law without a sleep: a lane that lies down and sees nothing, and a caller that finds it awake.
#[test]
#[should_panic(expected = "a wake-up is lost")]
fn the_model_finds_a_lane_that_looks_too_early() {
    loom::model(|| {
        let post = Arc::new(Post::new());
        let calling = {
            let post = Arc::clone(&post);
            thread::spawn(move || {
                post.left.store(1, Ordering::Relaxed);
                post.bell.ring()
            })
        };
        let seen = post.left.load(Ordering::Relaxed);
        post.bell.lie_down();
        assert!(calling.join().unwrap() || seen == 1, "a wake-up is lost");
    });
}
