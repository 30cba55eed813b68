//! Doubles as Redis 7.0 writes them: C's `%.17g`, so that `3.1` comes back as `3.1000000000000001`.
//!
//! Seventeen significant digits tell every double from its neighbours. Redis 7.2 and later write the shortest text that does;
//! this server answers as 7.0, digits included.

use std::fmt::{self, Write};
use std::ops::Deref;

/// How many significant digits `%.17g` asks for.
const DIGITS: usize = 17;

/// Room for the longest text in bytes: `-1.7976931348623157e+308` takes 24.
const CAPACITY: usize = 32;

/// Integers below this have at most fifteen digits: a double holds them exactly, and `%.17g` writes them without exponent.
const EXACT_INTEGERS: f64 = 1e15;

/// The text of a double, without an allocation.
///
/// **Invariants**: the first `len` bytes are ASCII.
#[derive(Clone, Copy)]
pub struct DoubleText {
    bytes: [u8; CAPACITY],
    len: usize,
}

/// The text of `value` as `printf("%.17g")` has it; infinities are `inf` and `-inf`, what is no number is `nan`.
pub fn format_double(value: f64) -> DoubleText {
    let mut text = DoubleText { bytes: [0; CAPACITY], len: 0 };
    if value.is_nan() {
        text.push(if value.is_sign_negative() { b"-nan" } else { b"nan" });
    } else if value.is_infinite() {
        text.push(if value < 0.0 { b"-inf" } else { b"inf" });
    } else if value.abs() < EXACT_INTEGERS && value.trunc() == value && !(value == 0.0 && value.is_sign_negative()) {
        text.push(itoa::Buffer::new().format(value as i64).as_bytes());
    } else {
        text.push_general(value);
    }
    text
}

impl DoubleText {
    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).expect("a number is written in ASCII")
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..][..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Appends a finite `value` by C's rules for `%g`: with an exponent when that is below -4 or not below the number of
    /// digits, plainly otherwise, and in both cases without trailing zeros.
    fn push_general(&mut self, value: f64) {
        let mut scientific = DoubleText { bytes: [0; CAPACITY], len: 0 };
        write!(scientific, "{:.*e}", DIGITS - 1, value.abs()).expect("seventeen digits and an exponent fit");
        let (mantissa, exponent) = scientific.as_str().split_once('e').expect("{:e} writes an exponent");
        let exponent: i32 = exponent.parse().expect("the exponent is a number");
        let mut digits = [0; DIGITS];
        digits[0] = mantissa.as_bytes()[0];
        digits[1..].copy_from_slice(&mantissa.as_bytes()[2..]);
        let significant = DIGITS - digits.iter().rev().take_while(|&&digit| digit == b'0').count();

        if value.is_sign_negative() {
            self.push(b"-");
        }
        if exponent < -4 || exponent >= DIGITS as i32 {
            self.push_point(&digits[..significant.max(1)], 1);
            self.push(if exponent < 0 { b"e-" } else { b"e+" });
            if exponent.abs() < 10 {
                self.push(b"0");
            }
            self.push(itoa::Buffer::new().format(exponent.abs()).as_bytes());
        } else if exponent < 0 {
            self.push(b"0.");
            self.push(&b"000"[..(-exponent - 1) as usize]);
            self.push(&digits[..significant]);
        } else {
            let whole = exponent as usize + 1;
            self.push_point(&digits[..significant.max(whole)], whole);
        }
    }

    /// Appends `digits` with a point after the first `whole`, where any follow.
    fn push_point(&mut self, digits: &[u8], whole: usize) {
        self.push(&digits[..whole]);
        if digits.len() > whole {
            self.push(b".");
            self.push(&digits[whole..]);
        }
    }
}

impl Deref for DoubleText {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Write for DoubleText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() > CAPACITY - self.len {
            return Err(fmt::Error);
        }
        self.push(text.as_bytes());
        Ok(())
    }
}

impl fmt::Debug for DoubleText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for DoubleText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
