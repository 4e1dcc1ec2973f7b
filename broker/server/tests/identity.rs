//! The broker's identity on a real disk: made once, kept, guarded, renewed, and taken by a client.
#![allow(clippy::disallowed_methods, reason = "tests make and remove scratch files of their own")]

mod scratch;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::Request;
use rheos_broker::directory::{DataDirectory, DirectoryOptions};
use rheos_broker::identity::{AccessKey, BrokerIdentity, Principal};
use rheos_broker::start_error::StartError;
use rheos_core::catalog::{KeyRecord, plan_key};
use rheos_kinesis::page_token::{Page, StreamsPage};
use rheos_kinesis::signature::{BodyDigest, Claim};
use rheos_protocol::message::{ALPN, Access, CreateKey, KeyPolicy};
use rheos_protocol::name::{AccountId, StreamName};
use ring::hmac;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};
use tempfile::TempDir;

use scratch::{scratch, snapshot};

const DAY: Duration = Duration::from_secs(86_400);

fn new_directory() -> (TempDir, DataDirectory) {
    let scratch = scratch();
    let directory = DataDirectory::open(scratch.path(), DirectoryOptions::default()).expect("it is made");
    (scratch, directory)
}

fn load(directory: &DataDirectory) -> BrokerIdentity {
    BrokerIdentity::load_or_create(directory).expect("the keys are good")
}

fn refusal(directory: &DataDirectory) -> StartError {
    let error = BrokerIdentity::load_or_create(directory).expect_err("it is refused");
    assert!(!error.to_string().contains('\n'), "{error}");
    error
}

fn server_pem(directory: &DataDirectory) -> Vec<u8> {
    fs::read(directory.layout().keys_dir().join("server.pem")).expect("it is there")
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

#[test]
fn an_identity_is_made_once_and_shown_to_nobody() {
    let (scratch, directory) = new_directory();
    let first = load(&directory);
    let again = load(&directory);
    assert_eq!(again.admin, first.admin);
    assert_eq!(again.ca_sha256(), first.ca_sha256());
    assert_eq!((again.connection_id_key(), again.token_key()), (first.connection_id_key(), first.token_key()));
    assert!(!first.ca_pem().contains("PRIVATE") && first.ca_pem().starts_with("-----BEGIN CERTIFICATE-----\n"));
    assert!(!format!("{first:?}").contains(&first.admin.secret));
    for (path, (_, _, mode, _)) in snapshot(&directory.layout().keys_dir()) {
        assert_eq!(mode & 0o077, 0, "{} is nobody else's", path.display());
    }

    let (_other_scratch, other) = new_directory();
    assert_ne!(load(&other).ca_sha256(), first.ca_sha256());
    assert!(!scratch.path().join(".keys.tmp").exists());
}

#[test]
fn keys_that_others_can_read_are_refused() {
    let (_scratch, directory) = new_directory();
    load(&directory);
    let keys = directory.layout().keys_dir();
    for (name, mode, good) in [
        ("", 0o750, 0o700),
        ("", 0o701, 0o700),
        ("ca.pem", 0o640, 0o600),
        ("server.pem", 0o604, 0o600),
        ("transport.keys", 0o660, 0o600),
        ("admin.key", 0o644, 0o600),
    ] {
        let path = if name.is_empty() { keys.clone() } else { keys.join(name) };
        set_mode(&path, mode);
        let before = snapshot(&keys);
        let error = refusal(&directory);
        assert!(
            matches!(&error, StartError::KeysOpenToOthers { path: named, mode: shown } if *named == path && *shown == mode),
            "{name}: {error}"
        );
        assert_eq!(snapshot(&keys), before);
        set_mode(&path, good);
    }
    load(&directory);
}

#[test]
fn a_missing_or_damaged_key_is_named() {
    let (_scratch, directory) = new_directory();
    load(&directory);
    let keys = directory.layout().keys_dir();
    for name in ["ca.pem", "transport.keys", "admin.key"] {
        let path = keys.join(name);
        let good = fs::read(&path).expect("it is there");
        for damaged in [None, Some(&b""[..]), Some(&good[..good.len() / 2]), Some(&[0xff; 40][..])] {
            match damaged {
                Some(bytes) => fs::write(&path, bytes).expect("it is ours"),
                None => fs::remove_file(&path).expect("it is ours"),
            }
            let error = refusal(&directory);
            assert!(
                matches!(&error, StartError::KeysUnusable { path: named, .. } if *named == path),
                "{name}: {error}"
            );
            fs::write(&path, &good).expect("it is ours");
            set_mode(&path, 0o600);
        }
    }
    load(&directory);
}

#[test]
fn keys_of_another_authority_are_not_mixed() {
    let (_scratch, directory) = new_directory();
    let (_other_scratch, other) = new_directory();
    let pin = load(&directory).ca_sha256();
    load(&other);
    // A server certificate of another CA is no use to our clients: it is replaced.
    let path = directory.layout().keys_dir().join("server.pem");
    fs::write(&path, server_pem(&other)).expect("it is ours");
    let renewed = load(&directory);
    assert_eq!(renewed.ca_sha256(), pin);
    assert_ne!(server_pem(&directory), server_pem(&other));
    handshake(&renewed);
    // So is one that is gone.
    fs::remove_file(&path).expect("it is ours");
    handshake(&load(&directory));
}

#[test]
fn a_crash_while_keys_are_made_leaves_none() {
    let (_scratch, directory) = new_directory();
    let unfinished = directory.layout().keys_unfinished_dir();
    fs::create_dir(&unfinished).expect("it is writable");
    fs::write(unfinished.join("ca.pem"), "half a certif").expect("it is writable");
    load(&directory);
    assert!(!unfinished.exists());
}

#[test]
fn the_certificate_is_renewed_when_under_30_days_are_left() {
    let (_scratch, directory) = new_directory();
    let now = SystemTime::now();
    let at = |days: u32| BrokerIdentity::load_or_create_at(&directory, now + DAY * days).expect("the keys are good");
    let (admin, pin) = (at(0).admin, at(0).ca_sha256());
    let first = server_pem(&directory);
    at(334);
    assert_eq!(server_pem(&directory), first, "31 days are left");
    let renewed = at(336);
    assert_ne!(server_pem(&directory), first, "29 days are left");
    assert_eq!((renewed.admin.clone(), renewed.ca_sha256()), (admin.clone(), pin));
    // Again and again, for as long as the CA is, and when the clock has been set back.
    let mut before = server_pem(&directory);
    for days in [336 + 340, 3_000, 3_600, 0] {
        let renewed = at(days);
        assert_ne!(server_pem(&directory), before, "at day {days}");
        before = server_pem(&directory);
        assert_eq!((renewed.admin.clone(), renewed.ca_sha256()), (admin.clone(), pin));
    }
    handshake(&load(&directory));
}

/// A client that trusts the CA alone and asks for `rheos`; fails the test where it is not served.
fn handshake(identity: &BrokerIdentity) {
    let mut roots = RootCertStore::empty();
    roots.add(identity.ca_der().clone()).expect("it is a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let name = ServerName::try_from("rheos").expect("it is a name");
    let mut client = ClientConnection::new(Arc::new(config), name).expect("the settings are good");
    let mut server = ServerConnection::new(identity.server_crypto()).expect("the settings are good");
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).expect("memory takes it");
        server.read_tls(&mut &bytes[..]).expect("memory gives it");
        server.process_new_packets().expect("the client is good");
        bytes.clear();
        server.write_tls(&mut bytes).expect("memory takes it");
        client.read_tls(&mut &bytes[..]).expect("memory gives it");
        client.process_new_packets().expect("the server is good");
    }
    assert_eq!(client.alpn_protocol(), Some(ALPN));
    assert_eq!(client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    let chain = client.peer_certificates().expect("it has shown them");
    assert_eq!(chain.last(), Some(identity.ca_der()), "a client that knows only the pin finds the CA in the chain");
    assert_eq!(server.negotiated_cipher_suite(), client.negotiated_cipher_suite());
}

#[test]
fn a_client_that_trusts_the_authority_is_served() {
    let (_scratch, directory) = new_directory();
    let identity = load(&directory);
    handshake(&identity);
    assert_eq!(identity.server_crypto().max_early_data_size, 0);
    identity.quic_server();
}

fn proof(secret: &str, exporter: &[u8; 32]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::sign(&key, exporter).as_ref().try_into().expect("HMAC-SHA256 has 32 bytes")
}

#[test]
fn hello_is_believed_with_the_right_proof_alone() {
    let (_scratch, directory) = new_directory();
    let identity = load(&directory);
    let AccessKey { id, secret } = identity.admin.clone();
    let (exporter, other) = ([7; 32], [8; 32]);
    let good = proof(&secret, &exporter);
    assert_eq!(
        identity.verify_hello(&id, &good, &exporter),
        Some(Principal {
            key_id: id.clone(),
            name: "admin".to_owned(),
            policy: KeyPolicy::everywhere(Access::Admin),
            account: None
        })
    );
    assert_eq!(identity.verify_hello(&id, &good, &other), None, "a proof is good for one connection");
    assert_eq!(identity.verify_hello(&id, &proof("wrong", &exporter), &exporter), None);
    for key_id in ["", "RKABCDEFGHIJKLMNOPQR", &id[1..], &id.to_lowercase()] {
        assert_eq!(identity.verify_hello(key_id, &good, &exporter), None, "{key_id:?}");
    }
    for bit in 0..256 {
        let mut forged = good;
        forged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(identity.verify_hello(&id, &forged, &exporter), None, "bit {bit}");
    }
}

fn made_key(name: &str, everywhere: Access) -> KeyRecord {
    let AccessKey { id, secret } = AccessKey::generate().expect("there are random numbers");
    let policy = KeyPolicy { everywhere, streams: vec![("orders".to_owned(), Access::ReadWrite)] };
    plan_key(&CreateKey { name: name.to_owned(), policy, account: None }, &id, &secret, 1).expect("it is in order")
}

#[test]
fn a_made_key_is_believed_until_it_is_revoked() {
    let (_scratch, directory) = new_directory();
    let identity = load(&directory);
    let another_lane = identity.clone();
    let (one, other) = (made_key("one", Access::ReadOnly), made_key("other", Access::None));
    let exporter = [7; 32];
    let verify =
        |key: &KeyRecord, secret: &str| another_lane.verify_hello(&key.id, &proof(secret, &exporter), &exporter);
    assert_eq!(verify(&one, &one.secret), None, "it is not known yet");
    identity.add_key(&one);
    identity.add_key(&other);
    let principal = verify(&one, &one.secret).expect("it is known");
    assert_eq!(
        (principal.key_id, principal.name, principal.policy),
        (one.id.clone(), "one".to_owned(), one.policy.clone())
    );
    assert_eq!(verify(&one, &other.secret), None, "another key's secret proves nothing");
    assert_eq!(verify(&one, &identity.admin.secret), None);
    assert!(another_lane.is_live(&one.id) && another_lane.is_live(&identity.admin.id) && !another_lane.is_live("RK"));

    let mut listed = vec![one.describe(), other.describe()];
    listed.sort_by(|one, other| one.id.cmp(&other.id));
    assert_eq!(another_lane.keys_page("", 2), (listed.clone(), false));
    assert_eq!(another_lane.keys_page("", 1), (listed[..1].to_vec(), true));
    assert_eq!(another_lane.keys_page(&listed[0].id, 1), (listed[1..].to_vec(), false));
    assert!(!format!("{identity:?} {listed:?} {one:?}").contains(&one.secret));

    for id_or_name in ["one", &one.id] {
        assert_eq!(another_lane.live_key_id(id_or_name).as_deref(), Some(one.id.as_str()));
    }
    assert_eq!(another_lane.live_key_id("nobody"), None);
    identity.revoke_key(&one.id);
    assert_eq!(another_lane.live_key_id("one"), None);
    assert_eq!(verify(&one, &one.secret), None);
    assert!(!another_lane.is_live(&one.id) && verify(&other, &other.secret).is_some());
    // The administrator's own key is the directory's, not the catalog's.
    identity.revoke_key(&identity.admin.id);
    assert!(
        another_lane.verify_hello(&identity.admin.id, &proof(&identity.admin.secret, &exporter), &exporter).is_some()
    );
}

/// A request as a client signs it with Signature Version 4, in one second of 2026 in which it is checked, too.
fn signed_request(key_id: &str, secret: &str) -> Request<()> {
    let mac = |key: &[u8], text: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
    };
    let scope = "20261125/eu-west-1/kinesis/aws4_request";
    let canonical = format!(
        "POST\n/\n\nhost:localhost\nx-amz-date:{SIGNED_AT}\n\nhost;x-amz-date\n{}",
        BodyDigest::of([&b"{}"[..]])
    );
    let text = format!("AWS4-HMAC-SHA256\n{SIGNED_AT}\n{scope}\n{}", BodyDigest::of([canonical.as_bytes()]));
    let begin = format!("AWS4{secret}").into_bytes();
    let key = scope.split('/').fold(begin, |key, part| mac(&key, part));
    let signature = hex::encode(mac(&key, &text));
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders=host;x-amz-date, Signature={signature}");
    Request::post("/")
        .header("host", "localhost")
        .header("x-amz-date", SIGNED_AT)
        .header("authorization", authorization)
        .body(())
        .expect("it is a request")
}

const SIGNED_AT: &str = "20261125T100000Z";
const SIGNED_AT_S: u64 = 1_795_600_800;

#[test]
fn a_request_is_proved_with_the_key_that_also_says_hello() {
    let (_scratch, directory) = new_directory();
    let identity = load(&directory);
    let AccessKey { id, secret } = AccessKey::generate().expect("there are random numbers");
    let create = CreateKey { account: Some("123456789012".to_owned()), ..CreateKey::default() };
    let made = plan_key(&CreateKey { name: "partner".to_owned(), ..create }, &id, &secret, 1).expect("it is in order");
    let prove = |id: &str, secret: &str| {
        let request = signed_request(id, secret).into_parts().0;
        let claim = Claim::read(&request).expect("it is signed");
        let secret_of = |id: &str| identity.signing_key(id).map(|(secret, _)| secret);
        claim.verify(&BodyDigest::of([&b"{}"[..]]), SIGNED_AT_S, secret_of).map_err(|refusal| refusal.kind.name())
    };
    assert_eq!(prove(&id, &secret), Err("UnrecognizedClientException"), "it is not known yet");
    identity.add_key(&made);
    let signed = prove(&id, &secret).expect("it is its signature");
    assert_eq!((signed.key_id.as_str(), signed.region.as_str()), (made.id.as_str(), "eu-west-1"));
    let (_, principal) = identity.signing_key(&id).expect("it is known");
    assert_eq!(principal.account.as_ref().map(AccountId::as_str), Some("123456789012"));
    assert_eq!(prove(&id, "another"), Err("InvalidSignatureException"));
    assert_eq!(prove("nobody", &secret), Err("UnrecognizedClientException"));
    let AccessKey { id: admin, secret: admins } = &identity.admin;
    prove(admin, admins).expect("the administrator has one key for both");
    assert_eq!(identity.signing_key(admin).expect("it is known").1.account, None);
    identity.revoke_key(&id);
    assert_eq!(prove(&id, &secret), Err("UnrecognizedClientException"));
}

#[test]
fn iterators_are_taken_after_a_restart_and_by_no_other_broker() {
    let (_scratch, directory) = new_directory();
    let before = load(&directory).kinesis_token_key();
    let page = StreamsPage { after: StreamName::new("orders").expect("it is a name") };
    let token = page.seal(&before, "RKALICE", 1_000, 7);
    let open = |identity: &BrokerIdentity| StreamsPage::open(&token, &identity.kinesis_token_key(), "RKALICE", 2_000);
    assert_eq!(open(&load(&directory)), Ok(page));
    let (_other_scratch, other) = new_directory();
    assert!(open(&load(&other)).is_err());
}

#[test]
fn the_administrators_url_is_written_for_the_administrator_alone() {
    let (_scratch, directory) = new_directory();
    let identity = load(&directory);
    let listen = "0.0.0.0:4567".parse().expect("it is an address");
    let AccessKey { id, secret } = &identity.admin;
    let expected = format!("rheos://{id}:{secret}@127.0.0.1:4567?ca=sha256:{}\n", hex::encode(identity.ca_sha256()));
    let path = directory.layout().admin_url_path();
    identity.write_admin_url(&directory, listen).expect("there is room");
    assert_eq!(fs::read_to_string(&path).expect("it is there"), expected);

    let before = snapshot(&path);
    identity.write_admin_url(&directory, listen).expect("there is nothing to write");
    assert_eq!(snapshot(&path), before);
    set_mode(&path, 0o644);
    identity.write_admin_url(&directory, listen).expect("there is room");
    assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(&path).expect("it is there"), expected);
}
