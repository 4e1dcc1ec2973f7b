//! HTTP/2: with prior knowledge, plain and over TLS that has agreed on nothing; streams that stand still beside
//! others; floods of frames.

use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::TokioExecutor;
use rheos_kinesis::limits::BODY_BYTES_MAX;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// `GET /` of `x`, packed.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'x'];

/// The frame with this number.
type Flood<'a> = &'a dyn Fn(u32) -> Vec<u8>;

type Client = SendRequest<Full<Bytes>>;

async fn client(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Client {
    let (client, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    client
}

async fn post(client: &mut Client, path: &str, body: Bytes) -> hyper::Result<(u16, String)> {
    let request = Request::post(format!("http://localhost{path}")).body(Full::new(body)).expect("it is a request");
    let (head, body) = client.send_request(request).await?.into_parts();
    let said = body.collect().await?.to_bytes();
    Ok((head.status.as_u16(), String::from_utf8_lossy(&said).into_owned()))
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test]
async fn large_bodies_come_over_plain_and_tls_without_a_word_of_http2() {
    let served = serve(SMALL).await;
    let over_tls = TlsConnector::from(tls_that_trusts_anyone());
    let name = ServerName::try_from("localhost").expect("it is a name");
    let tls = over_tls.connect(name, connect(served.address).await).await.expect("it speaks TLS");
    assert_eq!(tls.get_ref().1.alpn_protocol(), None);
    for mut client in [client(connect(served.address).await).await, client(tls).await] {
        for (len, expected) in [
            (14 << 20, (200, "/len of 14680064".to_owned())),
            (BODY_BYTES_MAX, (200, "/len of 16777216".to_owned())),
            (BODY_BYTES_MAX + 1, (413, String::new())),
        ] {
            let said = timeout(PATIENCE, post(&mut client, "/len", vec![b'x'; len].into())).await.expect("in time");
            assert_eq!(said.expect("it is answered"), expected);
        }
    }
}

#[tokio::test]
async fn of_many_large_bodies_at_once_those_are_taken_that_there_is_room_for() {
    let served = serve(SMALL).await;
    let mut one = client(connect(served.address).await).await;
    let body = Bytes::from(vec![b'x'; 8 << 20]);
    let asked: Vec<_> = (0..20)
        .map(|_| {
            let (mut one, body) = (one.clone(), body.clone());
            tokio::spawn(async move { post(&mut one, "/len", body).await.expect("it is answered") })
        })
        .collect();
    let mut taken = 0;
    for answer in asked {
        match timeout(PATIENCE, answer).await.expect("in time").expect("it does not panic") {
            (200, said) if said == "/len of 8388608" => taken += 1,
            (503, said) if said.contains("ServiceUnavailable") => {}
            (status, said) => panic!("{status} {said}"),
        }
    }
    assert!(taken >= 16, "{taken} of 20 were taken");
    assert_eq!(post(&mut one, "/after", Bytes::new()).await.expect("it is answered").1, "/after");
}

#[tokio::test]
async fn a_stream_that_stands_still_ends_alone() {
    let served = serve(SMALL).await;
    let mut one = client(connect(served.address).await).await;
    let request = Request::get("http://localhost/flood").body(Full::default()).expect("it is a request");
    let mut stuck = one.send_request(request).await.expect("it is answered").into_body();
    let began = Instant::now();
    while Arc::strong_count(&served.making) > 1 {
        let said = post(&mut one, "/beside", Bytes::new()).await.expect("others are answered");
        assert_eq!(said.1, "/beside");
        assert!(began.elapsed() < 3 * SMALL.stalled, "it is waited for");
        sleep(Duration::from_millis(20)).await;
    }
    // Its window holds 2 MiB, and another MiB may have been made.
    let made = served.made.load(Ordering::Relaxed);
    assert!(began.elapsed() >= SMALL.stalled / 2 && made <= 4, "{made} MiB were made in {:?}", began.elapsed());
    // Its reader hears that this was not the end.
    let ended = async {
        loop {
            match stuck.frame().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return error.to_string(),
                None => panic!("it ended as if it were whole"),
            }
        }
    };
    timeout(PATIENCE, ended).await.expect("it ends");
    assert_eq!(post(&mut one, "/after", Bytes::new()).await.expect("it is answered").1, "/after");
}

#[tokio::test]
async fn a_hundred_subscriptions_share_a_connection_and_end_with_it() {
    let served = serve(SMALL).await;
    let mut one = client(connect(served.address).await).await;
    let mut bodies = Vec::new();
    for _ in 0..100 {
        let request = Request::get("http://localhost/ticks").body(Full::default()).expect("it is a request");
        bodies.push(one.send_request(request).await.expect("it is answered").into_body());
    }
    assert!(Arc::strong_count(&served.making) > 100);
    // One that is taken back is dropped at once, and then all of them with their connection.
    drop(bodies.pop());
    drop((bodies, one));
    assert!(served.frames_end().await < SMALL.stalled);
}

#[tokio::test]
async fn floods_of_frames_end_their_connection_or_wait_in_it() {
    let served = serve(Bounds { connections: 16, ..SMALL }).await;
    let resets = |at: u32| [frame(1, 5, 2 * at + 1, GET), frame(3, 0, 2 * at + 1, &8_u32.to_be_bytes())].concat();
    let continued = |at: u32| if at == 0 { frame(1, 1, 1, GET) } else { frame(9, 0, 1, &[0x40, 1, b'a', 1, b'b']) };
    let empty_data = |at: u32| if at == 0 { frame(1, 4, 1, GET) } else { frame(0, 0, 1, &[]) };
    let settings = |_| SETTINGS.to_vec();
    let ping = |_| frame(6, 0, 0, &[7; 8]);
    let update = |_| frame(8, 0, 0, &1_u32.to_be_bytes());
    let floods: [(&str, Flood<'_>); 6] = [
        ("requests taken back", &resets),
        ("heads without end", &continued),
        ("empty bodies", &empty_data),
        ("settings", &settings),
        ("pings", &ping),
        ("windows", &update),
    ];
    for (what, of) in floods {
        let mut stream = connect(served.address).await;
        stream.write_all(&[PREFACE, SETTINGS].concat()).await.expect("it is open");
        let flood: Vec<u8> = (0..50_000).flat_map(of).collect();
        // The peer reads nothing.
        let _ = timeout(SMALL.silence.before_max + 2 * SMALL.stalled, stream.write_all(&flood)).await;
        is_answered(served.address).await;
        if matches!(what, "requests taken back" | "heads without end") {
            let mut said = Vec::new();
            let ended = timeout(PATIENCE, stream.read_to_end(&mut said)).await;
            assert!(ended.is_ok(), "{what} goes on");
        }
    }
}

fn tls_that_trusts_anyone() -> Arc<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    Arc::new(config)
}

/// Takes every certificate: what is tried here is not who serves.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
