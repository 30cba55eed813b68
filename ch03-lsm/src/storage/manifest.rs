//! The manifest: which tables there are, as a log of changes.
//!
//! The files of a directory do not say which of them count: a table may be half written, or its inputs not yet
//! removed. So each flush and each compaction ends with one record in a log, and it has happened when that record is
//! durable (DDIA ch. 3, "Making B-trees reliable", has the same need and the same answer). A new manifest begins with everything
//! as one record, and takes the place of the one before when that record is durable.
//!
//! ```text
//! record     +-----+-------+-- --+          fields, each a tag and what belongs to it; numbers are varints
//!            | tag | field | ... |
//!            +-----+-------+-- --+
//! 1  wal       number                 logs before it are not needed
//! 2  next      number                 the next number of a file
//! 3  seq       number                 the newest write in any table
//! 4  removed   level, table
//! 5  added     level, table, len_bytes, entries, tombstones, range tombstones, newest, smallest, largest
//!                                     (keys: length and bytes)
//! 6  whole                            the record says everything: what came before does not count
//! ```

use common::codec::varint;

use crate::engine::key::{InternalKey, InternalKeyBuf, KEY_MAX_BYTES, STAMP_BYTES, Seq};
use crate::engine::levels::{Edit, EditError, LEVELS, Levels, TableId, TableMeta};

/// A record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Logs before this one are not needed any more.
    pub wal: Option<u64>,
    /// The next number of a file.
    pub next_file: Option<u64>,
    /// The newest write in any table.
    pub seq: Option<Seq>,
    /// What became of tables.
    pub edit: Edit,
    /// Whether it says everything.
    pub is_whole: bool,
}

/// What all records of a manifest come to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// The first log that is needed.
    pub wal: u64,
    /// The next number of a file.
    pub next_file: u64,
    /// The newest write in any table.
    pub seq: Seq,
    /// The tables.
    pub levels: Levels,
}

/// Why a record makes no sense: it verifies, and is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A field cannot be read.
    #[error("byte {0} of the record")]
    Field(usize),
    /// It changes tables that there are not.
    #[error(transparent)]
    Edit(#[from] EditError),
}

impl Record {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.is_whole {
            out.push(6);
        }
        for (tag, number) in [(1, self.wal), (2, self.next_file), (3, self.seq.map(|seq| seq.0))] {
            if let Some(number) = number {
                out.push(tag);
                varint::encode(number, &mut out);
            }
        }
        for &(level, table) in &self.edit.removed {
            out.push(4);
            varint::encode(level as u64, &mut out);
            varint::encode(table.0, &mut out);
        }
        for (level, table) in &self.edit.added {
            out.push(5);
            let counts = [table.entries, table.tombstones, table.range_tombstones];
            for number in [*level as u64, table.id.0, table.len_bytes].into_iter().chain(counts) {
                varint::encode(number, &mut out);
            }
            varint::encode(table.newest.0, &mut out);
            for key in [&table.smallest, &table.largest] {
                varint::encode(key.as_key().as_bytes().len() as u64, &mut out);
                out.extend_from_slice(key.as_key().as_bytes());
            }
        }
        out
    }

    /// The record that `bytes` are.
    ///
    /// # Errors
    ///
    /// [`RecordError::Field`].
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut fields = Fields { bytes, at: 0 };
        let mut record = Self::default();
        while let Some(&tag) = bytes.get(fields.at) {
            let begin = fields.at;
            fields.at += 1;
            record.read_field(tag, &mut fields).ok_or(RecordError::Field(begin))?;
        }
        Ok(record)
    }

    fn read_field(&mut self, tag: u8, fields: &mut Fields<'_>) -> Option<()> {
        match tag {
            1 => self.wal = Some(fields.number()?),
            2 => self.next_file = Some(fields.number()?),
            3 => self.seq = Some(Seq(fields.number()?)),
            4 => {
                let removed = (fields.level()?, TableId(fields.number()?));
                self.edit.removed.push(removed);
            }
            5 => {
                let level = fields.level()?;
                let table = TableMeta {
                    id: TableId(fields.number()?),
                    len_bytes: fields.number()?,
                    entries: fields.number()?,
                    tombstones: fields.number()?,
                    range_tombstones: fields.number()?,
                    newest: Seq(fields.number()?),
                    smallest: fields.key()?,
                    largest: fields.key()?,
                };
                if table.largest < table.smallest {
                    return None;
                }
                self.edit.added.push((level, table));
            }
            6 => self.is_whole = true,
            _ => return None,
        }
        Some(())
    }
}

impl State {
    /// Takes a record into account.
    ///
    /// # Errors
    ///
    /// [`RecordError::Edit`].
    pub fn apply(&mut self, record: &Record) -> Result<(), RecordError> {
        if record.is_whole {
            *self = Self::default();
        }
        self.wal = record.wal.unwrap_or(self.wal);
        self.next_file = record.next_file.unwrap_or(self.next_file);
        self.seq = record.seq.unwrap_or(self.seq).max(self.seq);
        self.levels = self.levels.apply(&record.edit)?;
        Ok(())
    }

    /// Everything, as one record.
    pub fn record(&self) -> Record {
        let tables = self.levels.iter().enumerate();
        let added = tables.flat_map(|(level, tables)| tables.iter().map(move |table| (level, (**table).clone())));
        Record {
            wal: Some(self.wal),
            next_file: Some(self.next_file),
            seq: Some(self.seq),
            edit: Edit { removed: Vec::new(), added: added.collect() },
            is_whole: true,
        }
    }
}

struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    fn number(&mut self) -> Option<u64> {
        let (number, taken) = varint::decode(&self.bytes[self.at..]).ok()?;
        self.at += taken;
        Some(number)
    }

    fn level(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok().filter(|level| *level < LEVELS)
    }

    fn key(&mut self) -> Option<InternalKeyBuf> {
        // Where tables are cut, a range tombstone begins at the key that follows the longest.
        let longest = KEY_MAX_BYTES + 1 + STAMP_BYTES;
        let len = usize::try_from(self.number()?).ok().filter(|len| *len <= longest)?;
        let bytes = self.bytes.get(self.at..self.at + len)?;
        self.at += len;
        InternalKey::new(bytes).map(InternalKeyBuf::from)
    }
}
