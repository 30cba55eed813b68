#![doc = include_str!("../README.md")]

pub mod engine;

pub mod storage;

pub mod db;

mod sync;

pub mod store;

pub mod shell;

pub mod picture;

pub mod bench;

pub mod dump;

pub mod verify;

pub mod export;

pub mod compaction_sim;

pub mod tour;

pub mod error;

pub mod cli;
