//! A broker for the examples of the book, which are run as documentation tests of this crate.
//!
//! ```
//! let broker = rheos_tests::example::Broker::here();
//! assert!(std::path::Path::new("rheos-data/admin.url").exists());
//! ```

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use rheos_broker::ServeOptions;
use tempfile::TempDir;

/// A broker on a thread of this process, for as long as the process lives.
#[derive(Debug)]
pub struct Broker {
    _scratch: TempDir,
}

impl Broker {
    /// Makes a new directory the current one, and serves there from `rheos-data`.
    ///
    /// # Panics
    /// When it does not start.
    pub fn here() -> Broker {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tmp");
        fs::create_dir_all(&target).expect("the build directory is writable");
        let scratch = tempfile::tempdir_in(&target).expect("the build directory is writable");
        env::set_current_dir(scratch.path()).expect("it was just made");
        let (tell, ready) = mpsc::channel();
        thread::spawn(move || {
            let served = rheos_broker::serve(ServeOptions {
                data: "rheos-data".into(),
                listen: SocketAddr::from(([127, 0, 0, 1], 0)),
                dev: false,
                dev_anyone_on_the_network: false,
                certificate: None,
                metrics_open: false,
                limits: rheos_protocol::message::StreamLimits::NONE,
                lanes: 1,
                mtu: 1452,
                cores: Vec::new(),
                kinesis: rheos_broker::KinesisSettings::default(),
                scaling: rheos_broker::ScalerPace::default(),
                ready: Box::new(move |_| tell.send(()).expect("it is waited for")),
            });
            if let Err(error) = served {
                panic!("the example's broker did not start: {error}");
            }
        });
        ready.recv().expect("a broker that starts says so");
        Broker { _scratch: scratch }
    }
}
