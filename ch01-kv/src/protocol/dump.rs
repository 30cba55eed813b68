//! The state as commands: what a rewritten log begins with.

use std::borrow::Cow;

use common::resp::{encode_args, format_double};

use crate::engine::snapshot::Sink;
use crate::engine::types::UnixMillis;
use crate::values::ValueRef;

/// How many elements go into one command, as in Redis: a command of a million arguments would have to be whole in memory.
const ELEMENTS: usize = 64;

/// Gathers the commands that make a database's entries again.
#[derive(Debug)]
pub struct Dump {
    db: usize,
    commands: Vec<u8>,
}

impl Dump {
    /// For the database of this number.
    pub fn new(db: usize) -> Self {
        Self { db, commands: Vec::new() }
    }

    fn in_chunks<'a>(&mut self, name: &'static str, key: &'a [u8], args: impl Iterator<Item = Vec<Cow<'a, [u8]>>>) {
        let mut args = args.peekable();
        while args.peek().is_some() {
            let chunk: Vec<_> = args.by_ref().take(ELEMENTS).flatten().collect();
            let mut command: Vec<&[u8]> = vec![name.as_bytes(), key];
            command.extend(chunk.iter().map(|arg| &**arg));
            encode_args(&mut self.commands, command);
        }
    }
}

impl Sink for Dump {
    fn save(&mut self, key: &[u8], value: ValueRef<'_>, deadline: Option<UnixMillis>) {
        if self.commands.is_empty() {
            encode_args(&mut self.commands, [&b"SELECT"[..], self.db.to_string().as_bytes()]);
        }
        let deadline = deadline.map(|UnixMillis(at)| at.to_string());
        match value {
            ValueRef::Str(bytes) => {
                let mut command: Vec<&[u8]> = vec![b"SET", key, bytes];
                if let Some(deadline) = &deadline {
                    command.extend([&b"PXAT"[..], deadline.as_bytes()]);
                }
                encode_args(&mut self.commands, command);
                return;
            }
            ValueRef::List(list) => self.in_chunks("RPUSH", key, list.iter().map(|element| vec![element.into()])),
            ValueRef::Set(set) => self.in_chunks("SADD", key, set.iter().map(|member| vec![member.into()])),
            ValueRef::Hash(hash) => {
                self.in_chunks("HSET", key, hash.iter().map(|(field, value)| vec![field.into(), value.into()]));
            }
            ValueRef::ZSet(zset) => {
                let pairs = zset.iter_from(0).map(|(member, score)| {
                    vec![format_double(score).as_str().as_bytes().to_vec().into(), member.into()]
                });
                self.in_chunks("ZADD", key, pairs);
            }
        }
        if let Some(deadline) = &deadline {
            encode_args(&mut self.commands, [&b"PEXPIREAT"[..], key, deadline.as_bytes()]);
        }
    }

    fn take_saved(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.commands)
    }
}
