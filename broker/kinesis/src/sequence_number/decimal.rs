//! Numbers of 192 bits in decimal: three limbs, and nothing but what the text wants.

/// As many digits as AWS's pattern lets through: `0`, or 1 to 129 digits of which the first is no zero.
const DIGITS_MAX: usize = 129;
/// The largest power of ten in a limb, and its digits.
const CHUNK: u64 = 10_000_000_000_000_000_000;
const CHUNK_DIGITS: usize = 19;

/// Room for the digits of every number, in whole chunks.
const ROOM: usize = 4 * CHUNK_DIGITS;

/// The decimal text of a number: every record that is put or read has one, so it needs no memory of its own.
pub(super) struct Decimal {
    digits: [u8; ROOM],
    /// Where the first digit stands.
    from: usize,
}

impl Decimal {
    /// The text of a big-endian number.
    pub(super) fn of(bytes: [u8; 24]) -> Decimal {
        let mut limbs = limbs(bytes);
        let mut digits = [b'0'; ROOM];
        let mut chunks = digits.rchunks_exact_mut(CHUNK_DIGITS);
        while limbs.iter().any(|limb| *limb != 0) {
            let mut rest = 0;
            for limb in &mut limbs {
                let both = u128::from(rest) << 64 | u128::from(*limb);
                // The rest is below the chunk, so the quotient fits in a limb.
                (*limb, rest) = ((both / u128::from(CHUNK)) as u64, (both % u128::from(CHUNK)) as u64);
            }
            let chunk = chunks.next().expect("192 bits are 58 digits");
            for digit in chunk.iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        let from = digits.iter().position(|digit| *digit != b'0').unwrap_or(ROOM - 1);
        Decimal { digits, from }
    }

    /// The digits, of which the first is no zero unless it is the only one.
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.digits[self.from..]).expect("digits are ASCII")
    }
}

/// The number that a decimal text is; none for what is no text of AWS's pattern or needs more than 192 bits.
pub(super) fn read(text: &str) -> Option<[u8; 24]> {
    let digits = text.as_bytes();
    let is_number = matches!(digits, [b'0'] | [b'1'..=b'9', ..]) && digits.len() <= DIGITS_MAX;
    if !is_number || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut limbs = [0_u64; 3];
    for chunk in digits.chunks(CHUNK_DIGITS) {
        let added = chunk.iter().fold(0, |so_far, digit| so_far * 10 + u64::from(digit - b'0'));
        let mut carry = u128::from(added);
        for limb in limbs.iter_mut().rev() {
            let sum = u128::from(*limb) * u128::from(10_u64.pow(chunk.len() as u32)) + carry;
            (*limb, carry) = (sum as u64, sum >> 64);
        }
        if carry != 0 {
            return None;
        }
    }
    let mut bytes = [0; 24];
    for (place, limb) in bytes.chunks_exact_mut(8).zip(limbs) {
        place.copy_from_slice(&limb.to_be_bytes());
    }
    Some(bytes)
}

/// Most significant first.
fn limbs(bytes: [u8; 24]) -> [u64; 3] {
    let limb = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("that is eight bytes"));
    [limb(0), limb(8), limb(16)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(bytes: [u8; 24]) -> String {
        Decimal::of(bytes).as_str().to_owned()
    }

    #[test]
    fn texts_of_every_length_come_back() {
        let mut bytes = [0; 24];
        for at in (0..24).rev() {
            for byte in [0, 1, 0x7f, 0xff] {
                bytes[at] = byte;
                assert_eq!(read(&write(bytes)), Some(bytes));
            }
        }
        assert_eq!(write([0xff; 24]), "6277101735386680763835789423207666416102355444464034512895");
        assert_eq!(write([0; 24]), "0");
    }

    #[test]
    fn powers_of_ten_and_their_neighbours_come_back() {
        for zeros in 0..57 {
            let power = format!("1{}", "0".repeat(zeros));
            let nines = "9".repeat(zeros.max(1));
            for text in [power, nines] {
                assert_eq!(read(&text).map(write), Some(text));
            }
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        let too_large = "6277101735386680763835789423207666416102355444464034512896";
        let too_long = "1".repeat(130);
        for text in ["", "00", "01", "-1", "+1", " 1", "1 ", "1.0", "0x1", "1e5", "١", too_large, &too_long] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read(&"9".repeat(129)), None);
    }
}
