//! A request to the Kinesis face, signed by the crate aws-sigv4, and open to be changed afterwards.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;

/// For how long a signature in the query is said to be good, in seconds.
pub const QUERY_EXPIRES_S: u64 = 600;

/// A request as it is sent.
#[derive(Debug, Clone)]
pub struct SignedRequest {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names and values, in the order in which they are sent. The first one is the host.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Where a signature stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// In the header `Authorization`.
    Header,
    /// In the query.
    Query,
}

/// Who signs, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Signer<'a> {
    /// The id of the access key.
    pub id: &'a str,
    /// Its secret.
    pub secret: &'a str,
    /// The region of the scope.
    pub region: &'a str,
    /// The service of the scope.
    pub service: &'a str,
}

impl Signer<'_> {
    /// Signs a request as a client of the crate does.
    ///
    /// # Panics
    /// When it has no host, or is no request.
    pub fn sign(&self, mut request: SignedRequest, form: Form, at: SystemTime) -> SignedRequest {
        let identity = Credentials::new(self.id, self.secret, None, None, "test").into();
        let mut settings = SigningSettings::default();
        settings.signature_location = match form {
            Form::Header => SignatureLocation::Headers,
            Form::Query => SignatureLocation::QueryParams,
        };
        settings.expires_in = (form == Form::Query).then_some(Duration::from_secs(QUERY_EXPIRES_S));
        let params = SigningParams::builder().identity(&identity).region(self.region).name(self.service).time(at);
        let params = params.settings(settings).build().expect("nothing is left out").into();
        let (name, host) = &request.headers[0];
        assert!(name.eq_ignore_ascii_case("host"), "the first header is the host");
        let uri = format!("http://{host}{}", request.target);
        let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let signable = SignableRequest::new(&request.method, uri, headers, SignableBody::Bytes(&request.body));
        let signed = sign(signable.expect("it is a request"), &params).expect("it can be signed");
        let (added, in_query) = signed.into_parts().0.into_parts();
        request.headers.extend(added.iter().map(|header| (header.name().to_owned(), header.value().to_owned())));
        for (name, value) in in_query {
            let mark = if request.target.contains('?') { '&' } else { '?' };
            let value: String = value.bytes().map(|byte| format!("%{byte:02x}")).collect();
            request.target = format!("{}{mark}{name}={value}", request.target);
        }
        request
    }
}
