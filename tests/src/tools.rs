//! Tools of others that tests use where they are there.

use std::path::{Path, PathBuf};

/// Prometheus' own checker: on the path, or where `tests/tools` puts it.
pub fn promtool() -> Option<PathBuf> {
    tool("promtool")
}

/// Prometheus: on the path, or where `tests/tools` puts it.
pub fn prometheus() -> Option<PathBuf> {
    tool("prometheus")
}

fn tool(name: &str) -> Option<PathBuf> {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/usr/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain([fetched]);
    places.map(|place| place.join(name)).find(|tool| tool.is_file())
}
