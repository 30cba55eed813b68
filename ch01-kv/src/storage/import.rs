//! Moving in: takes over a log that a Redis wrote as plain commands, so that a user's data can come as well as leave.
//!
//! A Redis log carries no checksums. Its commands are read, applied and written into a log of our own at once, and from then
//! on they are covered. Transactions stay in one group. The file itself stays, as
//! `appendonly.aof.redis-<salt>`; Redis loads the new one as well.
//!
//! **Left out**: the RDB preamble and the manifest of Redis 7: the errors say how to have Redis write neither.

use std::path::Path;

use common::disk::{Disk, Open};
use common::resp::{Request, RequestDecoder};

use super::error::StorageError;
use super::format::{self, HEADER_BYTES, command_limits};
use super::rewrite::Rewrite;

/// The directory in which Redis 7 keeps the parts of its log.
const REDIS_PARTS_NAME: &str = "appendonlydir";

/// How much is read at a time, and how much makes a group, in bytes.
const CHUNK_BYTES: usize = 256 << 10;

/// The longest annotation that Redis itself reads, in bytes.
const REDIS_ANNOTATION_MAX_BYTES: usize = 1024;

/// What a directory holds, by the first bytes of its log.
pub(super) enum Found {
    /// A log of this server.
    Ours {
        /// From its header.
        salt: u64,
    },
    /// A log of a Redis, or an empty file.
    Redis,
    /// None.
    Nothing,
}

/// Tells whose log is in `dir`, where it is called `path`.
///
/// # Errors
///
/// When it is nobody's. A header of ours that is damaged must not pass for a Redis's annotation, or everything in the file
/// would be read unchecked: so an annotation at the beginning is taken for a Redis's only if it is the one that Redis writes.
/// Also when it is that of a Redis, in a form that cannot be read.
pub(super) fn recognise(disk: &dyn Disk, dir: &Path, path: &Path) -> Result<Found, StorageError> {
    let exists = |path: &Path| disk.exists(path).map_err(StorageError::io("look for", path));
    if !exists(path)? {
        let parts = dir.join(REDIS_PARTS_NAME);
        return match exists(&parts)? {
            true => Err(StorageError::RedisParts { path: parts, log: path.to_owned() }),
            false => Ok(Found::Nothing),
        };
    }
    let file = disk.open(path, Open::Existing).map_err(StorageError::io("open", path))?;
    let mut bytes = [0; HEADER_BYTES];
    let read = file.read_at(&mut bytes, 0).map_err(StorageError::io("read", path))?;
    match &bytes[..read] {
        [] | [b'*', ..] | [b'#', b'T', b'S', b':', ..] => Ok(Found::Redis),
        [b'R', b'E', b'D', b'I', b'S', ..] => Err(StorageError::RdbPreamble { path: path.to_owned() }),
        bytes => match format::parse_header(bytes) {
            Some(salt) => Ok(Found::Ours { salt }),
            None => Err(StorageError::Header { path: path.to_owned() }),
        },
    }
}

/// Reads the commands of the file at `path`, applies each, and adds them to `rewrite`. How many there were.
pub(super) fn import(
    disk: &dyn Disk,
    path: &Path,
    rewrite: &mut Rewrite,
    apply: &mut dyn FnMut(&Request<'_>) -> Result<(), String>,
) -> Result<u64, StorageError> {
    let file = disk.open(path, Open::ReadOnly).map_err(StorageError::io("open", path))?;
    let refused = |offset: u64, message: String| StorageError::Command { path: path.to_owned(), offset, message };
    let mut decoder = RequestDecoder::new(command_limits());
    let (mut buf, mut base, mut at) = (Vec::new(), 0_u64, 0);
    let (mut group, mut in_transaction, mut commands) = (Vec::new(), false, 0);
    loop {
        let offset = base + at as u64;
        let rest: &[u8] = &buf[at..];
        let decoded = match rest.first() {
            None => None,
            Some(b'#') => annotation_len(rest).map_err(|message| refused(offset, message))?,
            Some(b'*') => match decoder.decode(rest).map_err(|error| refused(offset, error.to_string()))? {
                None => None,
                Some(len) => {
                    if let Some(request) = decoder.request(rest) {
                        apply(&request).map_err(|message| refused(offset, message))?;
                        in_transaction = (in_transaction || request.is(0, "MULTI")) && !request.is(0, "EXEC");
                        request.encode_into(&mut group);
                        commands += 1;
                    }
                    Some(len)
                }
            },
            Some(_) => return Err(refused(offset, "there is no command; try redis-check-aof on the file".to_owned())),
        };
        if let Some(len) = decoded {
            at += len;
            if group.len() >= CHUNK_BYTES && !in_transaction {
                rewrite.add_group(&group)?;
                group.clear();
            }
            continue;
        }
        buf.drain(..at);
        base += at as u64;
        at = 0;
        let kept = buf.len();
        buf.resize(kept + CHUNK_BYTES, 0);
        let read = file.read_at(&mut buf[kept..], base + kept as u64).map_err(StorageError::io("read", path))?;
        buf.truncate(kept + read);
        if read == 0 {
            break;
        }
    }
    if !buf.is_empty() || in_transaction {
        let message = "the file ends in the middle of a command or transaction; cut it with redis-check-aof --fix";
        return Err(refused(base, message.to_owned()));
    }
    if !group.is_empty() {
        rewrite.add_group(&group)?;
    }
    Ok(commands)
}

/// The length of the annotation that `bytes` begin with, if it is all there.
fn annotation_len(bytes: &[u8]) -> Result<Option<usize>, String> {
    if bytes.starts_with(format::MAGIC) {
        return Err("a header of this server stands in the middle of the file".to_owned());
    }
    match memchr::memchr(b'\n', &bytes[..bytes.len().min(REDIS_ANNOTATION_MAX_BYTES)]) {
        Some(end) => Ok(Some(end + 1)),
        None if bytes.len() >= REDIS_ANNOTATION_MAX_BYTES => Err("an annotation is too long".to_owned()),
        None => Ok(None),
    }
}
