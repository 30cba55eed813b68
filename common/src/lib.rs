//! What two chapters need, once: codecs, RESP, networking, disks, load generation, narration, the admin endpoint, grading.
//!
//! See `ARCHITECTURE.md` beside this crate for the map and for what is deliberately absent.

pub mod admin;
pub mod book;
pub mod check;
pub mod cli;
pub mod codec;
pub mod disk;
pub mod engine;
pub mod grade;
pub mod judge;
pub mod load;
pub mod net;
pub mod resp;
pub mod sim;
pub mod tour;
