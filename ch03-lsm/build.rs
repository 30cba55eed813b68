//! Finds the organs of this chapter that the reader has written: see `common/organs.rs`.

include!("../common/organs.rs");
