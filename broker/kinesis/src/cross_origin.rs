//! What browsers are told: headers for every request that has an `Origin`, and the whole answer to a
//! preflight. AWS lets any origin in, since the signature is what protects; this comes before every
//! other check.

/// What the face looks at in the headers of a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'a> {
    /// `Origin`
    pub origin: Option<&'a str>,
    /// `Access-Control-Request-Headers`
    pub request_headers: Option<&'a str>,
    /// `Access-Control-Request-Method`
    pub request_method: Option<&'a str>,
}

/// A header to send.
pub type Header<'a> = (&'static str, &'a str);

/// What follows from the headers.
#[derive(Debug, PartialEq, Eq)]
pub enum CrossOrigin<'a> {
    /// No `Origin`: nothing to add.
    None,
    /// Headers to add to the answer, whatever it is.
    Add([Header<'static>; 2]),
    /// A preflight: 200, no body, these headers, and no `x-amz-id-2`.
    Preflight(Vec<Header<'a>>),
}

/// Decides what a request is told about origins.
pub fn cross_origin<'a>(method: &str, headers: Headers<'a>) -> CrossOrigin<'a> {
    if headers.origin.is_none() {
        return CrossOrigin::None;
    }
    if method != "OPTIONS" {
        return CrossOrigin::Add([ALLOW_ORIGIN, ("Access-Control-Expose-Headers", EXPOSED)]);
    }
    let echoed = [
        ("Access-Control-Allow-Headers", headers.request_headers),
        ("Access-Control-Allow-Methods", headers.request_method),
    ];
    let echoed = echoed.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let all = [ALLOW_ORIGIN].into_iter().chain(echoed).chain([("Access-Control-Max-Age", "172800")]);
    CrossOrigin::Preflight(all.collect())
}

const ALLOW_ORIGIN: Header<'static> = ("Access-Control-Allow-Origin", "*");
const EXPOSED: &str = "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_let_in() {
        assert_eq!(cross_origin("OPTIONS", Headers::default()), CrossOrigin::None);
        let from = Headers { origin: Some("https://example.com"), ..Headers::default() };
        assert_eq!(
            cross_origin("POST", from),
            CrossOrigin::Add([ALLOW_ORIGIN, ("Access-Control-Expose-Headers", EXPOSED)])
        );
        let asking = Headers { request_headers: Some("x-a, x-b"), request_method: Some("POST"), ..from };
        let told = [
            ("Access-Control-Allow-Origin", "*"),
            ("Access-Control-Allow-Headers", "x-a, x-b"),
            ("Access-Control-Allow-Methods", "POST"),
            ("Access-Control-Max-Age", "172800"),
        ];
        assert_eq!(cross_origin("OPTIONS", asking), CrossOrigin::Preflight(told.to_vec()));
    }
}
