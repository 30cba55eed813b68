//! What a peer may ask for, and the words with which more is refused.

/// How many arguments a request may have before the client has authenticated: enough for `AUTH` and `HELLO`, as in Redis.
pub const UNAUTHENTICATED_MAX_ARGS: usize = 10;

/// How long, in bytes, an argument may be before the client has authenticated, as in Redis.
pub const UNAUTHENTICATED_MAX_BULK_BYTES: usize = 16 * 1024;

/// How much one request or reply may claim. Checked before memory is taken.
///
/// **Invariants**: `max_inline_bytes <= max_request_bytes`, and `max_request_bytes` is below 4 GiB, so that a
/// [`Span`](super::Span) can name every byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest line in bytes without its end: of an inline request, or one that holds a length. 64 KiB as in Redis.
    pub max_inline_bytes: usize,
    /// The most arguments in a request. 2,147,483,647 as in Redis 7, which is more than fits into a request: what a count
    /// claims takes no memory, and an argument that has arrived takes eight bytes beside its own six at least.
    pub max_args: usize,
    /// The longest argument or bulk string in bytes. 512 MiB as Redis' `proto-max-bulk-len`.
    pub max_bulk_bytes: usize,
    /// The longest request or reply in bytes, all of it. 1 GiB as Redis' `client-query-buffer-limit`.
    pub max_request_bytes: usize,
    /// Whether the client has said who it is. Until then [`UNAUTHENTICATED_MAX_ARGS`] and
    /// [`UNAUTHENTICATED_MAX_BULK_BYTES`] hold too, and are refused in words of their own.
    pub authenticated: bool,
}

/// Why what a client sent is no request. The stream has lost its framing: the connection can only be closed.
///
/// Its `Display` is what Redis 7.0.15 answers after `-ERR `, with each character standing for one byte (Latin-1), since a
/// byte that the client sent is quoted in it: [`Replies::protocol_error`](super::Replies::protocol_error) writes it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The count after `*` is no number, or above [`Limits::max_args`].
    #[error("Protocol error: invalid multibulk length")]
    InvalidMultibulkLength,
    /// The length after `$` is no number, negative, or above [`Limits::max_bulk_bytes`].
    #[error("Protocol error: invalid bulk length")]
    InvalidBulkLength,
    /// An argument begins with this byte instead of `$`.
    #[error("Protocol error: expected '$', got '{}'", char::from(*.0))]
    ExpectedBulk(u8),
    /// A quote in an inline request is not closed, or closed in the middle of a word.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// An inline request is longer than [`Limits::max_inline_bytes`].
    #[error("Protocol error: too big inline request")]
    TooBigInline,
    /// The line after `*` is longer than [`Limits::max_inline_bytes`].
    #[error("Protocol error: too big mbulk count string")]
    TooBigMultibulkCount,
    /// The line after `$` is longer than [`Limits::max_inline_bytes`].
    #[error("Protocol error: too big bulk count string")]
    TooBigBulkCount,
    /// More than [`UNAUTHENTICATED_MAX_ARGS`] arguments before the client has authenticated.
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedMultibulkLength,
    /// An argument above [`UNAUTHENTICATED_MAX_BULK_BYTES`] before the client has authenticated.
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulkLength,
    /// The request is longer than [`Limits::max_request_bytes`]. Redis closes without a word; here there is one.
    #[error("Protocol error: too big request")]
    TooBigRequest,
}

impl Limits {
    /// The limits of a client that has yet to authenticate.
    pub fn unauthenticated() -> Self {
        Self { authenticated: false, ..Self::default() }
    }

    /// Refuses a request that claims `count` arguments, if that is too many.
    pub fn check_count(&self, count: usize) -> Result<(), ProtocolError> {
        if count > self.max_args {
            return Err(ProtocolError::InvalidMultibulkLength);
        }
        if count > UNAUTHENTICATED_MAX_ARGS && !self.authenticated {
            return Err(ProtocolError::UnauthenticatedMultibulkLength);
        }
        Ok(())
    }

    /// Refuses an argument that claims `len` bytes and would begin at the `start`-th byte of its request, if it is too long
    /// by itself or makes the request too long.
    pub fn check_bulk(&self, len: usize, start: usize) -> Result<(), ProtocolError> {
        if len > self.max_bulk_bytes {
            return Err(ProtocolError::InvalidBulkLength);
        }
        if len > UNAUTHENTICATED_MAX_BULK_BYTES && !self.authenticated {
            return Err(ProtocolError::UnauthenticatedBulkLength);
        }
        if len.saturating_add(start + 2) > self.max_request_bytes {
            return Err(ProtocolError::TooBigRequest);
        }
        Ok(())
    }

    /// Asserts the invariants: the limits are the server's own, never the client's.
    pub(super) fn assert_sound(&self) {
        assert!(u32::try_from(self.max_request_bytes).is_ok(), "max_request_bytes must be below 4 GiB");
        assert!(self.max_inline_bytes <= self.max_request_bytes, "a line may not be longer than a request");
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_inline_bytes: 64 * 1024,
            max_args: i32::MAX as usize,
            max_bulk_bytes: 512 * 1024 * 1024,
            max_request_bytes: 1024 * 1024 * 1024,
            authenticated: true,
        }
    }
}
