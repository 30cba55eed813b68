//! The reply decoder: builds a [`Value`] from the bytes of a server, as they arrive.
//!
//! A server is no more to be trusted than a client, since it may be a proxy, a port given by mistake, or damaged: the depth
//! of a reply and every length in it are limited, and an array takes room for the elements that have come, never for those
//! that it announces. The decoder keeps its place between calls on a stack of its own, so that neither a deep reply can
//! exhaust the thread's stack nor a long one be decoded from the beginning with every read.

use super::value::pair_up;
use super::{Limits, Value, parse_integer};

/// How deep arrays, maps, sets and pushes may lie in one another. The deepest reply of Redis, `COMMAND INFO`, has seven levels.
pub const MAX_VALUE_DEPTH: usize = 64;

/// Why bytes are no reply. The connection can only be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// No type of RESP2 or RESP3 begins with this byte.
    #[error("got {:?} as reply type byte", char::from(*.0))]
    UnknownType(u8),
    /// A length or count is no number, or negative where there is no null.
    #[error("a length in the reply is not a number")]
    InvalidLength,
    /// What stands on a line is not of the type that the line announces.
    #[error("a reply of type {:?} is malformed", char::from(*.0))]
    Malformed(u8),
    /// A line, a bulk string or the whole reply is longer than [`Limits`] allow.
    #[error("the reply is longer than {limit} bytes")]
    TooLong {
        /// The limit that it broke.
        limit: usize,
    },
    /// Aggregates lie deeper in one another than [`MAX_VALUE_DEPTH`].
    #[error("the reply is nested deeper than {MAX_VALUE_DEPTH} levels")]
    TooDeep,
}

/// Decodes the reply at `buf[0]`: the value and its length in bytes, or `None` when more is needed.
///
/// # Errors
///
/// [`ValueError`], when it is no reply, or one beyond the limits.
pub fn decode_value(buf: &[u8], limits: &Limits) -> Result<Option<(Value, usize)>, ValueError> {
    ValueDecoder::new(*limits).decode(buf)
}

/// Decodes the replies of one connection, one after another.
///
/// **Invariants**: `pos <= scanned`, and neither is beyond the bytes of the last call; every frame of the stack lacks at
/// least one element.
#[derive(Debug)]
pub struct ValueDecoder {
    limits: Limits,
    /// Where the element that comes next begins.
    pos: usize,
    /// Where the search for the end of the line at `pos` goes on.
    scanned: usize,
    stack: Vec<Frame>,
}

/// An aggregate that is not whole yet.
#[derive(Debug)]
struct Frame {
    kind: Kind,
    /// How many elements it will have; a pair is two.
    len: usize,
    items: Vec<Value>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Array,
    Map,
    Set,
    Push,
    /// Tells something about the reply that follows it; no client of ours asks for any, and it is left out.
    Attribute,
}

/// What stands at `pos`.
enum Element {
    Leaf(Value),
    Open(Frame),
}

impl ValueDecoder {
    /// A decoder at the start of a connection.
    pub fn new(limits: Limits) -> Self {
        Self { limits, pos: 0, scanned: 0, stack: Vec::new() }
    }

    /// Decodes the reply that begins at `buf[0]`: the value and its length in bytes. `None`: more is needed, call again
    /// with the same bytes and more appended. After a value the next call begins another reply.
    ///
    /// # Errors
    ///
    /// [`ValueError`], when it is no reply, or one beyond the limits.
    pub fn decode(&mut self, buf: &[u8]) -> Result<Option<(Value, usize)>, ValueError> {
        while let Some(element) = self.element(buf)? {
            if self.pos > self.limits.max_request_bytes {
                return Err(ValueError::TooLong { limit: self.limits.max_request_bytes });
            }
            let whole = match element {
                Element::Leaf(value) => self.place(value),
                Element::Open(frame) if frame.len == 0 => frame.close().and_then(|value| self.place(value)),
                Element::Open(_) if self.stack.len() == MAX_VALUE_DEPTH => return Err(ValueError::TooDeep),
                Element::Open(frame) => {
                    self.stack.push(frame);
                    None
                }
            };
            if let Some(value) = whole {
                let len = self.pos;
                (self.pos, self.scanned) = (0, 0);
                return Ok(Some((value, len)));
            }
        }
        Ok(None)
    }

    /// Puts `value` into the aggregate that waits for it, and that into its own when it was the last; the reply, when whole.
    fn place(&mut self, mut value: Value) -> Option<Value> {
        while let Some(mut frame) = self.stack.pop() {
            frame.items.push(value);
            if frame.items.len() < frame.len {
                self.stack.push(frame);
                return None;
            }
            value = frame.close()?;
        }
        Some(value)
    }

    /// The element at `pos`, which then is after it: a scalar, or the head of an aggregate.
    fn element(&mut self, buf: &[u8]) -> Result<Option<Element>, ValueError> {
        let Some(end) = self.line_end(buf)? else { return Ok(None) };
        let line = &buf[self.pos + 1..end];
        let marker = buf[self.pos];
        let next = end + 2;
        let element = match marker {
            b'+' => Element::Leaf(Value::Simple(text(line))),
            b'-' => Element::Leaf(Value::Error(text(line))),
            b':' => Element::Leaf(Value::Integer(parse_integer(line).ok_or(ValueError::Malformed(marker))?)),
            b'_' if line.is_empty() => Element::Leaf(Value::Null),
            b'#' if line == b"t" || line == b"f" => Element::Leaf(Value::Boolean(line == b"t")),
            b',' => Element::Leaf(Value::Double(text(line).parse().map_err(|_| ValueError::Malformed(marker))?)),
            b'(' if is_big_number(line) => Element::Leaf(Value::BigNumber(text(line))),
            b'$' | b'*' if line == b"-1" => Element::Leaf(Value::Null),
            b'$' | b'=' | b'!' => return self.blob(buf, marker, length(line)?, next),
            b'*' => self.open(Kind::Array, line)?,
            b'%' => self.open(Kind::Map, line)?,
            b'~' => self.open(Kind::Set, line)?,
            b'>' => self.open(Kind::Push, line)?,
            b'|' => self.open(Kind::Attribute, line)?,
            b'_' | b'#' | b'(' => return Err(ValueError::Malformed(marker)),
            other => return Err(ValueError::UnknownType(other)),
        };
        self.advance(next);
        Ok(Some(element))
    }

    /// The string of `len` bytes that begins at `start`.
    fn blob(&mut self, buf: &[u8], marker: u8, len: usize, start: usize) -> Result<Option<Element>, ValueError> {
        if len > self.limits.max_bulk_bytes {
            return Err(ValueError::TooLong { limit: self.limits.max_bulk_bytes });
        }
        let end = start + len;
        let Some(tail) = buf.get(end..end + 2) else { return Ok(None) };
        let bytes = &buf[start..end];
        let value = match (marker, bytes) {
            _ if tail != b"\r\n" => return Err(ValueError::Malformed(marker)),
            (b'$', _) => Value::Bulk(bytes.to_vec()),
            (b'!', _) => Value::Error(text(bytes)),
            (_, [a, b, c, b':', content @ ..]) => {
                Value::Verbatim { format: text(&[*a, *b, *c]), text: content.to_vec() }
            }
            _ => return Err(ValueError::Malformed(marker)),
        };
        self.advance(end + 2);
        Ok(Some(Element::Leaf(value)))
    }

    fn open(&self, kind: Kind, line: &[u8]) -> Result<Element, ValueError> {
        let count = length(line)?;
        // The shortest element takes three bytes: no reply within the limit has as many elements as it has bytes.
        if count > self.limits.max_request_bytes {
            return Err(ValueError::TooLong { limit: self.limits.max_request_bytes });
        }
        let len = if matches!(kind, Kind::Map | Kind::Attribute) { count * 2 } else { count };
        Ok(Element::Open(Frame { kind, len, items: Vec::new() }))
    }

    /// Where the `\r\n` of the line at `pos` is.
    fn line_end(&mut self, buf: &[u8]) -> Result<Option<usize>, ValueError> {
        let found = buf[self.scanned..].iter().position(|&byte| byte == b'\r').map(|offset| self.scanned + offset);
        self.scanned = found.unwrap_or(buf.len());
        if self.scanned - self.pos > self.limits.max_inline_bytes {
            return Err(ValueError::TooLong { limit: self.limits.max_inline_bytes });
        }
        match found.map(|end| (end, buf.get(end + 1))) {
            Some((end, Some(b'\n'))) if end > self.pos => Ok(Some(end)),
            Some((_, Some(_))) => Err(ValueError::Malformed(buf[self.pos])),
            _ => Ok(None),
        }
    }

    fn advance(&mut self, pos: usize) {
        self.pos = pos;
        self.scanned = pos;
    }
}

impl Frame {
    /// The aggregate that is whole; `None` for an attribute, which is no value.
    fn close(self) -> Option<Value> {
        Some(match self.kind {
            Kind::Array => Value::Array(self.items),
            Kind::Set => Value::Set(self.items),
            Kind::Push => Value::Push(self.items),
            Kind::Map => Value::Map(pair_up(self.items)),
            Kind::Attribute => return None,
        })
    }
}

fn length(line: &[u8]) -> Result<usize, ValueError> {
    parse_integer(line).and_then(|len| usize::try_from(len).ok()).ok_or(ValueError::InvalidLength)
}

fn is_big_number(line: &[u8]) -> bool {
    let digits = line.strip_prefix(b"-").or_else(|| line.strip_prefix(b"+")).unwrap_or(line);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
