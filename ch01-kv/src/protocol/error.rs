//! What a command answers when it cannot do what was asked: Redis 7's own words, to the letter, for clients match on them.

use std::borrow::Cow;

use crate::values::WrongType;

/// A command's error. Its text is the reply, the leading code word included.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The key holds another kind of value.
    #[error(transparent)]
    WrongType(#[from] WrongType),
    /// The arguments do not fit together.
    #[error("ERR syntax error")]
    Syntax,
    /// An argument is not a 64-bit integer.
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    /// An argument is not a finite or infinite number.
    #[error("ERR value is not a valid float")]
    NotAFloat,
    /// A range of scores is none.
    #[error("ERR min or max is not a float")]
    NotAScoreRange,
    /// A range of members is none.
    #[error("ERR min or max not valid string range item")]
    NotALexRange,
    /// The key is not there, and the command needs one.
    #[error("ERR no such key")]
    NoSuchKey,
    /// The index is outside the list.
    #[error("ERR index out of range")]
    IndexOutOfRange,
    /// A counter would leave the range of 64 bits.
    #[error("ERR increment or decrement would overflow")]
    Overflow,
    /// The string would be longer than is allowed.
    #[error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    StringTooLong,
    /// A count, a timeout, a cursor or a deadline that is none, and whatever one command alone says.
    #[error("{0}")]
    Other(Cow<'static, str>),
    /// The same, in words that quote bytes of the client's, which need not be text.
    #[error("{}", String::from_utf8_lossy(.0))]
    Quoting(Box<[u8]>),
}

impl CommandError {
    /// The error of a key that would be moved or copied to where it is.
    pub const SAME_OBJECTS: Self = Self::Other(Cow::Borrowed("ERR source and destination objects are the same"));

    /// An error of this text.
    pub fn text(text: &'static str) -> Self {
        Self::Other(Cow::Borrowed(text))
    }

    /// An error that quotes what a client sent between two parts of its text. Ends of lines at its end are cut off.
    pub fn quoting(before: &str, given: &[u8], after: &str) -> Self {
        let mut text = [before.as_bytes(), given, after.as_bytes()].concat();
        while let Some(b'\r' | b'\n') = text.last() {
            text.pop();
        }
        Self::Quoting(text.into())
    }

    /// The reply's bytes.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Quoting(bytes) => Cow::Borrowed(bytes),
            other => Cow::Owned(other.to_string().into_bytes()),
        }
    }

    /// The error of a command whose number of arguments does not fit. `name` as in the table: in lower case, a subcommand's
    /// with its container's.
    pub fn arity(name: &str) -> Self {
        Self::Other(format!("ERR wrong number of arguments for '{name}' command").into())
    }

    /// The error of an expiry that is not positive or too far away.
    pub fn invalid_expire(name: &str) -> Self {
        Self::Other(format!("ERR invalid expire time in '{name}' command").into())
    }

    /// The error of a container's unknown subcommand.
    pub fn unknown_subcommand(container: &str, given: &[u8]) -> Self {
        let given = &given[..given.len().min(128)];
        Self::quoting("ERR unknown subcommand '", given, &format!("'. Try {container} HELP."))
    }
}
