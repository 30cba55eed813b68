//! A server that Redis clients talk to: a few commands, byte by byte, on the wire and in the log.

use common::resp::{Limits, ValueDecoder, encode_args};
use common::tour::Narrator;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::stage::Stage;
use crate::error::Error;
use crate::storage::LOG_NAME;

/// What is sent: one of each kind of reply.
const REQUESTS: &[&[&str]] = &[
    &["SET", "greeting", "hello"],
    &["GET", "greeting"],
    &["INCR", "visits"],
    &["GET", "nothing"],
    &["LPUSH", "posts:7", "first"],
    &["INCR", "greeting"],
];

/// How many bytes of a reply are read at a time.
const READ_BYTES: usize = 4096;

pub(super) fn play(narrator: &mut Narrator, stage: &mut Stage) -> Result<(), Error> {
    narrator.says(
        "A server starts on a free port of this machine, as a thread of this program, with its log in a temporary \
         directory. It speaks RESP, the protocol of Redis, so redis-cli and every Redis library can talk to it. Here are some \
         requests and their replies, as bytes on the wire.",
    );
    let server = stage.serve("server", |_| {})?;
    narrator.measured("listening on", &server.address().to_string());
    narrator.gap();
    let dialogue = stage.runtime.block_on(async {
        let mut stream = TcpStream::connect(server.address()).await.map_err(Error::system("connect"))?;
        let mut dialogue = String::new();
        for request in REQUESTS {
            let (sent, received) = exchange(&mut stream, request).await?;
            let (sent, received) = (sent.escape_ascii(), received.escape_ascii());
            dialogue.push_str(&format!("> {:<24} {sent}\n< {:<24} {received}\n", request.join(" "), ""));
        }
        Ok::<_, Error>(dialogue)
    })?;
    narrator.show(&dialogue);
    narrator.book(
        "ch. 1, \"Thinking About Data Systems\"",
        "A store, a cache, a queue: the tools no longer fit the old names. This one is a cache with a log, and whether it \
         is a database depends on what it promises about that log. The promise is what the chapter calls reliability.",
    );
    narrator.says(
        "The log holds the commands that changed something, in the same bytes. A line that begins with # is a comment to Redis's \
         own tools; here it closes a group of commands with its length, checksum and number, and says up to which \
         group a sync has been.",
    );
    let path = stage.dir("server").join(LOG_NAME);
    let log = std::fs::read(&path).map_err(Error::system("read the log"))?;
    narrator.show(&by_command(&log));
    narrator.measured("length of the log", &format!("{} bytes", log.len()));
    narrator.gap();
    narrator.look("GET and the failed INCR are not in it: a replay needs changes alone. The format is drawn in src/storage/format.rs.");
    server.stop()
}

/// Sends one request and waits for its reply; the bytes of both.
async fn exchange(stream: &mut TcpStream, request: &[&str]) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let mut sent = Vec::new();
    encode_args(&mut sent, request.iter().map(|arg| arg.as_bytes()));
    stream.write_all(&sent).await.map_err(Error::system("send a request"))?;
    let mut decoder = ValueDecoder::new(Limits::default());
    let mut received = Vec::with_capacity(READ_BYTES);
    loop {
        let decoded = decoder.decode(&received).map_err(common::resp::ClientError::from)?;
        if decoded.is_some() {
            return Ok((sent, received));
        }
        if stream.read_buf(&mut received).await.map_err(Error::system("receive a reply"))? == 0 {
            return Err(common::resp::ClientError::Closed.into());
        }
    }
}

/// The log's bytes, a command or an annotation a line.
fn by_command(log: &[u8]) -> String {
    let mut text = String::new();
    for line in log.split_inclusive(|byte| *byte == b'\n') {
        if matches!(line.first(), Some(b'*' | b'#')) && !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line.escape_ascii().to_string());
    }
    text
}
