//! A certificate that the operator brought: taken when a client would take it, else refused in one line.
#![allow(clippy::disallowed_methods, reason = "tests make and remove scratch files of their own")]

mod scratch;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rheos_broker::directory::{DataDirectory, DirectoryOptions};
use rheos_broker::identity::{BrokerIdentity, CertificateFiles};
use rheos_broker::start_error::StartError;
use rheos_broker::{AuthorityFile, authority_file};
use time::OffsetDateTime;

use scratch::scratch;

fn parameters(names: &[&str], days: std::ops::Range<i64>) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names).expect("they are names");
    let day = |days| OffsetDateTime::now_utc() + time::Duration::days(days);
    (parameters.not_before, parameters.not_after) = (day(days.start), day(days.end));
    parameters
}

fn authority(name: &str) -> CertificateParams {
    let mut parameters = parameters(&[], -1..400);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("there are random numbers")
}

/// What an operator puts into the files.
struct Brought {
    chain: String,
    key: String,
    /// The last certificate.
    pinned: String,
}

fn alone(parameters: &CertificateParams) -> Brought {
    let key = new_key();
    let certificate = parameters.self_signed(&key).expect("it is well formed").pem();
    Brought { chain: certificate.clone(), key: key.serialize_pem(), pinned: certificate }
}

/// A root, what it signed to sign others, and what that one signed for a server.
fn chained(leaf: &CertificateParams) -> Brought {
    let [root_key, between_key, key] = [new_key(), new_key(), new_key()];
    let (root, between) = (authority("root"), authority("between"));
    let certificate = leaf.signed_by(&key, &Issuer::from_params(&between, &between_key)).expect("it is well formed");
    let between = between.signed_by(&between_key, &Issuer::from_params(&root, &root_key)).expect("it is well formed");
    let root = root.self_signed(&root_key).expect("it is well formed").pem();
    Brought { chain: certificate.pem() + &between.pem() + &root, key: key.serialize_pem(), pinned: root }
}

fn write(place: &Path, chain: &str, key: &str) -> CertificateFiles {
    let files = CertificateFiles { chain: place.join("chain.pem"), key: place.join("key.pem") };
    fs::write(&files.chain, chain).expect("it is ours");
    fs::write(&files.key, key).expect("it is ours");
    fs::set_permissions(&files.key, Permissions::from_mode(0o600)).expect("it is ours");
    files
}

fn identity(directory: &DataDirectory) -> BrokerIdentity {
    BrokerIdentity::load_or_create(directory).expect("the keys are good")
}

#[test]
fn clients_pin_the_last_certificate_and_ask_for_the_first_name() {
    let (place, data) = (scratch(), scratch());
    let directory = DataDirectory::open(data.path(), DirectoryOptions::default()).expect("it is made");
    let own = identity(&directory).ca_sha256();
    let listen = "127.0.0.1:4567".parse().expect("it is an address");
    let mut self_made = parameters(&["localhost", "rheos"], -1..400);
    self_made.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    for (brought, name) in [
        (alone(&parameters(&["rheos"], -1..400)), None),
        (alone(&self_made), Some("localhost")),
        (
            chained(&parameters(&["10.1.2.3", "streams.example.com", "b.example.com"], -1..400)),
            Some("streams.example.com"),
        ),
        (chained(&parameters(&["*.example.com"], -1..400)), Some("rheos.example.com")),
    ] {
        let files = write(place.path(), &brought.chain, &brought.key);
        let identity =
            identity(&directory).with_certificate(&files).unwrap_or_else(|error| panic!("{name:?}: {error}"));
        assert_eq!((identity.warning(), identity.server_name()), (None, name.unwrap_or("rheos")));
        let same_lines = |a: &str, b: &str| a.lines().eq(b.lines());
        assert!(same_lines(identity.ca_pem(), &brought.pinned), "{name:?}");
        assert_ne!(identity.ca_sha256(), own);
        identity.quic_server();

        let pin = hex::encode(identity.ca_sha256());
        let end = name.map_or(String::new(), |name| format!("&name={name}"));
        assert!(identity.admin_url(listen).ends_with(&format!("@127.0.0.1:4567?ca=sha256:{pin}{end}")));
        identity.write_admin_url(&directory, listen).expect("there is room");
        let AuthorityFile { pem, sha256 } = authority_file(data.path()).expect("it is there");
        assert_eq!((pem.as_str(), sha256), (identity.ca_pem(), pin));
    }
    // Without it, the broker is again who it was.
    assert_eq!(identity(&directory).ca_sha256(), own);
}

#[test]
fn what_a_client_would_refuse_is_refused_at_start() {
    let (place, data) = (scratch(), scratch());
    let directory = DataDirectory::open(data.path(), DirectoryOptions::default()).expect("it is made");
    let good = alone(&parameters(&["rheos"], -1..400));
    let chain = chained(&parameters(&["rheos"], -1..400));
    let expired = alone(&parameters(&["rheos"], -400..-1));
    let mut expired_self_made = parameters(&["rheos"], -400..-1);
    expired_self_made.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let expired_self_made = alone(&expired_self_made);
    let early = alone(&parameters(&["rheos"], 2..400));
    let nameless = alone(&parameters(&["10.1.2.3"], -1..400));
    let key_of = |brought: &Brought| brought.key.clone();
    let backwards = chain.pinned.clone() + &chain.chain;
    let another = good.chain.clone() + &chain.pinned;
    let half = &good.chain[..good.chain.len() / 2];
    let refuse = |files: &CertificateFiles| {
        let error = identity(&directory).with_certificate(files).expect_err("it is refused");
        assert!(!error.to_string().contains('\n'), "{error}");
        error
    };
    for (chain, key, file, why) in [
        (expired.chain.as_str(), key_of(&expired), "chain.pem", "is expired since 20"),
        (&expired_self_made.chain, key_of(&expired_self_made), "chain.pem", "is expired since 20"),
        (&early.chain, key_of(&early), "chain.pem", "is not valid before 20"),
        (&nameless.chain, key_of(&nameless), "chain.pem", "subjectAltName=DNS:rheos"),
        (
            &backwards,
            key_of(&chain),
            "chain.pem",
            "its first certificate, which is to be the server's, has no DNS name",
        ),
        (&another, key_of(&good), "chain.pem", "the server's certificate comes first"),
        (half, key_of(&good), "chain.pem", "is damaged"),
        ("", key_of(&good), "chain.pem", "no certificate in PEM"),
        (&good.chain.repeat(9), key_of(&good), "chain.pem", "more than 8 certificates"),
        (&good.chain, key_of(&chain), "key.pem", "does not fit the first certificate of"),
        (&good.chain, String::new(), "key.pem", "no private key in PEM"),
        (&good.chain, good.chain.clone(), "key.pem", "no private key in PEM"),
    ] {
        let error = refuse(&write(place.path(), chain, &key));
        let StartError::CertificateUnusable { path, .. } = &error else { panic!("{error}") };
        assert!(path.ends_with(file) && error.to_string().contains(why), "{why}: {error}");
    }

    let files = write(place.path(), &good.chain, &good.key);
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(&files.key, Permissions::from_mode(mode)).expect("it is ours");
        let said = refuse(&files).to_string();
        assert!(said.contains("key.pem") && said.contains(&format!("mode {mode:04o}")), "{said}");
    }
    fs::remove_file(&files.key).expect("it is ours");
    assert!(refuse(&files).to_string().contains("key.pem cannot be used"));
    let missing = CertificateFiles { chain: place.path().to_owned(), ..files };
    assert!(refuse(&missing).to_string().contains("is no file"));
}

#[test]
fn an_end_that_is_near_is_warned_of() {
    let (place, data) = (scratch(), scratch());
    let directory = DataDirectory::open(data.path(), DirectoryOptions::default()).expect("it is made");
    let brought = alone(&parameters(&["rheos"], -1..29));
    let files = write(place.path(), &brought.chain, &brought.key);
    let warning = identity(&directory).with_certificate(&files).expect("it is good today").warning();
    assert!(warning.is_some_and(|warning| warning.contains("chain.pem within 30 days")));
}
