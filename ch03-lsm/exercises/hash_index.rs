#![allow(unused)]
// Exercise ch03/hash_index: The hash index: Bitcask
// DDIA ch. 3, "Hash Indexes"
//
// Write Bitcask over append-only files: a put and a delete append one entry, a get looks into the keydir and reads
// once, a file that is full is synced before the next is begun. On opening, read hint files where there are any and
// entries where there are none, cut a torn tail and refuse damage. Then merge: copy what is live into new files, and
// remove the old ones in an order that is safe at every crash. The bytes of the files are given (hash_files); the
// tour's second scene runs on your index.
//
// Write what says todo!(). `cargo grade ch03/hash_index` judges it, `cargo grade hint ch03/hash_index` helps.

//! Hash index: all keys in memory, each with the place of its value in files that are only appended to (Bitcask).
//!
//! A log alone is fast to write and slow to read. With a map in memory, the **keydir**, that says for each key where its
//! newest entry stands, a read is one look into the map and one read of the disk, however much there is; and a key that is not
//! there costs no read at all. The price: every key must fit into memory, and keys that are neighbours in order are not
//! neighbours anywhere (DDIA ch. 3, "Hash Indexes"; Sheehy and Smith, "Bitcask: A Log-Structured Hash Table for Fast Key/Value
//! Data", 2010).
//!
//! ```text
//!  keydir  (memory)                    1.data   [apple=3][pear=1][apple=4]
//!    apple -> file 3, offset 0, len    2.data   [plum=9][pear: gone]
//!    plum  -> file 2, offset 0, len    3.data   [apple=5]                    <- written; the others never change again
//!
//!  a merge of 1 to 3:                  4.data   [plum=9][apple=5]   4.hint   5.data (written from here on)
//! ```
//!
//! A file that has grown beyond its limit is synced before the next is begun, so that only the last can be torn. A **merge**
//! copies what the keydir points to into new files and removes the old ones. It is safe to crash anywhere in it: the new files
//! get their names when they are whole, and say nothing that is not so while the old ones are there as well; the
//! old ones go **oldest first, each for good before the next**, since a tombstone that went before what it hides would bring
//! that back. With each new file comes a **hint file**: its keys and their places, so that opening reads no values.
//!
//! The bytes of the files are drawn in [`hash_files`](super::hash_files).
//!
//! **Left out**: merging while others write, expiry, and more data files than a process may have open.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::disk::{Disk, DiskFile, Lock, Open, create_dir_durably, write_back};

use super::batch::BatchError;
use super::files;
use super::hash_files::{
    Entries, Entry, Hint, HintFile, Output, VALUE_MAX_BYTES, data_path, evidence, hint_path, merging_path, read_hint,
    read_whole, tidy, write_whole,
};
pub use super::hash_files::{HashStats, Opened};
use crate::engine::key::KEY_MAX_BYTES;
use crate::error::Error;

/// How long a data file becomes, in bytes, before the next is begun: a merge handles whole ones.
pub const FILE_BYTES: u32 = 64 << 20;

/// An open hash index. Dropped, it loses nothing that the disk does not; [`close`](Self::close) attests to it.
///
/// **Invariants**: `files` holds every data file; `active` is the greatest number in it, and the only file that is written;
/// all others are durable. The keydir has exactly the keys whose newest entry is no tombstone, with the place of that entry.
/// What `durable` counts of the active file is durable. After `failed` nothing is written.
#[derive(Debug)]
pub struct HashIndex {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    file_bytes: u32,
    keydir: HashMap<Box<[u8]>, Place>,
    files: BTreeMap<u64, DataFile>,
    active: u64,
    durable: u32,
    failed: Option<Arc<Error>>,
    _lock: Box<dyn Lock>,
}

/// Where an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    file: u64,
    offset: u32,
    len: u32,
}

#[derive(Debug)]
struct DataFile {
    file: Arc<dyn DiskFile>,
    len: u32,
}

impl HashIndex {
    /// Opens the index in `dir`, or makes one, whose files become about `file_bytes` long.
    ///
    /// # Errors
    ///
    /// [`Error`]; damage names the file and the offset.
    pub fn open(disk: &Arc<dyn Disk>, dir: &Path, file_bytes: u32) -> Result<(Self, Opened), Error> {
        create_dir_durably(&**disk, dir).map_err(Error::io("create", dir))?;
        let lock = files::lock(&**disk, dir)?;
        let numbers = tidy(&**disk, dir)?;
        let (keydir, files) = (HashMap::new(), BTreeMap::new());
        let (disk, dir) = (Arc::clone(disk), dir.to_owned());
        let file_bytes = file_bytes.clamp(1, FILE_BYTES);
        let mut index = Self { disk, dir, file_bytes, keydir, files, active: 0, durable: 0, failed: None, _lock: lock };
        let mut opened = Opened::default();
        for number in &numbers {
            index.load(*number, Some(number) == numbers.last(), &mut opened)?;
        }
        match index.files.last_key_value() {
            Some((number, data)) if data.len == 0 => index.active = *number,
            last => index.active = last.map_or(0, |(number, _)| *number) + 1,
        }
        // A file that is begun after the last one attests to it, as it does after every other.
        index.begin(index.active)?;
        Ok((index, opened))
    }

    /// Puts a value. It outlives the process, and the power after a [`sync`](Self::sync).
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        if value.len() > VALUE_MAX_BYTES {
            return Err(BatchError::Value(value.len()).into());
        }
        let place = self.append(key, Some(value))?;
        self.keydir.insert(key.into(), place);
        Ok(())
    }

    /// Deletes a key. One that is not there costs nothing.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn delete(&mut self, key: &[u8]) -> Result<(), Error> {
        todo!("hash_index: a tombstone hides what older files hold; a key that is not there needs none; you have self, key")
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// [`Error`]; an entry that does not verify is damage.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        todo!("hash_index: one look into the keydir, one read, and nothing is believed that does not verify; you have self, key")
    }

    /// Makes everything durable that was written.
    ///
    /// # Errors
    ///
    /// [`Error`]. After a sync that failed nothing is written any more.
    pub fn sync(&mut self) -> Result<(), Error> {
        self.check()?;
        let synced = self.sync_active();
        self.noting(synced)
    }

    /// Copies what the keydir points to into new files, and removes the old ones.
    ///
    /// # Errors
    ///
    /// [`Error`]. Nothing is lost then, and nothing is written any more.
    pub fn merge(&mut self) -> Result<(), Error> {
        self.check()?;
        let merged = self.merge_files();
        self.noting(merged)
    }

    /// Ends it cleanly: durable, and with a file after the last that attests to it.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn close(mut self) -> Result<(), Error> {
        self.check()?;
        if self.files[&self.active].len > 0 { self.roll(self.active + 1) } else { Ok(()) }
    }

    /// How full it is.
    pub fn stats(&self) -> HashStats {
        HashStats {
            keys: self.keydir.len(),
            files: self.files.len(),
            bytes: self.files.values().map(|data| u64::from(data.len)).sum(),
            live_bytes: self.keydir.values().map(|place| u64::from(place.len)).sum(),
        }
    }

    /// Reads what a data file holds into the keydir, on top of what older ones did.
    fn load(&mut self, number: u64, is_last: bool, opened: &mut Opened) -> Result<(), Error> {
        todo!("hash_index: the hint if there is one that verifies, else all entries; a tail that is torn is cut, damage is refused; you have self, number, is_last, opened")
    }

    /// Lets the keydir point into the data file `number`.
    fn learn(&mut self, number: u64, hints: &[Hint<'_>]) {
        let places =
            hints.iter().map(|hint| (hint.key.into(), Place { file: number, offset: hint.offset, len: hint.len }));
        self.keydir.extend(places);
    }

    /// Appends an entry to the active file, and says where it is.
    fn append(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<Place, Error> {
        if key.len() > KEY_MAX_BYTES {
            return Err(BatchError::Key(key.len()).into());
        }
        self.check()?;
        todo!("hash_index: roll when the file is full, then one write of one entry that attests to what is durable before it; you have self, key, value")
    }

    fn sync_active(&mut self) -> Result<(), Error> {
        let data = &self.files[&self.active];
        if data.len > self.durable {
            data.file.sync_data().map_err(Error::io("sync", &data_path(&self.dir, self.active)))?;
            self.durable = data.len;
        }
        Ok(())
    }

    /// Ends the active file and begins another, with a greater number.
    fn roll(&mut self, number: u64) -> Result<(), Error> {
        todo!("hash_index: nothing is in a file before all that is in older ones is durable; you have self, number")
    }

    /// Begins the data file `number`; its name is durable when this returns, and so are all names before it.
    fn begin(&mut self, number: u64) -> Result<(), Error> {
        let path = data_path(&self.dir, number);
        let file = self.disk.open(&path, Open::Create).map_err(Error::io("create", &path))?;
        self.disk.sync_dir(&self.dir).map_err(Error::io("sync", &self.dir))?;
        self.files.insert(number, DataFile { file, len: 0 });
        (self.active, self.durable) = (number, 0);
        Ok(())
    }

    fn merge_files(&mut self) -> Result<(), Error> {
        todo!("hash_index: numbers for the new files below the one that is written from here on; the old ones go when the new ones' names are durable, oldest first; you have self")
    }

    /// Adds the entries of a data file that the keydir points to to `output`, and to further ones when that is full.
    fn copy_live(&mut self, input: u64, output: &mut Output) -> Result<(), Error> {
        todo!("hash_index: an entry is live if the keydir points to exactly it; you have self, input, output")
    }

    /// Gives a new file and its hints to the disk, and lets the keydir point there.
    fn finish(&mut self, output: Output) -> Result<(), Error> {
        todo!("hash_index: under other names until both are whole and durable; you have self, output")
    }

    /// Removes a data file and its hint, for good.
    fn remove(&mut self, number: u64) -> Result<(), Error> {
        todo!("hash_index: the names, and the directory's sync, which makes it final; you have self, number")
    }

    /// What has failed, if anything has.
    fn check(&self) -> Result<(), Error> {
        self.failed.as_ref().map_or(Ok(()), |failed| Err(Error::ReadOnly(Arc::clone(failed))))
    }

    /// Takes note of a failure: what the files hold then is unknown, and nothing may be built on it.
    fn noting<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result {
            self.failed.get_or_insert_with(|| Arc::new(error.clone()));
        }
        result
    }
}
