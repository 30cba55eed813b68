//! Hexadecimal fractions as C writes them: `0x1.8p1` is one and a half times two. Redis reads them wherever it reads a
//! number with a fraction, and so its logs may hold them.

/// The exponent is cut to this size: it is beyond any format's range, and can be added to a little without overflow.
const MAX_POWER_OF_TWO: i64 = 2_000_000;

/// `significand` times two to the power of `exponent`.
///
/// **Invariants**: all digits that were written are in the significand, or it has more than 123 bits, and its last one is
/// set if any that is not zero was left out: enough to round it to half as many bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hexadecimal {
    /// The digits.
    pub significand: u128,
    /// The power of two.
    pub exponent: i32,
}

impl Hexadecimal {
    /// Reads all of `text`, which has no sign before it; `None` when it is no such number.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let [b'0', b'x' | b'X', rest @ ..] = text else { return None };
        let digits_end = rest.iter().position(|byte| matches!(byte, b'p' | b'P')).unwrap_or(rest.len());
        let (digits, power) = rest.split_at(digits_end);
        let (mut significand, mut exponent) = (0_u128, 0_i64);
        let (mut any, mut behind_point, mut left_out) = (false, false, false);
        for &byte in digits {
            let Some(digit) = char::from(byte).to_digit(16) else {
                if byte != b'.' || behind_point {
                    return None;
                }
                behind_point = true;
                continue;
            };
            any = true;
            if significand >> 124 == 0 {
                significand = significand << 4 | u128::from(digit);
                exponent -= if behind_point { 4 } else { 0 };
            } else {
                left_out |= digit != 0;
                exponent += if behind_point { 0 } else { 4 };
            }
        }
        if !any {
            return None;
        }
        if let [_, power @ ..] = power {
            exponent += parse_exponent(power)?;
        }
        let exponent = exponent.clamp(-MAX_POWER_OF_TWO, MAX_POWER_OF_TWO) as i32;
        Some(Self { significand: significand | u128::from(left_out), exponent })
    }

    /// The nearest double, the even one of two: infinite or zero beyond the range.
    pub fn to_f64(self) -> f64 {
        const FRACTION_BITS: i32 = 52;
        const MIN_EXPONENT: i32 = -1022;
        const MAX_EXPONENT: i32 = 1023;
        if self.significand == 0 {
            return 0.0;
        }
        let leading = self.significand.leading_zeros();
        let normal = self.significand << leading;
        // The highest bit stands for two to the power of this.
        let top = 127 - leading as i32 + self.exponent;
        if top > MAX_EXPONENT {
            return f64::INFINITY;
        }
        // Below the range of exponents, each power of two costs a digit.
        let digits = FRACTION_BITS + 1 - (MIN_EXPONENT - top).max(0);
        if digits < 0 {
            return 0.0;
        }
        let kept = normal.checked_shr(128 - digits as u32).unwrap_or(0) as u64;
        let rest = normal << digits;
        let half = 1 << 127;
        let up = rest > half || rest == half && kept & 1 == 1;
        let rounded = kept + u64::from(up);
        // A carry out of the digits goes into the exponent, which is what it means.
        let biased = (top.max(MIN_EXPONENT) - MIN_EXPONENT) as u64;
        f64::from_bits((biased << FRACTION_BITS) + rounded)
    }
}

/// An exponent in decimal. One that is out of any range is cut to a size that still is.
pub(super) fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().fold(0, |size: i64, digit| (size * 10 + i64::from(digit - b'0')).min(1_000_000));
    Some(if negative { -size } else { size })
}
