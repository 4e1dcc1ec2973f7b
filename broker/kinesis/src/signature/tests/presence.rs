//! The parts that must be there, and AWS's texts where they are not.

use super::*;

fn refused(sent: &Sent) -> (&'static str, String) {
    let refusal = sent.verify().expect_err("something is missing");
    (refusal.kind.name(), refusal.text().to_owned())
}

fn with_authorization(text: &str) -> Sent {
    let mut sent = put_record();
    sent.set("Authorization", text);
    sent
}

#[test]
fn no_signature_and_two_are_told_apart() {
    let mut sent = put_record();
    sent.uri = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256".to_owned();
    let both = "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.";
    assert_eq!(refused(&sent), ("InvalidSignatureException", both.to_owned()));
    sent.uri = "/?X-Amz-Credential=a&X-Amz-Signature=b".to_owned();
    sent.headers.retain(|(name, _)| name != "Authorization");
    let missing = ("MissingAuthenticationTokenException", "Missing Authentication Token".to_owned());
    assert_eq!(refused(&sent), missing);
    assert_eq!(refused(&with_authorization("")), missing);
}

#[test]
fn each_missing_part_of_a_header_is_named() {
    let requires = |parts: &[&str], header: &str| {
        let named = parts.iter().map(|part| format!("Authorization header requires '{part}' parameter. "));
        ("IncompleteSignatureException", format!("{}Authorization={header}", named.collect::<String>()))
    };
    let all: &[&str] = &["Credential", "Signature", "SignedHeaders"];
    let cases: &[(&str, &[&str])] = &[
        ("a", all),
        ("Bearer abc", all),
        ("AWS4-HMAC-SHA256", all),
        ("AWS4-HMAC-SHA256 Signature=b", &["Credential", "SignedHeaders"]),
        ("AWS4-HMAC-SHA256 Credential=a,Signature=b", &["SignedHeaders"]),
        ("AWS4-HMAC-SHA256 Credential=,Signature=b, SignedHeaders=c", &["Credential"]),
        ("AWS4-HMAC-SHA256 credential=a Signature=b SignedHeaders=c", &["Credential"]),
        // The first word is the algorithm's place.
        ("Credential=a Signature=b SignedHeaders=c", &["Credential"]),
    ];
    for (header, missing) in cases {
        assert_eq!(refused(&with_authorization(header)), requires(missing, header));
    }

    let mut undated = with_authorization("X Credential=a");
    undated.headers.retain(|(name, _)| name != "X-Amz-Date");
    let text = "Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' \
                parameter. Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. \
                Authorization=X Credential=a";
    assert_eq!(refused(&undated), ("IncompleteSignatureException", text.to_owned()));
}

#[test]
fn each_missing_part_of_a_query_is_named() {
    let parts = ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"];
    for given in 1..(1 << parts.len()) - 1 {
        let given: Vec<_> =
            parts.iter().enumerate().filter(|(at, _)| given & (1 << at) != 0).map(|(_, name)| name).collect();
        let mut sent = put_record();
        sent.headers.retain(|(name, _)| name != "Authorization");
        let pairs: Vec<_> = given.iter().map(|name| format!("{name}=a")).collect();
        sent.uri = format!("/?X-Amz-Algorithm=&{}", pairs.join("&"));
        let missing = parts.iter().filter(|name| !given.contains(name));
        let named: String =
            missing.map(|name| format!("AWS query-string parameters must include '{name}'. ")).collect();
        let text = format!("{named}Re-examine the query-string parameters.");
        // A second X-Amz-Algorithm counts, as the last of a name does.
        assert_eq!(refused(&sent), ("IncompleteSignatureException", text), "{}", sent.uri);
    }
}

#[test]
fn a_word_that_is_no_pair_is_named() {
    let header = "AWS4-HMAC-SHA256 Credential=a, Signature=b, what SignedHeaders=c";
    let text = format!("'what' not a valid key=value pair (missing equal-sign) in Authorization header: '{header}'.");
    assert_eq!(refused(&with_authorization(header)), ("IncompleteSignatureException", text));
}
