//! Which broker a command talks to.

use rheos_client::{Client, ConnectOptions};

use crate::arguments::Global;
use crate::failure::Failure;

/// The file in a data directory that says how to connect.
const ADMIN_URL: &str = "admin.url";

/// Connects to the broker that the options name.
pub(crate) async fn connect(global: &Global) -> Result<Client, Failure> {
    Ok(Client::connect(options(global)?).await?)
}

/// How to connect to the broker that the options name.
pub(crate) fn options(global: &Global) -> Result<ConnectOptions, Failure> {
    let name = concat!("rheos ", env!("CARGO_PKG_VERSION"));
    let options = match global.url.as_deref().filter(|_| !global.data_was_typed) {
        Some(url) => match url.strip_prefix("dev:") {
            Some(address) => ConnectOptions::dev(address.parse().map_err(|_| {
                Failure::Usage(format!("dev:{address} names no address; it reads dev:127.0.0.1:4567"))
            })?)?,
            None => ConnectOptions::from_url(url)?,
        },
        None => from_data(global)?,
    };
    Ok(options.name(name))
}

fn from_data(global: &Global) -> Result<ConnectOptions, Failure> {
    let path = global.data.join(ADMIN_URL);
    if !path.exists() {
        return Err(Failure::new(format!(
            "no broker is known: {} does not exist; give the data directory of a broker on this host with --data, or a \
             connection string with --url or RHEOS_URL",
            path.display()
        )));
    }
    Ok(ConnectOptions::from_file(path)?)
}
