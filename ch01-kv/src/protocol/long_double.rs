//! Fractions as Redis adds them: the x87's 80-bit floating point (C's `long double` on Linux), written with `%.17Lf`.
//!
//! `INCRBYFLOAT` and `HINCRBYFLOAT` store their sum as text and read it again for the next one. A double would show its
//! rounding at once (10.5 + 0.1 would be 10.599999999999999645), so Redis takes a format with eleven bits more and cuts the
//! text after seventeen places: what lies behind is mostly noise. This is that format in integers, because the digits that
//! clients see must not depend on the machine; the rounding is IEEE 754's, to the nearest and to the even one of two.

use std::cmp::Ordering;
use std::fmt;

use super::error::CommandError;
use super::hexadecimal::{Hexadecimal, parse_exponent};

/// The longest text that is read as a number, in bytes: the length of Redis' buffer for one.
const MAX_TEXT_BYTES: usize = 5 * 1024 - 1;

/// Powers of ten beyond which a number is surely out of range, whatever its digits: the format's range ends at 1e4932, and
/// at 4e-4951 below.
const MAX_POWER_OF_TEN: i64 = 5000;

/// The highest bit of the largest number stands for two to the power of this.
const MAX_TOP_BIT: i32 = 16_383;

/// The highest bit of the smallest number that does not become zero.
const MIN_TOP_BIT: i32 = -16_445;

/// How many decimal places are written.
const PLACES: usize = 17;

/// Ten to the power of [`PLACES`].
const SCALE: u128 = 10u128.pow(PLACES as u32);

/// How far a significand is moved up before an addition, so that what it loses on the right is below the rounding.
const GUARD_BITS: u32 = 63;

/// A number with 64 significant bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongDouble {
    /// `significand` times two to the power of `exponent`.
    ///
    /// **Invariants**: the significand's highest bit is set, or it is zero.
    Finite {
        /// Whether it is below zero.
        negative: bool,
        /// Its digits.
        significand: u64,
        /// Its power of two.
        exponent: i32,
    },
    /// Infinity.
    Infinite {
        /// Whether it is below zero.
        negative: bool,
    },
}

/// The sum of two numbers in decimal, as text.
pub fn add(a: &[u8], b: &[u8]) -> Result<String, CommandError> {
    let a = LongDouble::parse(a).ok_or(CommandError::NotAFloat)?;
    let b = LongDouble::parse(b).ok_or(CommandError::NotAFloat)?;
    let sum = a.plus(b).ok_or(CommandError::text("ERR increment would produce NaN or Infinity"))?;
    Ok(sum.to_string())
}

/// A natural number of any size, in digits of 32 bits, the lowest first, without zeros at the end.
#[derive(Debug, Clone)]
struct Natural(Vec<u32>);

impl LongDouble {
    const ZERO: Self = Self::Finite { negative: false, significand: 0, exponent: 0 };

    /// Reads a number: decimal, perhaps with an exponent of ten, or hexadecimal, or `inf`. `None` for anything else, and for what lies beyond
    /// the format's range.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > MAX_TEXT_BYTES {
            return None;
        }
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        if text.eq_ignore_ascii_case(b"inf") || text.eq_ignore_ascii_case(b"infinity") {
            return Some(Self::Infinite { negative });
        }
        if let Some(Hexadecimal { significand, exponent }) = Hexadecimal::parse(text) {
            return if significand == 0 { Some(Self::ZERO) } else { Self::rounded(negative, significand, exponent) };
        }
        let (digits, power) = split_decimal(text)?;
        let natural = Natural::from_digits(digits.iter().copied());
        if natural.is_zero() {
            return Some(Self::ZERO);
        }
        if (digits.len() as i64 + power).abs() > MAX_POWER_OF_TEN {
            return None;
        }
        let ten_to = Natural::power_of_ten(usize::try_from(power.unsigned_abs()).ok()?);
        if power < 0 {
            Self::quotient(negative, natural, ten_to)
        } else {
            Self::quotient(negative, natural.times(&ten_to), Natural(vec![1]))
        }
    }

    /// Whether it is not infinite.
    pub fn is_finite(self) -> bool {
        matches!(self, Self::Finite { .. })
    }

    /// The sum. `None` when it is infinite, or no number at all.
    pub fn plus(self, other: Self) -> Option<Self> {
        let (
            Self::Finite { negative, significand, exponent },
            Self::Finite { negative: other_negative, significand: other_significand, exponent: other_exponent },
        ) = (self, other)
        else {
            return None;
        };
        if other_significand == 0 {
            return Some(self);
        }
        // The greater exponent first: the other one is moved to it.
        if significand == 0 || exponent < other_exponent {
            return other.plus(self);
        }
        let greater = u128::from(significand) << GUARD_BITS;
        let other = u128::from(other_significand) << GUARD_BITS;
        let distance = exponent.abs_diff(other_exponent);
        let lesser = other.checked_shr(distance).unwrap_or(0);
        // What was lost on the way down counts as one bit: enough to tell which side of a tie it is on.
        let lost = lesser.checked_shl(distance).unwrap_or(0) != other;
        let lesser = lesser | u128::from(lost);
        let (negative, sum) = match (negative == other_negative, greater.cmp(&lesser)) {
            (true, _) => (negative, greater + lesser),
            (false, Ordering::Equal) => return Some(Self::ZERO),
            (false, Ordering::Greater) => (negative, greater - lesser),
            (false, Ordering::Less) => (other_negative, lesser - greater),
        };
        Self::rounded(negative, sum, exponent - GUARD_BITS as i32)
    }

    /// A thousand times this number, rounded up to a whole one; `None` when that does not fit 64 bits.
    pub fn thousandfold(self) -> Option<i64> {
        let Self::Finite { negative, significand, exponent } = self else { return None };
        if significand == 0 {
            return Some(0);
        }
        let Self::Finite { significand, exponent, .. } =
            Self::rounded(negative, u128::from(significand) * 1000, exponent)?
        else {
            return None;
        };
        if exponent >= 0 {
            // Its highest bit is set: there is no room for a sign.
            return None;
        }
        let whole = significand.checked_shr(exponent.unsigned_abs()).unwrap_or(0);
        let is_whole = exponent > -64 && whole << exponent.unsigned_abs() == significand;
        let size = i64::try_from(whole).ok()?;
        if negative { Some(-size) } else { size.checked_add(i64::from(!is_whole)) }
    }

    /// `numerator / denominator`, rounded; `None` when it is out of range.
    fn quotient(negative: bool, mut numerator: Natural, mut denominator: Natural) -> Option<Self> {
        // Moved so that the quotient lies between one half and two, it is then taken bit by bit: one bit to begin with,
        // perhaps a zero, 64 that count, one to round by, and whether there is any more.
        let shift = denominator.bits() as i32 - numerator.bits() as i32;
        if shift > 0 {
            numerator.shift_left(shift as usize);
        } else {
            denominator.shift_left(shift.unsigned_abs() as usize);
        }
        let mut quotient: u128 = 0;
        for _ in 0..66 {
            quotient <<= 1;
            if numerator.compare(&denominator) != Ordering::Less {
                numerator.subtract(&denominator);
                quotient |= 1;
            }
            numerator.shift_left(1);
        }
        let more = u128::from(!numerator.is_zero());
        Self::rounded(negative, quotient << 1 | more, -shift - 66)
    }

    /// `value` times two to the power of `exponent`, rounded to 64 bits; `None` when it is out of range.
    fn rounded(negative: bool, value: u128, exponent: i32) -> Option<Self> {
        let leading = value.leading_zeros();
        let normal = value << leading;
        let exponent = exponent - leading as i32 + 64;
        let (high, low) = ((normal >> 64) as u64, normal as u64);
        let half = 1 << 63;
        let up = low > half || low == half && high & 1 == 1;
        let (significand, exponent) = match high.checked_add(u64::from(up)) {
            Some(significand) => (significand, exponent),
            None => (1 << 63, exponent + 1),
        };
        let in_range = (MIN_TOP_BIT..=MAX_TOP_BIT).contains(&(exponent + 63));
        in_range.then_some(Self::Finite { negative, significand, exponent })
    }
}

impl fmt::Display for LongDouble {
    /// As C's `%.17Lf`, without the zeros at the end; zero has no sign.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (negative, significand, exponent) = match *self {
            Self::Infinite { negative } => return f.write_str(if negative { "-inf" } else { "inf" }),
            Self::Finite { negative, significand, exponent } => (negative, significand, exponent),
        };
        let sign = if negative { "-" } else { "" };
        if exponent >= 0 {
            let mut whole = Natural(vec![significand as u32, (significand >> 32) as u32]).trimmed();
            whole.shift_left(exponent as usize);
            return write!(f, "{sign}{}", whole.into_decimal());
        }
        let places_below = exponent.unsigned_abs();
        let whole = significand.checked_shr(places_below).unwrap_or(0);
        let fraction = significand - whole.checked_shl(places_below).unwrap_or(0);
        // Below 2^64 times 10^17, which has 121 bits: a number with more places than that is less than half of the last one
        // that is written.
        let scaled = u128::from(fraction) * SCALE;
        let places = match scaled.checked_shr(places_below) {
            None => 0,
            Some(floor) => {
                let rest = scaled - (floor << places_below);
                let half = 1u128 << (places_below - 1);
                floor + u128::from(rest > half || rest == half && floor & 1 == 1)
            }
        };
        let (whole, places) = if places == SCALE { (u128::from(whole) + 1, 0) } else { (u128::from(whole), places) };
        match (whole, places) {
            (0, 0) => f.write_str("0"),
            (_, 0) => write!(f, "{sign}{whole}"),
            _ => {
                let places = format!("{places:0PLACES$}");
                write!(f, "{sign}{whole}.{}", places.trim_end_matches('0'))
            }
        }
    }
}

/// The digits of a decimal number without its point, and the power of ten that they are to be multiplied with.
fn split_decimal(text: &[u8]) -> Option<(Vec<u8>, i64)> {
    let (mantissa, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let (whole, places) = match mantissa.iter().position(|&byte| byte == b'.') {
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
        None => (mantissa, &[][..]),
    };
    let digits: Vec<u8> = whole.iter().chain(places).copied().collect();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let exponent = exponent.map_or(Some(0), parse_exponent)?;
    let leading = digits.iter().take_while(|&&digit| digit == b'0').count();
    Some((digits[leading..].to_vec(), exponent - places.len() as i64))
}

impl Natural {
    fn from_digits(digits: impl Iterator<Item = u8>) -> Self {
        let mut natural = Self(Vec::new());
        for digit in digits {
            natural.times_plus(10, u32::from(digit - b'0'));
        }
        natural
    }

    fn power_of_ten(power: usize) -> Self {
        let mut natural = Self(vec![1]);
        for _ in 0..power / 9 {
            natural.times_plus(1_000_000_000, 0);
        }
        natural.times_plus(10u32.pow((power % 9) as u32), 0);
        natural
    }

    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn bits(&self) -> usize {
        self.0.last().map_or(0, |top| self.0.len() * 32 - top.leading_zeros() as usize)
    }

    fn times_plus(&mut self, factor: u32, addend: u32) {
        let mut carry = u64::from(addend);
        for digit in &mut self.0 {
            carry += u64::from(*digit) * u64::from(factor);
            *digit = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    fn times(&self, other: &Self) -> Self {
        let mut product = vec![0; self.0.len() + other.0.len()];
        for (at, &a) in self.0.iter().enumerate() {
            let mut carry = 0;
            for (place, &b) in product[at..].iter_mut().zip(other.0.iter().chain([&0])) {
                carry += u64::from(*place) + u64::from(a) * u64::from(b);
                *place = carry as u32;
                carry >>= 32;
            }
        }
        Self(product).trimmed()
    }

    fn shift_left(&mut self, bits: usize) {
        self.times_plus(1 << (bits % 32), 0);
        if !self.is_zero() {
            self.0.splice(..0, std::iter::repeat_n(0, bits / 32));
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    /// Takes `other`, which must not be greater, away.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = 0;
        for (at, digit) in self.0.iter_mut().enumerate() {
            let rest = i64::from(*digit) - i64::from(other.0.get(at).copied().unwrap_or(0)) - borrow;
            *digit = rest as u32;
            borrow = i64::from(rest < 0);
        }
        assert_eq!(borrow, 0, "what is taken away is not greater");
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn trimmed(mut self) -> Self {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        self
    }

    fn into_decimal(mut self) -> String {
        let mut groups = Vec::new();
        while !self.is_zero() {
            let mut rest = 0;
            for digit in self.0.iter_mut().rev() {
                let dividend = rest << 32 | u64::from(*digit);
                *digit = (dividend / 1_000_000_000) as u32;
                rest = dividend % 1_000_000_000;
            }
            self = self.trimmed();
            groups.push(rest);
        }
        let mut text = groups.pop().unwrap_or(0).to_string();
        text.extend(groups.iter().rev().map(|group| format!("{group:09}")));
        text
    }
}
