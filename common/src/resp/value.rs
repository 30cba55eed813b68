//! A reply as a client sees it: a tree that owns its bytes, and prints itself as redis-cli does.

use std::fmt;

/// A decoded reply.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// A status, such as `OK`.
    Simple(String),
    /// An error, its code word first.
    Error(String),
    /// An integer.
    Integer(i64),
    /// A bulk string: any bytes.
    Bulk(Vec<u8>),
    /// No value, or no array.
    Null,
    /// An array.
    Array(Vec<Value>),
    /// A map, in the order in which it came.
    Map(Vec<(Value, Value)>),
    /// A set, in the order in which it came.
    Set(Vec<Value>),
    /// Values that answer no request: a message of a subscription.
    Push(Vec<Value>),
    /// A double.
    Double(f64),
    /// A boolean.
    Boolean(bool),
    /// An integer beyond 64 bits, in decimal.
    BigNumber(String),
    /// Text for people to read as it is.
    Verbatim {
        /// Three letters: `txt` or `mkd`.
        format: String,
        /// The text.
        text: Vec<u8>,
    },
}

impl Value {
    /// The bytes of a string of whatever kind.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bulk(bytes) | Self::Verbatim { text: bytes, .. } => Some(bytes),
            Self::Simple(text) | Self::BigNumber(text) => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// The text of a string of whatever kind, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// The number that is an integer or a string that reads as one.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            Self::Boolean(value) => Some(i64::from(*value)),
            _ => super::parse_integer(self.as_bytes()?),
        }
    }

    /// The number that is a double, an integer, or a string that reads as one.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Double(value) => Some(*value),
            Self::Integer(value) => Some(*value as f64),
            _ => self.as_str()?.parse().ok(),
        }
    }

    /// The elements of an array, a set or a push.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) | Self::Set(items) | Self::Push(items) => Some(items),
            _ => None,
        }
    }

    /// The elements of an array, a set or a push; anything else comes back as it was.
    ///
    /// # Errors
    ///
    /// The value itself, when it has no elements.
    pub fn into_array(self) -> Result<Vec<Value>, Value> {
        match self {
            Self::Array(items) | Self::Set(items) | Self::Push(items) => Ok(items),
            other => Err(other),
        }
    }

    /// The pairs of a map, or of the array of keys and values in turn that RESP2 has for it.
    ///
    /// # Errors
    ///
    /// The value itself, when it is neither.
    pub fn into_pairs(self) -> Result<Vec<(Value, Value)>, Value> {
        match self {
            Self::Map(pairs) => Ok(pairs),
            Self::Array(items) if items.len() % 2 == 0 => Ok(pair_up(items)),
            other => Err(other),
        }
    }

    /// The value of the text `key` in a map, or in the array that RESP2 has for it.
    pub fn lookup(&self, key: &str) -> Option<&Value> {
        let is_key = |candidate: &Value| candidate.as_bytes() == Some(key.as_bytes());
        match self {
            Self::Map(pairs) => pairs.iter().find(|(candidate, _)| is_key(candidate)).map(|(_, value)| value),
            Self::Array(items) => items.chunks_exact(2).find(|pair| is_key(&pair[0])).map(|pair| &pair[1]),
            _ => None,
        }
    }

    /// Whether there is no value.
    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Error(_))
    }

    /// Writes the value with its further lines indented by `indent` columns.
    fn write(&self, f: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        match self {
            Self::Simple(text) | Self::BigNumber(text) => f.write_str(text),
            Self::Error(text) => write!(f, "(error) {text}"),
            Self::Integer(value) => write!(f, "(integer) {value}"),
            Self::Double(value) => write!(f, "(double) {}", super::format_double(*value)),
            Self::Boolean(value) => write!(f, "({value})"),
            Self::Null => f.write_str("(nil)"),
            Self::Bulk(bytes) => write_quoted(f, bytes),
            Self::Verbatim { text, .. } => f.write_str(&String::from_utf8_lossy(text)),
            Self::Array(items) => write_items(f, items, indent, ')', "(empty array)"),
            Self::Set(items) => write_items(f, items, indent, '~', "(empty set)"),
            Self::Push(items) => write_items(f, items, indent, ')', "(empty push)"),
            Self::Map(pairs) => write_pairs(f, pairs, indent),
        }
    }

    /// How many lines of its own an aggregate has.
    fn item_count(&self) -> usize {
        match self {
            Self::Map(pairs) => pairs.len(),
            other => other.as_array().map_or(0, <[Value]>::len),
        }
    }
}

/// As redis-cli shows it, over as many lines as it takes.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

/// On one line, for the messages of tests.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Array(items) => f.debug_list().entries(items).finish(),
            Self::Set(items) => f.debug_set().entries(items).finish(),
            Self::Map(pairs) => f.debug_map().entries(pairs.iter().map(|(key, value)| (key, value))).finish(),
            Self::Push(items) => f.write_str("push ").and_then(|()| f.debug_list().entries(items).finish()),
            Self::Verbatim { format, text } => write!(f, "{format}:").and_then(|()| write_quoted(f, text)),
            Self::Simple(text) => write!(f, "+{text}"),
            Self::BigNumber(digits) => write!(f, "(big number) {digits}"),
            other => other.write(f, 0),
        }
    }
}

/// Keys and values in turn, as pairs. An odd one at the end is left out.
pub(super) fn pair_up(items: Vec<Value>) -> Vec<(Value, Value)> {
    let mut items = items.into_iter();
    let mut pairs = Vec::with_capacity(items.len() / 2);
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        pairs.push((key, value));
    }
    pairs
}

fn write_items(f: &mut fmt::Formatter<'_>, items: &[Value], indent: usize, mark: char, none: &str) -> fmt::Result {
    if items.is_empty() {
        return f.write_str(none);
    }
    let width = digits(items.len());
    for (index, item) in items.iter().enumerate() {
        start_line(f, index, width, mark, indent)?;
        item.write(f, indent + width + 2)?;
    }
    Ok(())
}

fn write_pairs(f: &mut fmt::Formatter<'_>, pairs: &[(Value, Value)], indent: usize) -> fmt::Result {
    if pairs.is_empty() {
        return f.write_str("(empty hash)");
    }
    let width = digits(pairs.len());
    let inner = indent + width + 2;
    for (index, (key, value)) in pairs.iter().enumerate() {
        start_line(f, index, width, '#', indent)?;
        key.write(f, inner)?;
        f.write_str(" => ")?;
        if value.item_count() > 1 {
            write!(f, "\n{:inner$}", "")?;
        }
        value.write(f, inner)?;
    }
    Ok(())
}

/// Begins the `index`-th element: on the line that is there for the first, on a line of its own for the others.
fn start_line(f: &mut fmt::Formatter<'_>, index: usize, width: usize, mark: char, indent: usize) -> fmt::Result {
    if index > 0 {
        write!(f, "\n{:indent$}", "")?;
    }
    write!(f, "{:>width$}{mark} ", index + 1)
}

fn digits(count: usize) -> usize {
    itoa::Buffer::new().format(count).len()
}

fn write_quoted(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_str("\"")?;
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
            b'\n' => f.write_str("\\n")?,
            b'\r' => f.write_str("\\r")?,
            b'\t' => f.write_str("\\t")?,
            0x07 => f.write_str("\\a")?,
            0x08 => f.write_str("\\b")?,
            b' '..=b'~' => write!(f, "{}", char::from(byte))?,
            _ => write!(f, "\\x{byte:02x}")?,
        }
    }
    f.write_str("\"")
}
