//! Base64 with AWS's words for what is wrong with it.

use std::fmt;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::PAD;
use bytes::Bytes;

/// The standard alphabet with padding, by the widest instructions that the machine has: Base64 is most of what a put
/// in JSON costs.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static STANDARD: LazyLock<base64::engine::Simd> = LazyLock::new(|| base64::engine::Simd::standard(PAD));
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
static STANDARD: LazyLock<base64::engine::GeneralPurpose> =
    LazyLock::new(|| base64::engine::GeneralPurpose::new(&base64::alphabet::STANDARD, PAD));

/// The bytes. The fast way is the library's; only a text that it refuses is looked at again, for the words.
pub(super) fn decode(text: &str) -> Result<Bytes, Fault> {
    // The estimate of the length is too long by the padding, and bytes that fill their memory need no second place to
    // keep their length.
    let padding = text.bytes().rev().take(2).filter(|byte| *byte == b'=').count();
    let mut bytes = vec![0; (text.len() / 4 * 3).saturating_sub(padding)];
    match STANDARD.decode_slice(text, &mut bytes) {
        Ok(length) if length == bytes.len() => Ok(Bytes::from(bytes)),
        _ => Err(diagnose(text)),
    }
}

/// Appends Base64 with padding.
pub(super) fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]);
    assert_eq!(written.ok(), Some(out.len() - start), "Base64 is four characters for each three bytes begun");
}

/// What is wrong with a text that should be Base64.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Length(usize),
    Character(char),
    LastCharacter,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Length(found) => {
                write!(f, "Base64 encoded length is expected a multiple of 4 bytes but found: {found}")
            }
            Fault::Character(found) => write!(f, "Invalid Base64 character: '{found}'"),
            // The spelling is AWS's.
            Fault::LastCharacter => f.write_str("Invalid last non-pad Base64 character dectected"),
        }
    }
}

/// Length first, then characters (padding before the end is one), then what is left: bits after the end.
fn diagnose(text: &str) -> Fault {
    let length = text.encode_utf16().count();
    if !length.is_multiple_of(4) {
        return Fault::Length(length);
    }
    let following = text.chars().skip(1).map(Some).chain([None]);
    let wrong = text.chars().zip(following).find(|(found, next)| match found {
        '=' => next.is_some_and(|next| next != '='),
        _ => !(found.is_ascii_alphanumeric() || matches!(found, '+' | '/')),
    });
    wrong.map_or(Fault::LastCharacter, |(found, _)| Fault::Character(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_awss_order() {
        for (text, fault) in [
            ("AAA", Fault::Length(3)),
            ("AA%", Fault::Length(3)),
            ("AA%A", Fault::Character('%')),
            ("A=AA", Fault::Character('=')),
            ("ÄAAA", Fault::Character('Ä')),
            ("AAB=", Fault::LastCharacter),
            ("A===", Fault::LastCharacter),
            ("====", Fault::LastCharacter),
        ] {
            assert_eq!(decode(text), Err(fault), "{text}");
        }
        assert_eq!(decode("").as_deref(), Ok(&[][..]));
        assert_eq!(decode("AAA=").as_deref(), Ok(&[0, 0][..]));
    }

    #[test]
    fn what_is_appended_is_decoded() {
        for length in 0..10_u8 {
            let bytes: Vec<u8> = (0..length).map(|it| it.wrapping_mul(91)).collect();
            let mut text = b"before".to_vec();
            append(&mut text, &bytes);
            let text = std::str::from_utf8(&text[6..]).expect("Base64 is ASCII");
            assert_eq!(decode(text).as_deref(), Ok(&bytes[..]));
        }
    }
}
