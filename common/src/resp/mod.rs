//! RESP, the protocol of Redis: requests as a server reads them, replies as it writes them, and the client's side of both.
//!
//! One protocol serves three chapters (ch. 1, ch. 5, ch. 6), because a reader can then drive each of them with the clients
//! that they already have. The specification is <https://redis.io/docs/latest/develop/reference/protocol-spec/>; where it
//! is silent, Redis 7.0 is the measure.
//!
//! ```text
//! request    *3\r\n $3\r\nSET\r\n $5\r\nhello\r\n $5\r\nworld\r\n        an array of bulk strings (written without the blanks)
//!            SET hello "world"\r\n                                       or inline: a line, as typed into telnet
//!
//! reply      +OK\r\n                simple string         _\r\n          null              (RESP3 from here on)
//!            -ERR what\r\n          error                 ,3.5\r\n       double
//!            :42\r\n                integer               #t\r\n         boolean
//!            $5\r\nworld\r\n        bulk string           (123\r\n       big number
//!            *2\r\n ...             array of 2            =8\r\ntxt:text\r\n   verbatim string
//!            $-1\r\n  *-1\r\n       null, null array      %2\r\n ...     map of 2 pairs
//!                                                         ~2\r\n ...     set of 2
//!                                                         >2\r\n ...     push of 2: no answer, but news
//! ```
//!
//! What a length claims is never believed: it is checked against [`Limits`] before anything is done about it, and memory is
//! taken for what has arrived alone.

mod client;
#[cfg_attr(mine_resp, path = "../../mine/resp.rs")]
pub mod decode;
mod double;
mod inline;
mod integer;
mod limits;
mod reply;
mod request;
pub mod server;
pub mod table;
mod value;
mod value_decoder;

pub use client::{Client, ClientError};
pub use decode::RequestDecoder;
pub use double::{DoubleText, format_double};
pub use inline::split_words;
pub use integer::parse_integer;
pub use limits::{Limits, ProtocolError, UNAUTHENTICATED_MAX_ARGS, UNAUTHENTICATED_MAX_BULK_BYTES};
pub use reply::{Protocol, Replies};
pub use request::{OwnedRequest, Request, Span, encode_args};
pub use value::Value;
pub use value_decoder::{MAX_VALUE_DEPTH, ValueDecoder, ValueError, decode_value};
