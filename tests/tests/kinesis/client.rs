//! The clients of AWS's and how their scripts are run: with nothing of this machine's in their environment, for a bounded
//! time, and with what they say as steps to be judged.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::bounded::{Ended, run};

/// A script that runs longer hangs.
const PATIENCE: Duration = Duration::from_secs(90);
/// A first build of the AWS SDK for Rust, on a machine that does other things too.
const BUILD_PATIENCE: Duration = Duration::from_secs(900);

/// Whose library a script uses, which is where it is installed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Client {
    /// boto3, the AWS CLI and aws-kinesis-agg.
    Aws,
    /// async-kinesis and aiokpl.
    Asyncio,
    /// AWS SDK for JavaScript and aws-kinesis-agg.
    Node,
    /// AWS SDK for Rust.
    Rust,
}

impl Client {
    /// Why it cannot be used, if it cannot. The one for Rust is built here.
    pub(crate) fn missing(self) -> Option<String> {
        if self == Client::Rust {
            return build();
        }
        let name = format!("{self:?}").to_lowercase();
        let is_there = installed().join(format!("{name}.stamp")).is_file();
        (!is_there).then(|| format!("the clients of `{name}` are not installed; tests/clients/install installs them"))
    }

    /// Its script of that name in tests/clients, or at that path, to be run; of Rust, its program of that name.
    fn command(self, script: &str) -> Command {
        let (name, script, at) = (script, Path::new(SCRIPTS).join(script), installed());
        let mut command = match self {
            Client::Aws if script.extension().is_some_and(|it| it == "sh") => Command::new("sh"),
            Client::Aws => Command::new(at.join("aws/bin/python")),
            Client::Asyncio => Command::new(at.join("asyncio/bin/python")),
            Client::Node => Command::new("node"),
            Client::Rust => return Command::new(at.join("rust/debug").join(name)),
        };
        command.arg(script);
        command
    }
}

/// What a script is given beside its arguments.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    /// Where the face is.
    pub(crate) endpoint: &'a str,
    /// Id and secret of an access key.
    pub(crate) key: (&'a str, &'a str),
    /// In every scope, and in every ARN.
    pub(crate) region: &'a str,
    /// A file with the CA of the broker.
    pub(crate) ca: &'a Path,
    /// An empty directory: the script's home.
    pub(crate) home: &'a Path,
}

/// What a script has said it saw, step by step.
#[derive(Debug)]
pub(crate) struct Steps(Vec<Value>);

impl Steps {
    /// Runs a script to its end.
    ///
    /// # Panics
    /// When it fails or hangs; with all that it said.
    pub(crate) fn of(client: Client, script: &str, arguments: &[&str], around: &Surroundings<'_>) -> Steps {
        let said = said(client, script, arguments, around);
        let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        Steps(said.lines().map(read).collect())
    }

    /// The one step of a name.
    ///
    /// # Panics
    /// When there is none, or a second.
    pub(crate) fn one(&self, name: &str) -> &Value {
        let mut named = self.all(name);
        match (named.next(), named.next()) {
            (Some(step), None) => step,
            _ => panic!("one step is {name}: {:#?}", self.0),
        }
    }

    /// All steps of a name, in order.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |step| step["step"] == *name)
    }
}

/// What a script prints, run to its end.
///
/// # Panics
/// When it fails or hangs; with all that it said.
pub(crate) fn said(client: Client, script: &str, arguments: &[&str], around: &Surroundings<'_>) -> String {
    fs::create_dir_all(around.home).expect("the scratch directory is writable");
    let mut command = client.command(script);
    surround(&mut command, around);
    let ended = run(command.args(arguments), PATIENCE);
    let ended = ended.unwrap_or_else(|error| panic!("{script} cannot be started: {error}"));
    let Ended { status, said, complaint } = ended;
    let status = status.unwrap_or_else(|| panic!("{script} hangs after\n{said}\n{complaint}"));
    assert!(status.success(), "{script}: {status}, after\n{said}\n{complaint}");
    said
}

/// The texts of a list.
///
/// # Panics
/// When it is none.
pub(crate) fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap_or_else(|| panic!("{list} is a list"));
    list.iter().map(|text| text.as_str().unwrap_or_else(|| panic!("{text} is a text"))).collect()
}

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");

fn installed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/clients")
}

/// Nothing is inherited but the path: no profile, no proxy, no credentials of somebody's.
fn surround(command: &mut Command, around: &Surroundings<'_>) {
    let at = installed();
    let path = std::env::var("PATH").expect("there is a path");
    let own = [("HOME", around.home.to_path_buf()), ("NODE_PATH", at.join("node/node_modules"))];
    let ca = ["AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"].map(|name| (name, around.ca.to_path_buf()));
    command
        .env_clear()
        .env("PATH", format!("{}:{path}", at.join("aws/bin").display()))
        .envs(own.into_iter().chain(ca))
        .env("AWS_ACCESS_KEY_ID", around.key.0)
        .env("AWS_SECRET_ACCESS_KEY", around.key.1)
        .env("AWS_REGION", around.region)
        .env("AWS_DEFAULT_REGION", around.region)
        .env("AWS_ENDPOINT_URL_KINESIS", around.endpoint)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("PYTHONDONTWRITEBYTECODE", "1");
}

/// Builds the client in Rust, in a workspace of its own; why it cannot be installed, if so.
///
/// # Panics
/// When it is there and cannot be built, which is our mistake.
fn build() -> Option<String> {
    let fetched = cargo("fetch", &[]);
    if !fetched.status.is_some_and(|status| status.success()) {
        return Some(format!("tests/clients/rust: {}", fetched.complaint));
    }
    let target = installed().join("rust");
    let built = cargo("build", &["--offline", "--target-dir", target.to_str().expect("the path is text")]);
    assert!(built.status.is_some_and(|status| status.success()), "tests/clients/rust: {}", built.complaint);
    None
}

fn cargo(command: &str, arguments: &[&str]) -> Ended {
    let mut cargo = Command::new(env!("CARGO"));
    let manifest = Path::new(SCRIPTS).join("rust/Cargo.toml");
    cargo.args([command, "--locked", "--quiet", "--manifest-path"]).arg(manifest).args(arguments);
    run(&mut cargo, BUILD_PATIENCE).expect("cargo runs this test")
}
