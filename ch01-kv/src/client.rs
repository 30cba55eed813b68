//! The typed client: what the tour, the bench and the tests drive a server with.
//!
//! It is thin: names and types over [`common::resp::Client`], for the commands that this chapter's workloads are made of.
//! Everything else goes through [`Client::call`]. A pipeline is a number of requests that are [queued](Client::queue) and then
//! [run](Client::run): one trip over the network for all of them, which is what makes fan-out on write affordable (DDIA
//! ch. 1, "Describing Load").

use std::net::SocketAddr;

use common::resp::{self, Value};

use crate::error::Error;

/// How many requests a pipeline sends before it reads their replies: both sides would wait for the other to read if the
/// replies to a larger one filled the sockets' buffers.
const MAX_IN_FLIGHT: usize = 1_000;

/// A connection to a server.
///
/// **Invariant**: between two calls no reply is outstanding, except those of [`post`](Self::post).
#[derive(Debug)]
pub struct Client {
    connection: resp::Client,
    queued: usize,
    replies: Vec<Value>,
}

impl Client {
    /// Connects to the server at `address`.
    ///
    /// # Errors
    ///
    /// It cannot be reached.
    pub async fn connect(address: SocketAddr) -> Result<Self, Error> {
        Ok(Self { connection: resp::Client::connect(address).await?, queued: 0, replies: Vec::new() })
    }

    /// The connection itself, for what has no name here. Leave no reply outstanding.
    pub fn connection(&mut self) -> &mut resp::Client {
        &mut self.connection
    }

    /// Sends a request and waits for its reply; an error that the server answers is an error here.
    ///
    /// # Errors
    ///
    /// The connection has failed, or the server refuses.
    pub async fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<Value, Error> {
        Ok(self.connection.try_call(args).await?)
    }

    /// Sends a request and does not wait for its reply, which the next [`call`](Self::call) would take for its own: take it with
    /// [`posted`](Self::posted) first.
    ///
    /// # Errors
    ///
    /// The connection has failed.
    pub async fn post<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<(), Error> {
        self.connection.send(args);
        Ok(self.connection.flush().await?)
    }

    /// The reply to what was [posted](Self::post).
    ///
    /// # Errors
    ///
    /// The connection has failed.
    pub async fn posted(&mut self) -> Result<Value, Error> {
        Ok(self.connection.receive().await?)
    }

    /// Adds a request to the pipeline. A long pipeline is sent in parts.
    ///
    /// # Errors
    ///
    /// The connection has failed.
    pub async fn queue<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<(), Error> {
        self.connection.send(args);
        self.queued += 1;
        if self.queued >= MAX_IN_FLIGHT { self.drain().await } else { Ok(()) }
    }

    /// Sends what is left of the pipeline and gives the replies to all of it, in order. An error that the server answers is a
    /// value here.
    ///
    /// # Errors
    ///
    /// The connection has failed.
    pub async fn run(&mut self) -> Result<Vec<Value>, Error> {
        self.drain().await?;
        Ok(std::mem::take(&mut self.replies))
    }

    /// As [`run`](Self::run), where an error that the server answers is an error, and the values are not wanted.
    ///
    /// # Errors
    ///
    /// The connection has failed, or the server refused one of the requests.
    pub async fn run_all(&mut self) -> Result<(), Error> {
        match self.run().await?.into_iter().find(Value::is_error) {
            Some(error) => Err(Error::Unexpected(error.to_string())),
            None => Ok(()),
        }
    }

    /// `PING`.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call); so have all that follow.
    pub async fn ping(&mut self) -> Result<(), Error> {
        self.ok(&["PING"], "PONG").await
    }

    /// `AUTH`.
    pub async fn auth(&mut self, password: &str) -> Result<(), Error> {
        Ok(self.connection.auth(password).await?)
    }

    /// `SELECT`: the database that the following requests are about.
    pub async fn select(&mut self, database: usize) -> Result<(), Error> {
        self.ok(&["SELECT", &database.to_string()], "OK").await
    }

    /// `GET`: the value, if there is one.
    pub async fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.call(&["GET", key]).await? {
            Value::Null => Ok(None),
            Value::Bulk(value) => Ok(Some(value)),
            other => Err(unexpected(&other)),
        }
    }

    /// `SET`.
    pub async fn set(&mut self, key: &str, value: impl AsRef<[u8]>) -> Result<(), Error> {
        self.ok(&[b"SET", key.as_bytes(), value.as_ref()], "OK").await
    }

    /// `INCR`: the counter's new value.
    pub async fn incr(&mut self, key: &str) -> Result<i64, Error> {
        self.integer(&["INCR", key]).await
    }

    /// `DEL`: whether there was such a key.
    pub async fn del(&mut self, key: &str) -> Result<bool, Error> {
        Ok(self.integer(&["DEL", key]).await? > 0)
    }

    /// `DBSIZE`: how many keys the database has.
    pub async fn dbsize(&mut self) -> Result<u64, Error> {
        Ok(u64::try_from(self.integer(&["DBSIZE"]).await?).unwrap_or(0))
    }

    /// `FLUSHALL`.
    pub async fn flushall(&mut self) -> Result<(), Error> {
        self.ok(&["FLUSHALL"], "OK").await
    }

    /// `LPUSH` of one value: the list's new length.
    pub async fn lpush(&mut self, key: &str, value: impl AsRef<[u8]>) -> Result<i64, Error> {
        self.integer(&[b"LPUSH", key.as_bytes(), value.as_ref()]).await
    }

    /// `LTRIM`: keeps the list's first `len` values.
    pub async fn ltrim(&mut self, key: &str, len: usize) -> Result<(), Error> {
        self.ok(&["LTRIM", key, "0", &last(len).to_string()], "OK").await
    }

    /// `LRANGE`: the list's first `len` values.
    pub async fn lrange(&mut self, key: &str, len: usize) -> Result<Vec<Vec<u8>>, Error> {
        let reply = self.call(&["LRANGE", key, "0", &last(len).to_string()]).await?;
        strings(&reply)
    }

    /// `INFO` of a section, or of all of them: the fields by name, with their values.
    pub async fn info(&mut self, section: &str) -> Result<Vec<(String, String)>, Error> {
        let reply = self.call(&["INFO", section]).await?;
        let text = reply.as_str().ok_or_else(|| unexpected(&reply))?;
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        Ok(fields.map(|(field, value)| (field.to_owned(), value.to_owned())).collect())
    }

    /// A number out of `INFO`.
    pub async fn info_number(&mut self, section: &str, field: &str) -> Result<u64, Error> {
        let fields = self.info(section).await?;
        let value = fields.iter().find(|(name, _)| name == field).and_then(|(_, value)| value.parse().ok());
        value.ok_or_else(|| Error::Unexpected(format!("INFO without a number called {field}")))
    }

    /// `CONFIG SET`.
    pub async fn config_set(&mut self, parameter: &str, value: &str) -> Result<(), Error> {
        self.ok(&["CONFIG", "SET", parameter, value], "OK").await
    }

    /// `SHUTDOWN`: returns when the server has closed the connection.
    ///
    /// # Errors
    ///
    /// The connection has failed, or the server refuses.
    pub async fn shutdown(mut self) -> Result<(), Error> {
        match self.connection.try_call(&["SHUTDOWN"]).await {
            Err(resp::ClientError::Closed) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(reply) => Err(unexpected(&reply)),
        }
    }

    async fn ok<A: AsRef<[u8]>>(&mut self, args: &[A], wanted: &str) -> Result<(), Error> {
        match self.call(args).await? {
            Value::Simple(text) if text == wanted => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    async fn integer<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<i64, Error> {
        match self.call(args).await? {
            Value::Integer(value) => Ok(value),
            other => Err(unexpected(&other)),
        }
    }

    async fn drain(&mut self) -> Result<(), Error> {
        self.connection.flush().await?;
        while self.queued > 0 {
            self.replies.push(self.connection.receive().await?);
            self.queued -= 1;
        }
        Ok(())
    }
}

/// The strings of an array.
///
/// # Errors
///
/// The reply is not an array of strings.
pub fn strings(reply: &Value) -> Result<Vec<Vec<u8>>, Error> {
    let items = reply.as_array().ok_or_else(|| unexpected(reply))?;
    items.iter().map(|item| item.as_bytes().map(<[u8]>::to_vec).ok_or_else(|| unexpected(item))).collect()
}

/// The index of the last of a list's first `len` values; before the first one when there is to be none.
fn last(len: usize) -> i64 {
    match len {
        // A range that ends before it begins is empty.
        0 => i64::MIN,
        len => i64::try_from(len - 1).unwrap_or(i64::MAX),
    }
}

fn unexpected(reply: &Value) -> Error {
    Error::Unexpected(format!("{reply:?}"))
}
