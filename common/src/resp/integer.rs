//! Integers as Redis reads them: one text for each number, and none that could be read two ways.

/// How many digits after the first the short way takes: few enough for any `usize`.
const MAX_SHORT_DIGITS: usize = 7;

/// The number that `text` is, if it is written in the one way that is allowed: decimal, with neither plus sign, blanks nor
/// leading zeros, zero as `0`, and within 64 bits. A counter that is stored as text comes out as it went in.
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let negative = digits.len() < text.len();
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    // Below zero there is room for one number more, so that the sum grows downwards.
    let mut negated: i64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        negated = negated.checked_mul(10)?.checked_sub(i64::from(digit - b'0'))?;
    }
    if negative { Some(negated) } else { negated.checked_neg() }
}

/// The length in the line at the head of `bytes`, such as `$16\r\n`, and how long the line is without its end, in one pass: the
/// short way for nearly all of the lines that a server reads. `None` says nothing but that this line, if it is whole and
/// sound, takes the long way.
#[inline]
pub(super) fn short_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let [b'$', first @ b'1'..=b'9', rest @ ..] = bytes else { return None };
    let mut value = usize::from(first - b'0');
    for (index, &byte) in rest.iter().take(MAX_SHORT_DIGITS).enumerate() {
        match byte {
            b'0'..=b'9' => value = value * 10 + usize::from(byte - b'0'),
            b'\r' if rest.get(index + 1) == Some(&b'\n') => return Some((value, index + 2)),
            _ => return None,
        }
    }
    None
}
