//! The two ids that every answer carries, from random bytes. SDKs show them to people, and nothing
//! reads them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// `x-amzn-RequestId`: a version 4 UUID.
pub fn request_id(random: [u8; 16]) -> String {
    let version_and_variant = 0xffff_ffff_ffff_0fff_3fff_ffff_ffff_ffff;
    let bits = u128::from_be_bytes(random) & version_and_variant | 0x4000_8000_0000_0000_0000;
    let text = format!("{bits:032x}");
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}

/// `x-amz-id-2`: Base64 of as many bytes as AWS sends.
pub fn id_2(random: [u8; ID_2_BYTES]) -> String {
    STANDARD.encode(random)
}

/// Bytes of an `x-amz-id-2`.
pub const ID_2_BYTES: usize = 72;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_look_as_aws_s_do() {
        assert_eq!(request_id([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(request_id([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(id_2([0; ID_2_BYTES]), "A".repeat(96));
    }
}
