//! A client of the face that sends what it is told to, over one connection of either version of HTTP, and what it is
//! answered.

use std::net::SocketAddr;
use std::time::SystemTime;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::http::request::Builder;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rheos_client::Client;
use rheos_client::protocol::message::{Access, KeyPolicy};
use rheos_tests::raw_client::Key;
use rheos_tests::signed_request::{Form, SignedRequest, Signer};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::PATIENCE;

/// The broker's own.
pub(crate) const REGION: &str = "us-east-1";
pub(crate) const JSON: &str = "application/x-amz-json-1.1";
pub(crate) const CBOR: &str = "application/x-amz-cbor-1.1";

/// Who signs with this key.
pub(crate) fn signer(key: &Key) -> Signer<'_> {
    Signer { id: &key.0, secret: &key.1, region: REGION, service: "kinesis" }
}

/// A new key with these rights.
pub(crate) async fn new_key(admin: &Client, name: &str, policy: KeyPolicy) -> Key {
    let key = admin.create_key(name, policy).await.expect("there is none of that name");
    Key(key.id, key.secret)
}

/// A new key that may do everything.
pub(crate) async fn new_admin(admin: &Client, name: &str) -> Key {
    new_key(admin, name, KeyPolicy::everywhere(Access::Admin)).await
}

/// A call that nobody has signed.
pub(crate) fn call(address: SocketAddr, operation: &str, content_type: &str, body: Vec<u8>) -> SignedRequest {
    let target = format!("Kinesis_20131202.{operation}");
    let headers = [("host", address.to_string()), ("content-type", content_type.to_owned()), ("x-amz-target", target)];
    let headers = headers.map(|(name, value)| (name.to_owned(), value)).to_vec();
    SignedRequest { method: "POST".to_owned(), target: "/".to_owned(), headers, body }
}

/// The bytes of a request over HTTP/1.1, after which the connection ends if it says so.
pub(crate) fn wire(request: &SignedRequest, ends: bool) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
    request.headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    head.push_str(if ends { "connection: close\r\n" } else { "" });
    [format!("{head}content-length: {}\r\n\r\n", request.body.len()).as_bytes(), &request.body].concat()
}

/// A connection to the face and the key that signs on it.
pub(crate) struct Asker {
    pub(crate) address: SocketAddr,
    pub(crate) key: Key,
    send: Send,
}

enum Send {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Asker {
    /// Over HTTP/1.1: one call after the other.
    pub(crate) async fn http1(address: SocketAddr, key: &Key) -> Asker {
        let stream = TcpStream::connect(address).await.expect("the broker listens");
        let (send, connection) = http1::handshake(TokioIo::new(stream)).await.expect("it speaks HTTP/1.1");
        tokio::spawn(connection);
        Asker { address, key: key.clone(), send: Send::Http1(send) }
    }

    /// Over HTTP/2: calls beside each other.
    pub(crate) async fn http2(address: SocketAddr, key: &Key) -> Asker {
        let stream = TcpStream::connect(address).await.expect("the broker listens");
        let io = TokioIo::new(stream);
        let (send, connection) = http2::handshake(TokioExecutor::new(), io).await.expect("it speaks HTTP/2");
        tokio::spawn(connection);
        Asker { address, key: key.clone(), send: Send::Http2(send) }
    }

    /// Signs a call as this key.
    pub(crate) fn signed(&self, operation: &str, content_type: &str, body: Vec<u8>) -> SignedRequest {
        signer(&self.key).sign(call(self.address, operation, content_type, body), Form::Header, SystemTime::now())
    }

    /// Sends a request; what has come of the answer is its head.
    pub(crate) async fn begin(&mut self, request: SignedRequest) -> hyper::Result<Response<Incoming>> {
        let is_http2 = matches!(self.send, Send::Http2(_));
        let uri = format!("http://{}{}", self.address, request.target);
        let builder = Request::builder().method(request.method.as_str());
        let with = |builder: Builder, request: &SignedRequest| {
            let headers = request.headers.iter().filter(|(name, _)| !is_http2 || name != "host");
            let builder = headers.fold(builder, |it, (name, value)| it.header(name, value));
            builder.body(Full::new(request.body.clone().into())).expect("it is a request")
        };
        match &mut self.send {
            Send::Http1(send) => {
                send.ready().await?;
                send.send_request(with(builder.uri(&request.target), &request)).await
            }
            Send::Http2(send) => {
                send.ready().await?;
                send.send_request(with(builder.uri(uri), &request)).await
            }
        }
    }

    /// Sends a request and waits for the whole answer.
    pub(crate) async fn send(&mut self, request: SignedRequest) -> Answer {
        let whole = async {
            let begun = self.begin(request).await.expect("it is answered");
            Answer::of(begun).await
        };
        timeout(PATIENCE, whole).await.expect("it is answered")
    }

    /// The same, of a broker that may die meanwhile: then there is no answer.
    pub(crate) async fn try_send(&mut self, request: SignedRequest) -> Option<Answer> {
        let (head, body) = self.begin(request).await.ok()?.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        Some(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// Calls an operation in JSON.
    pub(crate) async fn ask(&mut self, operation: &str, input: &Value) -> Answer {
        let request = self.signed(operation, JSON, input.to_string().into_bytes());
        self.send(request).await
    }

    /// Calls an operation that must succeed; null where it answers nothing.
    pub(crate) async fn done(&mut self, operation: &str, input: &Value) -> Value {
        let answer = self.ask(operation, input).await;
        assert_eq!(answer.status, 200, "{operation}: {answer:?}");
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    /// Calls an operation that must be refused with this; what is said about it.
    pub(crate) async fn refused(&mut self, operation: &str, input: &Value, kind: &str) -> String {
        self.ask(operation, input).await.refusal(400, kind)
    }

    /// The ARN of a stream.
    pub(crate) async fn arn(&mut self, stream: &str) -> String {
        let summary = self.done("DescribeStreamSummary", &json!({"StreamName": stream})).await;
        text(&summary["StreamDescriptionSummary"]["StreamARN"])
    }

    /// An iterator at the beginning of a shard.
    pub(crate) async fn iterator(&mut self, stream: &str, shard: u32) -> String {
        let input = json!({"StreamName": stream, "ShardId": shard_id(shard), "ShardIteratorType": "TRIM_HORIZON"});
        text(&self.done("GetShardIterator", &input).await["ShardIterator"])
    }

    /// Registers a consumer; its ARN.
    pub(crate) async fn register(&mut self, stream_arn: &str, name: &str) -> String {
        let answer = self.done("RegisterStreamConsumer", &json!({"StreamARN": stream_arn, "ConsumerName": name})).await;
        text(&answer["Consumer"]["ConsumerARN"])
    }

    /// Puts one record; its shard and its number.
    pub(crate) async fn put(&mut self, stream: &str, key: &str, data: &str) -> (String, String) {
        let answer = self.done("PutRecord", &json!({"StreamName": stream, "PartitionKey": key, "Data": data})).await;
        (text(&answer["ShardId"]), text(&answer["SequenceNumber"]))
    }

    /// Everything in a shard, until a page is empty and nothing is behind it.
    pub(crate) async fn read_all(&mut self, stream: &str, shard: u32) -> Vec<Value> {
        let (mut iterator, mut records) = (self.iterator(stream, shard).await, Vec::new());
        loop {
            let page = self.done("GetRecords", &json!({"ShardIterator": iterator})).await;
            let found = page["Records"].as_array().expect("it is a list");
            records.extend(found.iter().cloned());
            if page["MillisBehindLatest"] == 0 {
                return records;
            }
            iterator = text(&page["NextShardIterator"]);
        }
    }

    /// Subscribes from the beginning of a shard, which must be taken.
    pub(crate) async fn subscribe(&mut self, consumer_arn: &str, shard: u32) -> Events {
        let request = self.signed("SubscribeToShard", JSON, subscription(consumer_arn, shard));
        let begun = timeout(PATIENCE, self.begin(request)).await.expect("it is answered").expect("it is answered");
        assert_eq!(begun.status(), 200);
        let mut events = Events::of(begun);
        assert_eq!(events.next().await.expect("it begins").kind, "initial-response");
        events
    }
}

/// The body of a SubscribeToShard from the beginning.
pub(crate) fn subscription(consumer_arn: &str, shard: u32) -> Vec<u8> {
    let from = json!({"Type": "TRIM_HORIZON"});
    json!({"ConsumerARN": consumer_arn, "ShardId": shard_id(shard), "StartingPosition": from}).to_string().into_bytes()
}

/// `shardId-000000000007`
pub(crate) fn shard_id(shard: u32) -> String {
    format!("shardId-{shard:012}")
}

/// A member that must be a text.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The whole of what has begun to come.
    pub(crate) async fn of(begun: Response<Incoming>) -> Answer {
        let (head, body) = begun.into_parts();
        let body = body.collect().await.expect("it is whole").to_bytes();
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?} is no JSON"))
    }

    /// What is said of a refusal, which must be of this status and kind in header and body.
    pub(crate) fn refusal(&self, status: u16, kind: &str) -> String {
        let body = self.json();
        let named = self.headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok());
        assert_eq!((self.status, named, &body["__type"]), (status, Some(kind), &json!(kind)), "{self:?}");
        let message = body.get("message").or_else(|| body.get("Message"));
        message.map(text).unwrap_or_default()
    }
}

/// The events of a subscription.
pub(crate) struct Events {
    body: Incoming,
    come: BytesMut,
}

/// One message.
#[derive(Debug)]
pub(crate) struct Event {
    /// The type of the event, or of the exception.
    pub(crate) kind: String,
    pub(crate) payload: Value,
}

impl Event {
    pub(crate) fn records(&self) -> &[Value] {
        assert_eq!(self.kind, "SubscribeToShardEvent", "{self:?}");
        self.payload["Records"].as_array().expect("it is a list")
    }
}

impl Events {
    /// Those of an answer that has begun.
    pub(crate) fn of(begun: Response<Incoming>) -> Events {
        Events { body: begun.into_body(), come: BytesMut::new() }
    }

    /// The next message; `None` when the answer is over or broken off.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        timeout(PATIENCE, self.read()).await.expect("there is an event every five seconds")
    }

    async fn read(&mut self) -> Option<Event> {
        loop {
            if let Some(len) = self.come.first_chunk().map(|len| u32::from_be_bytes(*len) as usize)
                && self.come.len() >= len
            {
                return Some(event(self.come.split_to(len).freeze()));
            }
            let frame = self.body.frame().await?.ok()?;
            if let Ok(mut bytes) = frame.into_data() {
                self.come.extend_from_slice(&bytes.copy_to_bytes(bytes.remaining()));
            }
        }
    }

    /// The next event that is no empty one.
    pub(crate) async fn next_full(&mut self) -> Option<Event> {
        loop {
            let event = self.next().await?;
            if event.kind != "SubscribeToShardEvent"
                || !event.records().is_empty()
                || event.payload["ChildShards"].is_array()
            {
                return Some(event);
            }
        }
    }
}

fn event(bytes: Bytes) -> Event {
    let message = aws_smithy_eventstream::frame::read_message_from(bytes).expect("it is a message");
    let header = |name: &str| {
        let header = message.headers().iter().find(|header| header.name().as_str() == name);
        header.map(|header| header.value().as_string().expect("it is a text").as_str().to_owned())
    };
    let kind = header(":event-type").or_else(|| header(":exception-type")).or_else(|| header(":error-code"));
    let payload = serde_json::from_slice(message.payload()).unwrap_or(Value::Null);
    Event { kind: kind.expect("every message has a type"), payload }
}
