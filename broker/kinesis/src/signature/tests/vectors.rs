//! The vectors that AWS publishes for signers: key, time and scope are theirs, the service is not ours.

use super::*;

const TOKEN: &str = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
/// Method, target, headers beside host and date, signature.
type Vector = (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static str);

const VECTORS: &[Vector] = &[
    ("GET", "/", &[], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("GET", "/example/..", &[], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("GET", "/./", &[], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("GET", "//example//", &[], "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"),
    ("POST", "/", &[], "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    (
        "GET",
        "/",
        &[("My-Header1", "value2"), ("My-Header1", "value2"), ("My-Header1", "value1")],
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    (
        "GET",
        "/",
        &[("My-Header1", "value4"), ("My-Header1", "value1"), ("My-Header1", "value3"), ("My-Header1", "value2")],
        "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
    ),
    (
        "GET",
        "/",
        &[("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")],
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    (
        "GET",
        "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
        &[],
        "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
    ),
    ("GET", "/?%E1%88%B4=bar", &[], "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
    ("GET", "/?Param2=value2&Param1=value1", &[], "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    (
        "GET",
        "/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        &[],
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    ),
    ("POST", "/", &[("My-Header1", "value1")], "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"),
    (
        "GET",
        "/",
        &[("X-Amz-Security-Token", TOKEN)],
        "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
    ),
];

#[test]
fn awss_own_vectors_are_proved() {
    let secret = SigningSecret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    for (method, uri, extra, signature) in VECTORS {
        let mut names: Vec<_> = extra.iter().map(|(name, _)| name.to_lowercase()).collect();
        names.extend(["host".to_owned(), "x-amz-date".to_owned()]);
        names.sort();
        names.dedup();
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={}, \
             Signature={signature}",
            names.join(";")
        );
        let fixed =
            [("Host", "example.amazonaws.com"), ("X-Amz-Date", "20150830T123600Z"), ("Authorization", &authorization)];
        let headers = fixed.iter().chain(*extra).map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let sent = Sent { method, uri: uri.to_string(), headers, body: Vec::new(), now_s: 0 };
        let parts = sent.parts();
        let claim = Claim::read(&parts).expect("all parts are there");
        assert_eq!(claim.prove(&BodyDigest::of([]), &secret), Ok(()), "{method} {uri} {extra:?}");
        let refusal = claim.verify(&BodyDigest::of([]), 0, |_| Some(secret.clone()));
        assert!(refusal.is_err_and(|refusal| refusal.text().contains("correct service: 'kinesis'")));
    }
}

#[test]
fn an_encoded_path_is_encoded_again() {
    let mut sent = put_record();
    sent.uri = "/test/@connections/JBDvjfGEIAMCERw%3D".to_owned();
    let form = canonical::request(&sent.parts(), "host", &BodyDigest::of([]));
    let form = String::from_utf8(form).expect("it is text");
    assert!(form.starts_with("POST\n/test/%40connections/JBDvjfGEIAMCERw%253D\n\nhost:127.0.0.1:4567\n\nhost\n"));
}
