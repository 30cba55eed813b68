//! Inline requests: a line of words, quoted as in a shell, for people at a telnet and for health checks.
//!
//! ```text
//! SET greeting "hello\x20world\n"      in double quotes: \n \r \t \a \b, \xHH, and a backslash before any other byte
//! SET greeting 'it\'s'                 in single quotes: \' alone
//! ```
//!
//! The rules are those of Redis, oddities included: a closing quote must end its word, an opening one may stand in the
//! middle of it, and a vertical tab or form feed separates words only where one could begin.

use super::{ProtocolError, Span};

/// Splits `line` into words, unquoted: what a shell does with what is typed into it.
///
/// # Errors
///
/// [`ProtocolError::UnbalancedQuotes`].
pub fn split_words(line: &[u8]) -> Result<Vec<Vec<u8>>, ProtocolError> {
    let (mut spans, mut unquoted) = (Vec::new(), Vec::new());
    split_line(line, &mut spans, &mut unquoted)?;
    let bytes = if unquoted.is_empty() { line } else { &unquoted };
    Ok(spans.iter().map(|span| bytes[span.start as usize..][..span.len as usize].to_vec()).collect())
}

/// Appends the words of `line` to `spans`: where they lie in `line` when nothing is quoted in it, else where they lie in
/// `unquoted`, to which they are copied.
///
/// When `unquoted` stays empty the spans may be read against either: a quoted line of empty words has empty spans alone.
pub(super) fn split_line(line: &[u8], spans: &mut Vec<Span>, unquoted: &mut Vec<u8>) -> Result<(), ProtocolError> {
    let quoted = line.iter().any(|byte| matches!(byte, b'"' | b'\''));
    let mut rest = skip_blanks(line);
    while !rest.is_empty() {
        let (start, end);
        if quoted {
            start = unquoted.len();
            rest = unquote_word(rest, unquoted)?;
            end = unquoted.len();
        } else {
            start = line.len() - rest.len();
            rest = &rest[rest.iter().position(|&byte| ends_word(byte)).unwrap_or(rest.len())..];
            end = line.len() - rest.len();
        }
        spans.push(Span { start: start as u32, len: (end - start) as u32 });
        rest = skip_blanks(rest);
    }
    Ok(())
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    &text[text.iter().position(|&byte| !is_blank(byte)).unwrap_or(text.len())..]
}

/// What C's `isspace` calls a space.
fn is_blank(byte: u8) -> bool {
    ends_word(byte) || matches!(byte, 0x0b | 0x0c)
}

fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Appends the word at the head of `rest` to `out`; returns what follows it.
fn unquote_word<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        match rest {
            [] => return Ok(rest),
            [byte, ..] if ends_word(*byte) => return Ok(rest),
            [b'"', tail @ ..] => return unquote_double(tail, out),
            [b'\'', tail @ ..] => return unquote_single(tail, out),
            [byte, tail @ ..] => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
}

fn unquote_double<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        let (byte, tail) = match rest {
            [] => return Err(ProtocolError::UnbalancedQuotes),
            [b'"', tail @ ..] => return word_end(tail),
            [b'\\', b'x', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex_digit(*high) << 4 | hex_digit(*low), tail)
            }
            [b'\\', escaped, tail @ ..] => (unescape(*escaped), tail),
            [byte, tail @ ..] => (*byte, tail),
        };
        out.push(byte);
        rest = tail;
    }
}

fn unquote_single<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        let (byte, tail) = match rest {
            [] => return Err(ProtocolError::UnbalancedQuotes),
            [b'\'', tail @ ..] => return word_end(tail),
            [b'\\', b'\'', tail @ ..] => (b'\'', tail),
            [byte, tail @ ..] => (*byte, tail),
        };
        out.push(byte);
        rest = tail;
    }
}

/// After a closing quote the word must end.
fn word_end(rest: &[u8]) -> Result<&[u8], ProtocolError> {
    if rest.first().is_none_or(|&byte| is_blank(byte)) { Ok(rest) } else { Err(ProtocolError::UnbalancedQuotes) }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => byte - b'A' + 10,
    }
}
