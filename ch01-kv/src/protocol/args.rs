//! Arguments: from bytes to numbers, as strictly as Redis reads them.

use std::time::Duration;

use super::error::CommandError;
use super::hexadecimal::Hexadecimal;
use super::long_double::LongDouble;
use crate::engine::types::UnixMillis;

/// A signed integer in decimal: no spaces, no leading zeros, no plus sign.
pub fn integer(arg: &[u8]) -> Result<i64, CommandError> {
    common::resp::parse_integer(arg).ok_or(CommandError::NotAnInteger)
}

/// A number: decimal, scientific or hexadecimal, `inf`, `+inf`, `-inf`; never NaN, and never one that is out of range.
pub fn float(arg: &[u8]) -> Result<f64, CommandError> {
    parse_float(arg).filter(|float| float.in_range).map(|float| float.value).ok_or(CommandError::NotAFloat)
}

/// A bound of a range of scores. As C reads numbers, blanks may come before it, a zero byte ends it, and nothing at all is
/// zero. What is out of range is as far as a double goes.
pub fn score_bound(arg: &[u8]) -> Result<f64, CommandError> {
    let text = arg.split(|&byte| byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Ok(0.0);
    }
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'\x0b';
    let blanks = text.iter().take_while(|byte| is_blank(byte)).count();
    parse_float(&text[blanks..]).map(|float| float.value).ok_or(CommandError::NotAScoreRange)
}

/// An integer of 32 bits: the number of a database.
pub fn int(arg: &[u8]) -> Result<i32, CommandError> {
    i32::try_from(integer(arg)?)
        .map_err(|_| CommandError::text("ERR value is out of range, value must between -2147483648 and 2147483647"))
}

/// A count that must not be negative.
pub fn count(arg: &[u8]) -> Result<usize, CommandError> {
    let count = integer(arg)?;
    usize::try_from(count).map_err(|_| CommandError::text("ERR value is out of range, must be positive"))
}

/// A timeout in seconds, with a fraction, rounded up to milliseconds; zero waits for ever, which is `None`. One that does
/// not fit is "negative", in Redis' words.
pub fn timeout(arg: &[u8]) -> Result<Option<Duration>, CommandError> {
    let seconds = LongDouble::parse(arg).ok_or(CommandError::text("ERR timeout is not a float or out of range"))?;
    let millis = seconds.thousandfold().and_then(|millis| u64::try_from(millis).ok());
    let millis = millis.ok_or(CommandError::text("ERR timeout is negative"))?;
    Ok((millis > 0).then(|| Duration::from_millis(millis)))
}

/// The unit and the origin of an expiry's argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryForm {
    /// Seconds from now (`EX`).
    Seconds,
    /// Milliseconds from now (`PX`).
    Millis,
    /// A Unix time in seconds (`EXAT`).
    AtSeconds,
    /// A Unix time in milliseconds (`PXAT`).
    AtMillis,
}

impl ExpiryForm {
    /// The deadline that `amount` means at `now`; `None` when it does not fit 64 bits. It may lie in the past, even before
    /// 1970 (such a one reads as 1970: it is as past as any other).
    pub fn deadline(self, amount: i64, now: UnixMillis) -> Option<UnixMillis> {
        let millis = match self {
            Self::Seconds | Self::AtSeconds => amount.checked_mul(1000)?,
            Self::Millis | Self::AtMillis => amount,
        };
        let at = match self {
            Self::Seconds | Self::Millis => millis.checked_add(i64::try_from(now.0).ok()?)?,
            Self::AtSeconds | Self::AtMillis => millis,
        };
        Some(UnixMillis(u64::try_from(at).unwrap_or(0)))
    }
}

/// What a text says as a number, and whether that is within the range of a double: what is too large for one reads as
/// infinite, what is too small as zero.
struct Float {
    value: f64,
    in_range: bool,
}

/// Reads all of `arg` as C's `strtod` would, but for blanks before it: decimal or scientific, hexadecimal, or infinite.
fn parse_float(arg: &[u8]) -> Option<Float> {
    let (sign, digits) = match arg {
        [b'-', rest @ ..] => (-1.0, rest),
        [b'+', rest @ ..] => (1.0, rest),
        _ => (1.0, arg),
    };
    if let Some(number) = Hexadecimal::parse(digits) {
        let size = number.to_f64();
        let in_range = size.is_finite() && (size != 0.0 || number.significand == 0);
        return Some(Float { value: sign * size, in_range });
    }
    let text = std::str::from_utf8(arg).ok()?;
    // Rust's parser knows no blanks and no hexadecimal, and otherwise reads what C's does.
    if !(digits.first()?.is_ascii_digit() || matches!(digits[0], b'.' | b'i' | b'I')) {
        return None;
    }
    let value = text.parse::<f64>().ok()?;
    let says_infinite = matches!(digits[0], b'i' | b'I');
    let mantissa = digits.split(|byte| matches!(byte, b'e' | b'E')).next().unwrap_or_default();
    let says_zero = !mantissa.iter().any(|byte| (b'1'..=b'9').contains(byte));
    Some(Float { value, in_range: value.is_infinite() == says_infinite && (value != 0.0 || says_zero) })
}
