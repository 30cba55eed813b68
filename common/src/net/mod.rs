//! Networking that every server shares: a transport to accept from, and the loop that accepts within limits.
//!
//! What a server must survive is not load but its clients: too many of them, idle ones, ones that send without end and
//! ones that never read (DDIA ch. 1, "Human Errors" and "Describing Load": a system is described by the parameters that
//! hurt it). Each of these has a named limit in [`Limits`], and reaching one is an answer, never an accident.
//!
//! Everything is generic over [`Listener`], so that a simulated transport can stand where TCP does in tests, without a
//! feature that would change the binaries.

mod accept;
mod transport;

pub use accept::{Limits, Permit, Refusal, serve};
pub use transport::{Listener, Peer, TcpAcceptor};
