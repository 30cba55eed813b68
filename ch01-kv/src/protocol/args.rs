//! Arguments: from bytes to numbers, as strictly as Redis reads them.

use std::time::Duration;

use super::error::CommandError;
use crate::engine::types::UnixMillis;

/// A signed integer in decimal: no spaces, no leading zeros, no plus sign.
pub fn integer(arg: &[u8]) -> Result<i64, CommandError> {
    common::resp::parse_integer(arg).ok_or(CommandError::NotAnInteger)
}

/// A number: decimal or scientific, `inf`, `+inf`, `-inf`; never NaN.
pub fn float(arg: &[u8]) -> Result<f64, CommandError> {
    parse_float(arg).ok_or(CommandError::NotAFloat)
}

/// A count that must not be negative.
pub fn count(arg: &[u8]) -> Result<usize, CommandError> {
    let count = integer(arg)?;
    usize::try_from(count).map_err(|_| CommandError::text("ERR value is out of range, must be positive"))
}

/// A timeout in seconds, with a fraction; zero waits for ever, which is `None`.
pub fn timeout(arg: &[u8]) -> Result<Option<Duration>, CommandError> {
    let seconds = parse_float(arg).ok_or(CommandError::text("ERR timeout is not a float or out of range"))?;
    if seconds < 0.0 {
        return Err(CommandError::text("ERR timeout is negative"));
    }
    let timeout = Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|timeout| timeout.as_millis() < i64::MAX as u128)
        .ok_or(CommandError::text("ERR timeout is negative"))?;
    Ok((!timeout.is_zero()).then_some(timeout))
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

fn parse_float(arg: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(arg).ok()?;
    let first = text.bytes().next()?;
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.' | b'i' | b'I')) {
        return None;
    }
    // What is written as a finite number and is too large for one is none; Rust would round it to infinity.
    let says_infinite = text.trim_start_matches(['+', '-']).starts_with(['i', 'I']);
    let number = text.parse::<f64>().ok()?;
    // Likewise what is too small for one, and not zero.
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let underflows = number == 0.0 && mantissa.contains(|c: char| ('1'..='9').contains(&c));
    (!number.is_nan() && number.is_infinite() == says_infinite && !underflows).then_some(number)
}
