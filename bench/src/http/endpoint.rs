//! Where and as whom the API is asked: makes requests that are signed with Signature V4, by AWS's own signer.
//!
//! A signature is good for five minutes, so what is sent often is signed once and sent many times ([`Repeated`]):
//! the server proves every one of them, and the client pays for few.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HOST};

use crate::Failure;
use crate::broker::access::Access;

/// The region that is signed for: the broker's own, where it is told no other.
pub(crate) const REGION: &str = "us-east-1";

/// A request as it goes to a connection.
pub(crate) type Asked = Request<Full<Bytes>>;

/// A server of the API, and a key for it.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    credentials: Credentials,
}

impl Endpoint {
    /// A broker, to which its administrator's key is known.
    pub(crate) fn of(access: &Access) -> Self {
        let credentials = Credentials::new(&access.key_id, &access.secret, None, None, "rheos-bench");
        Self { address: access.address, credentials }
    }

    /// A server that does not look whose signature it is.
    pub(crate) fn unproved(address: SocketAddr) -> Self {
        let credentials = Credentials::new("AKIABENCH00000000000", "bench", None, None, "rheos-bench");
        Self { address, credentials }
    }

    /// A request for an operation, signed now.
    pub(crate) fn request(&self, operation: &str, body: &Bytes) -> Result<Asked, Failure> {
        let mut request = Request::post("/")
            .header(HOST, self.address.to_string())
            .header(CONTENT_TYPE, "application/x-amz-json-1.1")
            .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
            .body(Full::new(body.clone()))?;
        let identity = self.credentials.clone().into();
        let settings = SigningSettings::default();
        let params = SigningParams::builder().identity(&identity).region(REGION).name("kinesis").settings(settings);
        let params = params.time(SystemTime::now()).build()?.into();
        let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()));
        let uri = format!("http://{}/", self.address);
        let signable = SignableRequest::new("POST", uri, headers, SignableBody::Bytes(body))?;
        let (instructions, _) = sign(signable, &params)?.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

/// A body that is sent again and again.
pub(crate) struct Repeated {
    operation: &'static str,
    body: Bytes,
    signed: Mutex<(Instant, Asked)>,
}

impl Repeated {
    pub(crate) fn new(endpoint: &Endpoint, operation: &'static str, body: Bytes) -> Result<Self, Failure> {
        let signed = Mutex::new((Instant::now(), endpoint.request(operation, &body)?));
        Ok(Self { operation, body, signed })
    }

    /// The request, signed anew when its signature is old.
    pub(crate) fn request(&self, endpoint: &Endpoint) -> Result<Asked, Failure> {
        let mut signed = self.signed.lock().expect("nobody panics while signing");
        if signed.0.elapsed() >= SIGNED_AGAIN_AFTER {
            *signed = (Instant::now(), endpoint.request(self.operation, &self.body)?);
        }
        Ok(signed.1.clone())
    }
}

/// Well within the five minutes.
const SIGNED_AGAIN_AFTER: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_its_operation_and_carries_a_signature() {
        let endpoint = Endpoint::unproved(([127, 0, 0, 1], 4567).into());
        let repeated = Repeated::new(&endpoint, "PutRecord", Bytes::from_static(b"{}")).expect("it is signed");
        let request = repeated.request(&endpoint).expect("it is signed");
        let header = |name: &str| request.headers()[name].to_str().expect("it is a text").to_owned();
        assert_eq!(header("x-amz-target"), "Kinesis_20131202.PutRecord");
        assert_eq!(header("host"), "127.0.0.1:4567");
        let signature = header("authorization");
        assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=AKIABENCH00000000000/"), "{signature}");
        assert!(signature.contains("/us-east-1/kinesis/aws4_request"), "{signature}");
        assert!(signature.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-target"), "{signature}");
    }
}
