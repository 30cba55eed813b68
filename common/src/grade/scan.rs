//! A scanner of Rust text: enough to know what is code, and which function a line stands in.
//!
//! The generator of starters works on text, because a starter must keep every comment and blank line of the reference where
//! a syntax tree would drop them. What it needs of the syntax is small, and is here.

use std::ops::Range;

/// A function that has a body, found in text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The names that its parameters bind, in order; `self` where it takes it.
    pub parameters: Vec<String>,
    /// The bytes between the braces of its body.
    pub body: Range<usize>,
}

/// The text with comments, and the insides of string and character literals, blanked: same length, same lines.
pub fn code_only(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => line_end(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => block_comment_end(bytes, at),
            b'"' => string_end(bytes, at + 1),
            b'r' if begins_raw_string(bytes, at) => raw_string_end(bytes, at + 1),
            b'\'' => character_end(source, at).unwrap_or(at),
            _ => at,
        };
        if end == at {
            at += 1;
            continue;
        }
        for byte in &mut code[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    String::from_utf8(code).expect("whole characters are blanked, so the rest stays valid UTF-8")
}

/// The innermost function around the byte at `position`.
pub fn enclosing(functions: &[Function], position: usize) -> Option<&Function> {
    functions.iter().filter(|function| function.body.contains(&position)).max_by_key(|function| function.body.start)
}

/// Every function with a body in `code`, which [`code_only`] has made.
pub fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices("fn") {
        let before = code[..start].chars().next_back();
        let after = code[start + 2..].chars().next();
        if !before.is_some_and(is_word) && after.is_some_and(char::is_whitespace) {
            found.extend(function(code, start + 2));
        }
    }
    found
}

/// The function whose name begins at or after `at`, unless it has no body.
fn function(code: &str, at: usize) -> Option<Function> {
    let name_start = skip_whitespace(code, at);
    let name: String = code[name_start..].chars().take_while(|&c| is_word(c)).collect();
    let mut at = skip_whitespace(code, name_start + name.len());
    if name.is_empty() {
        return None;
    }
    if code[at..].starts_with('<') {
        at = skip_whitespace(code, closing(code, at)? + 1);
    }
    if !code[at..].starts_with('(') {
        return None;
    }
    let close = closing(code, at)?;
    let parameters = split_top(&code[at + 1..close], ',').into_iter().flat_map(bound_names).collect();
    let mut at = close + 1;
    loop {
        match code[at..].chars().next()? {
            '{' => break,
            ';' => return None,
            '(' | '[' => at = closing(code, at)? + 1,
            c => at += c.len_utf8(),
        }
    }
    Some(Function { name, parameters, body: at + 1..closing(code, at)? })
}

/// The names that one parameter binds: those of its pattern.
fn bound_names(parameter: &str) -> Vec<String> {
    let mut parameter = parameter.trim();
    while parameter.starts_with("#[") {
        match closing(parameter, 1) {
            Some(end) => parameter = parameter[end + 1..].trim_start(),
            None => return Vec::new(),
        }
    }
    let pattern = split_top(parameter, ':')[0];
    pattern
        .split(|c: char| !is_word(c) && c != '\'')
        .filter(|word| word.starts_with(|c: char| c.is_lowercase() || c == '_'))
        .filter(|word| !matches!(*word, "mut" | "ref" | "_"))
        .map(str::to_owned)
        .collect()
}

/// Splits at a separator that stands in no bracket; `::` is no `:`.
fn split_top(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start, mut previous) = (0_usize, 0, ' ');
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            '>' if matches!(previous, '-' | '=') => {}
            ')' | ']' | '}' | '>' => depth = depth.saturating_sub(1),
            ':' if separator == ':' && characters.peek().is_some_and(|next| next.1 == ':') => {
                characters.next();
            }
            _ if c == separator && depth == 0 => {
                parts.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
        previous = c;
    }
    parts.push(&text[start..]);
    parts
}

/// Where the bracket that opens at `open` closes.
fn closing(code: &str, open: usize) -> Option<usize> {
    let (opener, closer) = match code.as_bytes()[open] {
        b'(' => ('(', ')'),
        b'[' => ('[', ']'),
        b'{' => ('{', '}'),
        _ => ('<', '>'),
    };
    let (mut depth, mut previous) = (0_usize, ' ');
    for (at, c) in code[open..].char_indices() {
        if c == opener {
            depth += 1;
        } else if c == closer && !(closer == '>' && matches!(previous, '-' | '=')) {
            depth -= 1;
            if depth == 0 {
                return Some(open + at);
            }
        }
        previous = c;
    }
    None
}

fn skip_whitespace(code: &str, at: usize) -> usize {
    code.len() - code[at..].trim_start().len()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |length| at + length)
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start + 2, 1_usize);
    while at < bytes.len() && depth > 0 {
        match (bytes[at], bytes.get(at + 1)) {
            (b'/', Some(b'*')) => (depth, at) = (depth + 1, at + 2),
            (b'*', Some(b'/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// Whether the `r` at `at` opens `r"…"`, `r#"…"#`, `br"…"` or `cr"…"`, and is neither the end of a word nor `r#name`.
fn begins_raw_string(bytes: &[u8], at: usize) -> bool {
    let word_before = |end: usize| end > 0 && (bytes[end - 1].is_ascii_alphanumeric() || bytes[end - 1] == b'_');
    let prefixed = at > 0 && matches!(bytes[at - 1], b'b' | b'c') && !word_before(at - 1);
    let hashes = bytes[at + 1..].iter().take_while(|&&byte| byte == b'#').count();
    (prefixed || !word_before(at)) && bytes.get(at + 1 + hashes) == Some(&b'"')
}

fn raw_string_end(bytes: &[u8], at: usize) -> usize {
    let hashes = bytes[at..].iter().take_while(|&&byte| byte == b'#').count();
    let closer: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let inside = at + hashes + 1;
    bytes[inside..]
        .windows(closer.len())
        .position(|window| window == closer)
        .map_or(bytes.len(), |length| inside + length + closer.len())
}

/// Where the character literal that opens at `at` ends; nothing for a lifetime.
fn character_end(source: &str, at: usize) -> Option<usize> {
    let rest = &source[at + 1..];
    let first = rest.chars().next()?;
    if first == '\\' {
        let escaped = 1 + rest[1..].chars().next()?.len_utf8();
        return rest[escaped..].find('\'').map(|length| at + 1 + escaped + length + 1);
    }
    let after = first.len_utf8();
    rest[after..].starts_with('\'').then_some(at + 1 + after + 1)
}
