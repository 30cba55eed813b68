//! Patterns as Redis matches them: `*`, `?`, `[abc]`, `[a-z]`, `[^a]`, and `\` before what is meant literally.

/// Whether `text` matches `pattern` as a whole.
///
/// Takes time in proportion to the product of both lengths at most: when a star has to take more, only the last one does,
/// for whatever an earlier one could give, it can as well.
pub fn matches(pattern: &[u8], text: &[u8], ignore_case: bool) -> bool {
    let (mut at, mut pos) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            retry = Some((at, pos));
            continue;
        }
        let step = match text.get(pos) {
            None if at == pattern.len() => return true,
            None => return false,
            Some(byte) => match_one(&pattern[at..], *byte, ignore_case),
        };
        if let Some(length) = step {
            at += length;
            pos += 1;
        } else if let Some((after_star, taken)) = retry {
            retry = Some((after_star, taken + 1));
            (at, pos) = (after_star, taken + 1);
        } else {
            return false;
        }
    }
}

/// The length of the pattern's first element, if `byte` matches it.
fn match_one(pattern: &[u8], byte: u8, ignore_case: bool) -> Option<usize> {
    let fold = |byte: u8| if ignore_case { byte.to_ascii_lowercase() } else { byte };
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => {
            let (length, matched) = match_class(&pattern[1..], fold(byte), fold);
            matched.then_some(1 + length)
        }
        b'\\' if pattern.len() > 1 => (fold(pattern[1]) == fold(byte)).then_some(2),
        literal => (fold(literal) == fold(byte)).then_some(1),
    }
}

/// The length of a class behind its bracket, the closing one included, and whether it has `byte`. A class that is not
/// closed ends with the pattern.
fn match_class(class: &[u8], byte: u8, fold: impl Fn(u8) -> u8) -> (usize, bool) {
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        match class[at..] {
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', escaped, ..] => {
                found |= fold(escaped) == byte;
                at += 2;
            }
            [from, b'-', to, ..] => {
                let (from, to) = (fold(from.min(to)), fold(from.max(to)));
                found |= (from..=to).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                found |= fold(literal) == byte;
                at += 1;
            }
        }
    }
    (at, found != negated)
}
