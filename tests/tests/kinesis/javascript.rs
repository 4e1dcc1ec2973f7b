//! AWS SDK for JavaScript v3 with its default handler, which speaks HTTP/2: by prior knowledge, and over TLS.

use serde_json::json;

use crate::alone::alone;
use crate::client::{Client, Steps, texts};
use crate::face::{Face, Way, account};
use crate::numbered;

#[test]
fn http_2_by_prior_knowledge() {
    alone("javascript::http_2_by_prior_knowledge", &[Client::Node], session("prior-knowledge", Way::Plain));
}

#[test]
fn http_2_over_tls() {
    alone("javascript::http_2_over_tls", &[Client::Node], session("over-tls", Way::Tls));
}

async fn session(stream: &str, way: Way) {
    let mut face = Face::start().await;
    let steps = face.run(Client::Node, "node/session.js", &[stream], way).await;
    let handler = steps.one("handler");
    assert_eq!((&handler["name"], &handler["version"]["handlerProtocol"]), (&json!("NodeHttp2Handler"), &json!("h2")));
    let account = account(&steps.one("active")["arn"], stream);
    let put = json!({"step": "put", "shard": "shardId-000000000000", "failed": 0, "records": 19});
    assert_eq!(steps.one("put"), &put);
    assert_eq!(steps.one("listed")["shards"], json!(["shardId-000000000000"]));
    assert_eq!(texts(&steps.one("read")["texts"]), numbered(20));
    let pushed = steps.one("pushed");
    assert_eq!(texts(&pushed["texts"]), numbered(20));
    assert!(pushed["goes_on"].is_string(), "{pushed}");
    let unknown = format!("Stream nowhere under account {account} not found.");
    is_refused(&steps, "unknown stream", "ResourceNotFoundException", &unknown);
    is_refused(&steps, "bad iterator", "InvalidArgumentException", "Invalid ShardIterator.");
    steps.one("deleted");
    face.end();
}

fn is_refused(steps: &Steps, step: &str, code: &str, message: &str) {
    assert_eq!(steps.one(step), &json!({"step": step, "code": code, "message": message, "status": 400}));
}
