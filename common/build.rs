//! Finds the organs of this crate that the reader has written: see `organs.rs`.

include!("organs.rs");
