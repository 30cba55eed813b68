//! The reply encoder: what commands write their answers to, in the protocol version that the client speaks.
//!
//! A command says what it means (a map, a null, a double) once, and the encoder says it in RESP3, or in the nearest that
//! RESP2 has, exactly as Redis 7.0 does:
//!
//! ```text
//!                  RESP3                 RESP2
//! null             _\r\n                 $-1\r\n
//! null array       _\r\n                 *-1\r\n
//! map of n         %n\r\n                *2n\r\n      keys and values in turn
//! set, push of n   ~n\r\n  >n\r\n        *n\r\n
//! double           ,3.5\r\n              $3\r\n3.5\r\n
//! boolean          #t\r\n                :1\r\n
//! big number       (123\r\n              $3\r\n123\r\n
//! verbatim         =8\r\ntxt:text\r\n    $4\r\ntext\r\n
//! ```
//!
//! The replies of a pipeline gather in one buffer, so that they leave in one write.

use super::{ProtocolError, format_double};

/// How many bytes an empty buffer keeps room for: a connection that once read a large value does not hold its size for ever.
const KEPT_BYTES: usize = 64 * 1024;

/// Room for a marker, a length of up to twenty digits, and the ends of two lines.
const HEADER_BYTES: usize = 32;

/// The version of the protocol that a client speaks: `HELLO` changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// The version that every connection begins with.
    #[default]
    Resp2,
    /// Maps, sets, doubles, booleans, and pushes beside the replies.
    Resp3,
}

/// The replies to one client that have not been written to its socket yet.
///
/// **Invariants**: `written <= buf.len()`, and what lies before `written` has left. Once `overflowed`, nothing is added that is
/// as long as its input: whoever owns the connection closes it.
#[derive(Debug)]
pub struct Replies {
    buf: Vec<u8>,
    written: usize,
    protocol: Protocol,
    max_bytes: usize,
    overflowed: bool,
}

impl Replies {
    /// No replies yet.
    pub fn new(protocol: Protocol) -> Self {
        Self { buf: Vec::new(), written: 0, protocol, max_bytes: usize::MAX, overflowed: false }
    }

    /// How many bytes may wait. One request can ask for a thousand times its own size: what is beyond this is dropped as it is
    /// made, before memory is taken for it, and the replies have [`overflowed`](Self::overflowed).
    pub fn set_max_bytes(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
    }

    /// Whether something was dropped: what waits is no whole reply any more.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// What the client speaks from the next reply on.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// What the client speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// A status, such as `OK`. It is the server's own text, of one line.
    #[inline]
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']), "a simple string is one line");
        self.line(b'+', text.as_bytes());
    }

    /// An error, its code word first: `ERR syntax error`. Line ends in it become blanks, since it may quote the client.
    pub fn error(&mut self, text: &str) {
        self.error_bytes(text.as_bytes());
    }

    /// An error that quotes bytes of the client's that need not be text; otherwise as [`error`](Self::error).
    pub fn error_bytes(&mut self, text: &[u8]) {
        self.buf.push(b'-');
        self.buf.extend(text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
        self.end_line();
    }

    /// The error after which the connection is closed, as Redis words it.
    pub fn protocol_error(&mut self, error: &ProtocolError) {
        let latin1: Vec<u8> = format!("ERR {error}").chars().map(|char| char as u8).collect();
        self.error_bytes(&latin1);
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        match u8::try_from(value) {
            Ok(digit @ 0..=9) => self.buf.extend_from_slice(&[b':', b'0' + digit, b'\r', b'\n']),
            _ => self.line(b':', itoa::Buffer::new().format(value).as_bytes()),
        }
    }

    /// A bulk string: any bytes.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        if !self.has_room(bytes.len()) {
            return;
        }
        self.buf.reserve(bytes.len() + HEADER_BYTES);
        self.header(b'$', bytes.len());
        self.buf.extend_from_slice(bytes);
        self.end_line();
    }

    /// That there is no value.
    pub fn null(&mut self) {
        self.either(b"$-1\r\n", b"_\r\n");
    }

    /// That there is no array: a blocking pop that timed out, a transaction that was not executed.
    pub fn null_array(&mut self) {
        self.either(b"*-1\r\n", b"_\r\n");
    }

    /// An array: `len` replies follow.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len);
    }

    /// A map: `pairs` times two replies follow, key and value in turn.
    pub fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', pairs * 2),
            Protocol::Resp3 => self.header(b'%', pairs),
        }
    }

    /// A set: `len` replies follow, in no order.
    pub fn set(&mut self, len: usize) {
        self.header(self.marker(b'~'), len);
    }

    /// A push: `len` replies follow, and together they answer no request.
    pub fn push(&mut self, len: usize) {
        self.header(self.marker(b'>'), len);
    }

    /// A double.
    pub fn double(&mut self, value: f64) {
        let text = format_double(value);
        match self.protocol {
            Protocol::Resp2 => self.bulk(&text),
            Protocol::Resp3 => self.line(b',', &text),
        }
    }

    /// A boolean.
    pub fn boolean(&mut self, value: bool) {
        if value { self.either(b":1\r\n", b"#t\r\n") } else { self.either(b":0\r\n", b"#f\r\n") }
    }

    /// An integer beyond 64 bits, in decimal.
    pub fn big_number(&mut self, digits: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(digits.as_bytes()),
            Protocol::Resp3 => self.line(b'(', digits.as_bytes()),
        }
    }

    /// Text for people to read as it is. `format` is `txt` or `mkd`.
    ///
    /// # Panics
    ///
    /// When `format` is not three bytes long.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        assert_eq!(format.len(), 3, "a verbatim string's format is three bytes long");
        if self.protocol == Protocol::Resp2 {
            return self.bulk(text);
        }
        if !self.has_room(text.len()) {
            return;
        }
        self.header(b'=', text.len() + 4);
        self.buf.extend_from_slice(format.as_bytes());
        self.buf.push(b':');
        self.buf.extend_from_slice(text);
        self.end_line();
    }

    /// Bytes that are encoded already.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    /// How many bytes wait to be written.
    pub fn len(&self) -> usize {
        self.buf.len() - self.written
    }

    /// How many bytes of memory the buffer takes.
    pub fn capacity(&self) -> usize {
        self.buf.capacity()
    }

    /// Whether nothing waits to be written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What waits to be written.
    pub fn bytes(&self) -> &[u8] {
        &self.buf[self.written..]
    }

    /// Takes back what was written to the buffer after it was `len` bytes long: a reply that came to nothing.
    pub fn truncate(&mut self, len: usize) {
        self.buf.truncate(self.written + len);
    }

    /// Takes all that waits.
    pub fn take(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.buf);
        bytes.drain(..self.written);
        self.written = 0;
        bytes
    }

    /// Forgets the first `count` bytes, which the socket has taken.
    ///
    /// # Panics
    ///
    /// When fewer wait.
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.len(), "a socket cannot take more than there is");
        self.written += count;
        if self.written == self.buf.len() {
            self.buf.clear();
            self.buf.shrink_to(KEPT_BYTES);
            self.written = 0;
        } else if self.written > KEPT_BYTES && self.written > self.buf.len() / 2 {
            self.buf.drain(..self.written);
            self.written = 0;
        }
    }

    #[inline]
    fn has_room(&mut self, len: usize) -> bool {
        let fits = self.len() + len <= self.max_bytes;
        self.overflowed |= !fits;
        fits
    }

    fn line(&mut self, marker: u8, text: &[u8]) {
        if !self.has_room(text.len()) {
            return;
        }
        self.buf.reserve(text.len() + HEADER_BYTES);
        self.buf.push(marker);
        self.buf.extend_from_slice(text);
        self.end_line();
    }

    #[inline]
    fn header(&mut self, marker: u8, len: usize) {
        match len {
            0..=9 => self.buf.extend_from_slice(&[marker, b'0' + len as u8, b'\r', b'\n']),
            10..=99 => {
                let (tens, ones) = (len as u8 / 10, len as u8 % 10);
                self.buf.extend_from_slice(&[marker, b'0' + tens, b'0' + ones, b'\r', b'\n']);
            }
            _ => self.line(marker, itoa::Buffer::new().format(len).as_bytes()),
        }
    }

    #[inline]
    fn end_line(&mut self) {
        self.buf.extend_from_slice(b"\r\n");
    }

    fn either(&mut self, resp2: &[u8], resp3: &[u8]) {
        self.buf.extend_from_slice(match self.protocol {
            Protocol::Resp2 => resp2,
            Protocol::Resp3 => resp3,
        });
    }

    /// The marker of an aggregate that RESP2 has only arrays for.
    fn marker(&self, resp3: u8) -> u8 {
        match self.protocol {
            Protocol::Resp2 => b'*',
            Protocol::Resp3 => resp3,
        }
    }
}
