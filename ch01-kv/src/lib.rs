#![doc = include_str!("../README.md")]

pub mod engine;

pub mod storage;

pub mod values;

pub mod protocol;

pub mod server;

pub mod client;

pub mod tour;

pub mod bench;

pub mod shell;

pub mod error;

pub mod cli;
