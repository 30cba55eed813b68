//! The request decoder: finds where a request's arguments lie in the bytes that have arrived, and copies none of them.
//!
//! A socket hands over a stream, not messages: a read may end in the middle of a request, even between a `\r` and its
//! `\n`, and may hold a hundred requests. So the decoder is a state machine that is called with all that is there, says
//! "more" or "this many bytes are one request", and takes up the next call where it left off. Were it to begin anew each
//! time, a client that sends byte by byte would cost the square of what it sends. That is the smallest instance of what
//! the chapter asks of every part of a data system: to go on working correctly in the face of adversity, from a slow
//! network to a client that lies about lengths (DDIA ch. 1, "Thinking About Data Systems" and "Reliability").
//!
//! ```text
//! * 3 \r \n $ 3 \r \n S E T \r \n $ 1 \r \n k \r \n $ 2 \r \n v 1 \r \n
//! ^count    ^header   ^body       ^header   ^body   ^header   ^body
//! ```
//!
//! A count or length is a decimal number as [`parse_integer`] reads it. A body is as long as its header says, whatever is in
//! it: nothing is searched for there. Like Redis, the decoder steps over the two bytes after a body, and the one after a `\r`,
//! whatever they are. What does not begin with `*` is an inline request: a line up to `\n`, or to the `\r` right before it.
//!
//! **Left out**: Redis looks for the end of a line with `strchr`, and so waits for more when a NUL is in the line; here a NUL
//! is a byte like any other.

use std::mem;

use super::inline::split_line;
use super::integer::{parse_integer, short_length};
use super::{Limits, ProtocolError, Request, Span};

/// How many spans (8 bytes each) an idle decoder keeps room for: a million arguments do not take their 8 MiB for ever.
const KEPT_SPANS: usize = 1024;

/// How many bytes of unquoted words an idle decoder keeps room for.
const KEPT_UNQUOTED_BYTES: usize = 4096;

/// Decodes the requests of one connection, one after another.
///
/// **Invariants**
/// - `pos <= scanned`, and neither is beyond the bytes of the last call: what lies before `pos` is decoded and never read
///   again (but for the first byte, which tells the form), and a search for a line's end begins at `scanned`.
/// - Memory grows with what has arrived, never with what a count or a length claims.
/// - An error changes nothing: the same bytes get the same error again.
#[derive(Debug, Default)]
pub struct RequestDecoder {
    limits: Limits,
    /// Where the count, header or body that comes next begins.
    pos: usize,
    /// Where the search for the end of the line at `pos` goes on.
    scanned: usize,
    /// How many bytes the last call was given.
    seen: usize,
    /// How many arguments are still to come; `None` while the count is not known.
    args_left: Option<usize>,
    /// The length of the body that begins at `pos`; `None` when a header comes next.
    body_len: Option<usize>,
    /// Whether the request is done, so that the next call begins another.
    complete: bool,
    /// Whether other bytes stood where `\r\n` should: another parser could refuse what Redis takes, so that the request
    /// must not be passed on as it came.
    irregular: bool,
    spans: Vec<Span>,
    /// The words of an inline request in which something is quoted; the spans then lie in here.
    unquoted: Vec<u8>,
}

impl RequestDecoder {
    /// A decoder at the start of a connection.
    ///
    /// # Panics
    ///
    /// When `limits` break their invariants.
    pub fn new(limits: Limits) -> Self {
        limits.assert_sound();
        Self { limits, ..Self::default() }
    }

    /// Sets the limits for what is decoded from now on: more is allowed once a client has authenticated.
    ///
    /// # Panics
    ///
    /// When `limits` break their invariants.
    pub fn set_limits(&mut self, limits: Limits) {
        limits.assert_sound();
        self.limits = limits;
    }

    /// Forgets the request it is in: the next call to [`decode`](Self::decode) begins another.
    pub fn reset(&mut self) {
        let (mut spans, mut unquoted) = (mem::take(&mut self.spans), mem::take(&mut self.unquoted));
        spans.clear();
        spans.shrink_to(KEPT_SPANS);
        unquoted.clear();
        unquoted.shrink_to(KEPT_UNQUOTED_BYTES);
        *self = Self { limits: self.limits, spans, unquoted, ..Self::default() };
    }

    /// Decodes the request that begins at `buf[0]`.
    ///
    /// `Ok(Some(n))`: it is complete and `n` bytes long. [`spans`](Self::spans) and [`request`](Self::request) give its
    /// arguments, and the next call begins another request. `Ok(None)`: more is needed. Call again with the same bytes and
    /// more appended; what was decoded is not looked at again, and the search for a line's end resumes where it stopped.
    ///
    /// # Errors
    ///
    /// [`ProtocolError`], on the first byte that shows it. There is no way to find the next request: close the connection.
    pub fn decode(&mut self, buf: &[u8]) -> Result<Option<usize>, ProtocolError> {
        // >>> exercise: begin anew after a complete request, then decode an array or an inline request by its first byte
        if self.complete {
            self.reset();
        }
        self.seen = buf.len();
        match buf.first() {
            None => Ok(None),
            Some(b'*') => self.decode_array(buf),
            Some(_) => self.decode_inline(buf),
        }
        // <<<
    }

    /// Where the arguments of the complete request lie. Empty for `*0`, `*-1` and a blank line: requests that ask nothing.
    ///
    /// They lie in the bytes that were decoded, but for an inline request with quotes: [`request`](Self::request) knows.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The complete request, read from the `buf` that it was decoded from; `None` when it has no arguments.
    pub fn request<'a>(&'a self, buf: &'a [u8]) -> Option<Request<'a>> {
        if self.spans.is_empty() {
            return None;
        }
        let encoded = (!self.irregular).then(|| &buf[..self.pos]);
        Some(Request::new(if self.unquoted.is_empty() { buf } else { &self.unquoted }, &self.spans, encoded))
    }

    /// After `Ok(None)`: how many more bytes are needed at the least, so that the reader of the socket can make room for
    /// a large body at once. A claim of the client's, within the limits.
    pub fn missing_bytes(&self) -> usize {
        // >>> exercise: what is missing of the body that has begun, with its end of line; else a byte, or none when complete
        match self.body_len {
            Some(len) => self.pos + len + 2 - self.seen,
            None => usize::from(!self.complete),
        }
        // <<<
    }

    /// Decodes the array at `buf[0]`, from where the last call stopped.
    fn decode_array(&mut self, buf: &[u8]) -> Result<Option<usize>, ProtocolError> {
        // >>> exercise: the count, then a header and a body for each argument; return at once where bytes are missing
        let mut args_left = match self.args_left {
            Some(left) => left,
            None => match self.decode_count(buf)? {
                Some(count) => count,
                None => return Ok(None),
            },
        };
        while args_left > 0 {
            self.args_left = Some(args_left);
            let len = match self.body_len {
                Some(len) => len,
                None => match self.decode_header(buf)? {
                    Some(len) => len,
                    None => return Ok(None),
                },
            };
            if buf.len() - self.pos < len + 2 {
                self.body_len = Some(len);
                return Ok(None);
            }
            self.body_len = None;
            self.spans.push(Span { start: self.pos as u32, len: len as u32 });
            self.advance(buf, self.pos + len);
            args_left -= 1;
        }
        self.complete = true;
        Ok(Some(self.pos))
        // <<<
    }

    /// The count of the array's arguments, and `pos` is after its line; `None` when the line is not all there.
    fn decode_count(&mut self, buf: &[u8]) -> Result<Option<usize>, ProtocolError> {
        // >>> exercise: find the line, parse what follows the '*', call check_count; a negative count means no arguments
        let Some(end) = self.find_length_end(buf, ProtocolError::TooBigMultibulkCount)? else { return Ok(None) };
        let count = parse_integer(&buf[1..end]).ok_or(ProtocolError::InvalidMultibulkLength)?;
        let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
        self.limits.check_count(count)?;
        self.advance(buf, end);
        Ok(Some(count))
        // <<<
    }

    /// The length of the next body, and `pos` is where it begins; `None` when its header's line is not all there.
    fn decode_header(&mut self, buf: &[u8]) -> Result<Option<usize>, ProtocolError> {
        // >>> exercise: find the line, expect a '$', parse what follows it, call check_bulk before believing it
        let (len, end) = match short_length(&buf[self.pos..]) {
            Some((len, line_len)) => (len, self.pos + line_len),
            None => {
                let Some(end) = self.find_length_end(buf, ProtocolError::TooBigBulkCount)? else { return Ok(None) };
                if buf[self.pos] != b'$' {
                    return Err(ProtocolError::ExpectedBulk(buf[self.pos]));
                }
                let len = parse_integer(&buf[self.pos + 1..end]).and_then(|len| usize::try_from(len).ok());
                (len.ok_or(ProtocolError::InvalidBulkLength)?, end)
            }
        };
        self.limits.check_bulk(len, end + 2)?;
        self.advance(buf, end);
        Ok(Some(len))
        // <<<
    }

    /// Decodes the inline request at `buf[0]`, from where the last call stopped.
    fn decode_inline(&mut self, buf: &[u8]) -> Result<Option<usize>, ProtocolError> {
        // >>> exercise: find the end of the line, take off its '\r', split it into words with split_line
        let Some(end) = self.find_end(buf, b'\n', ProtocolError::TooBigInline)? else { return Ok(None) };
        let line = buf[..end].strip_suffix(b"\r").unwrap_or(&buf[..end]);
        self.spans.clear();
        self.unquoted.clear();
        split_line(line, &mut self.spans, &mut self.unquoted)?;
        self.pos = end + 1;
        self.irregular = true;
        self.complete = true;
        Ok(Some(self.pos))
        // <<<
    }

    /// Where the `\r` of the line at `pos` is, once the byte after it has arrived too.
    fn find_length_end(&mut self, buf: &[u8], too_big: ProtocolError) -> Result<Option<usize>, ProtocolError> {
        // >>> exercise: the first '\r', but not before there is a byte after it
        Ok(self.find_end(buf, b'\r', too_big)?.filter(|end| end + 1 < buf.len()))
        // <<<
    }

    /// Where the first `end` in the line at `pos` is; `too_big` when the line is longer than a line may be.
    fn find_end(&mut self, buf: &[u8], end: u8, too_big: ProtocolError) -> Result<Option<usize>, ProtocolError> {
        // >>> exercise: search from `scanned` and remember how far you came, so that no byte is searched twice
        let found = buf[self.scanned..].iter().position(|&byte| byte == end);
        let line_end = found.map_or(buf.len(), |offset| self.scanned + offset);
        if line_end - self.pos > self.limits.max_inline_bytes {
            return Err(too_big);
        }
        self.scanned = line_end;
        Ok(found.map(|_| line_end))
        // <<<
    }

    /// Steps over the two bytes at `end`, which should be `\r\n`: what comes next begins after them.
    fn advance(&mut self, buf: &[u8], end: usize) {
        self.irregular |= buf[end..end + 2] != *b"\r\n";
        (self.pos, self.scanned) = (end + 2, end + 2);
    }
}
