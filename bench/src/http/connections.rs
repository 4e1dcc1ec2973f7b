//! Connections that are kept alive: so many at most, each with one request on its way.
//!
//! What must hold: a request that finds every connection busy waits for one, and the time that it waits is its
//! own; a connection that its server has ended is replaced, and no request is sent twice.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::endpoint::{Asked, Endpoint};
use crate::Failure;

/// The connections to one server.
pub(crate) struct Connections {
    address: SocketAddr,
    room: Semaphore,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl Connections {
    /// Opens so many.
    pub(crate) async fn open(address: SocketAddr, connections: usize) -> Result<Arc<Self>, Failure> {
        let mut idle = Vec::with_capacity(connections);
        for _ in 0..connections {
            idle.push(connect(address).await?);
        }
        Ok(Arc::new(Self { address, room: Semaphore::new(connections), idle: Mutex::new(idle) }))
    }

    /// Sends a request and reads its answer, which is a success.
    pub(crate) async fn send(&self, request: Asked) -> Result<Bytes, Failure> {
        let _room = self.room.acquire().await?;
        let mut connection = self.free().await?;
        let answer = whole(connection.send_request(request).await?).await?;
        self.idle().push(connection);
        Ok(answer)
    }

    async fn free(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let idle = self.idle().pop();
        match idle {
            Some(mut connection) => match connection.ready().await {
                Ok(()) => Ok(connection),
                Err(_) => connect(self.address).await,
            },
            None => connect(self.address).await,
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<SendRequest<Full<Bytes>>>> {
        self.idle.lock().expect("nobody panics while holding the connections")
    }
}

/// Asks once, on a connection of its own.
pub(crate) async fn ask(endpoint: &Endpoint, operation: &str, input: &Value) -> Result<Value, Failure> {
    let request = endpoint.request(operation, &input.to_string().into())?;
    let answer = whole(connect(endpoint.address).await?.send_request(request).await?).await?;
    if answer.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&answer)?) }
}

pub(super) async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("cannot connect to {address}: {error}"))?;
    stream.set_nodelay(true)?;
    let (connection, work) = handshake(TokioIo::new(stream)).await?;
    // What goes wrong is told to whoever sends, and it ends with the sender.
    tokio::spawn(work);
    Ok(connection)
}

/// All of an answer, which is a success.
pub(super) async fn whole(answer: Response<Incoming>) -> Result<Bytes, Failure> {
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    if status != StatusCode::OK {
        let said = String::from_utf8_lossy(&body[..body.len().min(SAID_BYTES_MAX)]).into_owned();
        return Err(format!("a request was answered with {status}: {said}").into());
    }
    Ok(body)
}

/// How much of a refusal is shown.
const SAID_BYTES_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one request on each connection with the next of these, and closes it; the requests that came.
    async fn one_each(listener: TcpListener, answers: Vec<&'static str>) -> usize {
        for answer in &answers {
            let (mut stream, _) = listener.accept().await.expect("somebody connects");
            let mut request = [0; 4096];
            let taken = stream.read(&mut request).await.expect("something is sent");
            assert!(taken > 0, "a connection without a request");
            stream.write_all(answer.as_bytes()).await.expect("it is taken");
        }
        answers.len()
    }

    #[tokio::test]
    async fn a_connection_that_ended_is_replaced_and_a_refusal_is_a_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a port");
        let endpoint = Endpoint::unproved(listener.local_addr().expect("it is bound"));
        let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        let refused = "HTTP/1.1 400 Bad Request\r\ncontent-length: 4\r\n\r\nbusy";
        let server = tokio::spawn(one_each(listener, vec![ok, ok, refused]));
        let connections = Connections::open(endpoint.address, 1).await.expect("it listens");
        let request = || endpoint.request("PutRecord", &Bytes::from_static(b"{}")).expect("it is signed");
        for _ in 0..2 {
            assert_eq!(connections.send(request()).await.expect("it is answered"), "{}");
            // Until the client has seen the end of the connection.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let failure = connections.send(request()).await.expect_err("it is refused").to_string();
        assert!(failure.contains("400") && failure.contains("busy"), "{failure}");
        assert_eq!(server.await.expect("it does not panic"), 3, "no request came twice");
    }
}
