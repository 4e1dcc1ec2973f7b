//! Threads of the rig beside the one that measures.
//!
//! What must hold: what runs aside takes no turn from the thread that measures. It has a core of its own
//! where the machine has one to spare, and else the least claim to the one that it shares.

use std::future::Future;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::Failure;
use crate::machine::{least_claim, pin_to_core};

/// Something that goes on aside, until this value goes.
pub(super) struct Aside {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), Failure>>>,
}

impl Aside {
    /// Does `begin` aside, and keeps what it makes and all tasks that it starts.
    pub(super) async fn start<T>(
        spare_core: Option<usize>,
        begin: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<Self, Failure> {
        let (stop, stopped) = oneshot::channel();
        let (said, begun) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            least_claim()?;
            on_core(spare_core, async {
                let kept = begin.await?;
                // Whoever began it may be gone, which also stops it.
                let _ = said.send(());
                let _ = stopped.await;
                drop(kept);
                Ok(())
            })
        });
        let mut aside = Self { stop: Some(stop), thread: Some(thread) };
        match begun.await {
            Ok(()) => Ok(aside),
            Err(_) => {
                let ended = aside.thread.take().expect("it was just started").join();
                Err(ended.map_err(|_| "a thread aside panicked")?.expect_err("it ended before it began"))
            }
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // What it did not finish concerns nobody any more.
            let _ = thread.join();
        }
    }
}

/// Does `work` on a thread and core of its own.
pub(super) async fn on_thread<T: Send + 'static>(
    core: usize,
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    let (done, result) = oneshot::channel();
    std::thread::spawn(move || {
        // Nobody waits any more when the run has failed elsewhere.
        let _ = done.send(on_core(Some(core), work));
    });
    result.await.map_err(|_| "a client's thread panicked")?
}

/// Does `work` on this thread, on `core` if there is one.
fn on_core<T>(core: Option<usize>, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    if let Some(core) = core {
        pin_to_core(core)?;
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    struct Told(Arc<AtomicBool>);

    impl Drop for Told {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn what_was_begun_is_kept_until_it_is_not_needed() {
        let gone = Arc::new(AtomicBool::new(false));
        let told = Told(Arc::clone(&gone));
        let aside = Aside::start(None, async { Ok(told) }).await.expect("it begins");
        assert!(!gone.load(Ordering::SeqCst));
        drop(aside);
        assert!(gone.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn what_does_not_begin_says_why() {
        let begin = async { Err::<(), Failure>("no consumer".into()) };
        assert_eq!(Aside::start(None, begin).await.err().expect("it fails").to_string(), "no consumer");
        let failure = on_thread(100_000, async { Ok(()) }).await.expect_err("no machine has it").to_string();
        assert!(failure.contains("core 100000"), "{failure}");
    }
}
