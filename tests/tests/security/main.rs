//! Who may do what, against a broker in a process of its own: credentials, grants and revocation over the
//! wire, strangers who want too much, and a client that is shown a certificate that has expired.

mod certificate;
mod consumers;
mod credentials;
mod grants;
mod strangers;

use std::sync::Arc;
use std::time::Duration;

use rheos_client::protocol::limits::LIST_PAGE_MAX;
use rheos_client::protocol::message::{
    Access, ConsumerDescription, ConsumerOf, CreateKey, CreateStream, KeyDescription, KeyPolicy, NewKey, Read, Reply,
    Request, Subscribe,
};
use rheos_client::{ErrorCode, Position};
use rheos_tests::broker_process::{Broker, Place};
use rheos_tests::ground::{Ground, PATIENCE, good_batch};
use rheos_tests::raw_client::{Ended, Key, RawClient, put_frame, read_reply, request_frame};
use tokio::time::{sleep, timeout};

fn place() -> Place {
    Place::new(env!("CARGO_BIN_EXE_test-broker"), env!("CARGO_TARGET_TMPDIR"))
}

async fn ground() -> Ground {
    Ground::new(place()).await
}

/// The answer to a request that must be answered.
async fn ask(client: &RawClient, request: Request) -> Result<Reply, ErrorCode> {
    let answer = timeout(PATIENCE, client.ask(&request)).await.unwrap_or_else(|_| panic!("no answer to {request:?}"));
    match answer {
        Ok(Reply::Error(error)) => Err(error.code),
        Ok(reply) => Ok(reply),
        Err(ended) => panic!("{request:?} ended with {ended:?}"),
    }
}

fn everywhere(access: Access) -> KeyPolicy {
    KeyPolicy::everywhere(access)
}

fn on(stream: &str, access: Access) -> KeyPolicy {
    KeyPolicy { everywhere: Access::None, streams: vec![(stream.to_owned(), access)] }
}

async fn create_key(admin: &RawClient, name: &str, policy: KeyPolicy) -> Key {
    match ask(admin, Request::CreateKey(CreateKey { name: name.to_owned(), policy, account: None })).await {
        Ok(Reply::Key(NewKey { id, secret })) => Key(id, secret),
        other => panic!("a key was answered {other:?}"),
    }
}

async fn list_keys(admin: &RawClient) -> Vec<KeyDescription> {
    match ask(admin, Request::ListKeys { after: String::new(), limit: LIST_PAGE_MAX }).await {
        Ok(Reply::Keys(keys, false)) => keys,
        other => panic!("a listing was answered {other:?}"),
    }
}

fn create(name: &str) -> Request {
    Request::CreateStream(CreateStream { name: name.to_owned(), shards: 1, ..CreateStream::default() })
}

fn consumer(stream: &str, consumer: &str) -> ConsumerOf {
    ConsumerOf { stream: stream.to_owned(), consumer: consumer.to_owned() }
}

/// A Hello that is not accepted, on a connection of its own, and the end of that.
async fn refused(broker: &Broker, key: &Key, what: &str) {
    let client = RawClient::connect(broker.address()).await.expect("a handshake is everybody's");
    let hello = Request::Hello(client.hello(key));
    hello_refused(&client, &hello, what).await;
}

async fn hello_refused(client: &RawClient, hello: &Request, what: &str) {
    match timeout(PATIENCE, client.ask(hello)).await.expect(what) {
        Ok(Reply::Error(error)) => assert_eq!(error.code, ErrorCode::Unauthenticated, "{what}: {error}"),
        Err(Ended::Closed(code, _)) => assert_eq!(code, ErrorCode::Unauthenticated, "{what}"),
        other => panic!("{what} was answered {other:?}"),
    }
    assert_eq!(timeout(PATIENCE, client.closed()).await.expect(what).0, ErrorCode::Unauthenticated, "{what}");
}
