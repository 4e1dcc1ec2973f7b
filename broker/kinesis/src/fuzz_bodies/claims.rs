//! What a request says of its signature.

use http::request::{Builder, Parts};

use super::NOW_MS;
use crate::signature::{BodyDigest, Claim, SigningSecret};

/// The head of a request, line by line: target, then `name:value`, with a body after an empty line. Nobody signed it.
pub fn claim(data: &[u8]) {
    let end = data.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = end.map_or((data, &[][..]), |end| (&data[..end], &data[end + 2..]));
    let Some(parts) = parts_of(head) else { return };
    let Ok(claim) = Claim::read(&parts) else { return };
    assert!(claim.key_id().len() <= data.len() * 3 && !format!("{claim:?}").is_empty());
    let proved = claim.verify(&BodyDigest::of([body]), NOW_MS / 1000, |_| Some(SigningSecret::new("unknown")));
    let refusal = proved.expect_err("a signature was guessed");
    assert!(refusal.text().len() < 1024 + 4 * data.len());
}

fn parts_of(head: &[u8]) -> Option<Parts> {
    let mut lines = head.split(|byte| *byte == b'\n');
    let builder = Builder::new().method("POST").uri(lines.next()?);
    let with = |builder: Builder, line: &[u8]| match line.iter().position(|byte| *byte == b':') {
        Some(colon) => builder.header(&line[..colon], &line[colon + 1..]),
        None => builder,
    };
    Some(lines.fold(builder, with).body(()).ok()?.into_parts().0)
}
