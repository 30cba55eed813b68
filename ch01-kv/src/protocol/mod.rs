//! What speaks: sessions, commands and their answers, in the words of Redis 7.

pub mod args;
pub mod commands;
pub mod config;
pub mod context;
pub mod dump;
pub mod error;
pub mod glob;
pub mod hexadecimal;
pub mod info;
pub mod long_double;
pub mod pubsub;
pub mod service;
pub mod session;
pub mod slowlog;
pub mod stats;
pub mod waiting;
