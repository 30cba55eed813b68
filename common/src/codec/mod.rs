//! Codecs: how numbers and records become bytes that can be read back, cut anywhere, or damaged, without a lie.
//!
//! A record on a disk or a wire is met by readers that its writer never knew: one that sees half of it because power
//! failed, one that sees a flipped bit, one that is fed noise on purpose. [`varint`] and [`frame`] are the two shapes
//! on which the chapters' own formats stand (DDIA ch. 4, "Formats for Encoding Data"; ch. 3, "Hash Indexes", on
//! partially written records), and both answer such bytes with a typed error, never with a panic or an allocation of
//! the size that the noise asks for: decoders borrow from their input.

pub mod frame;
pub mod varint;
