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
        // >>> exercise: a tombstone hides what older files hold; a key that is not there needs none
        if self.keydir.contains_key(key) {
            self.append(key, None)?;
            self.keydir.remove(key);
        }
        Ok(())
        // <<<
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// [`Error`]; an entry that does not verify is damage.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        // >>> exercise: one look into the keydir, one read, and nothing is believed that does not verify
        let Some(place) = self.keydir.get(key) else { return Ok(None) };
        let path = data_path(&self.dir, place.file);
        let mut bytes = vec![0; place.len as usize];
        let read = self.files[&place.file].file.read_at(&mut bytes, place.offset.into());
        let read = read.map_err(Error::io("read", &path))?;
        match Entry::decode(place.file, place.offset, &bytes[..read]) {
            Some(Entry { key: found, value: Some(value), .. }) if found == key => Ok(Some(value.to_vec())),
            _ => Err(Error::damaged(&path, place.offset.into(), "the entry does not verify")),
        }
        // <<<
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
        // >>> exercise: the hint if there is one that verifies, else all entries; a tail that is torn is cut, damage is refused
        let path = data_path(&self.dir, number);
        let file = self.disk.open(&path, Open::Existing).map_err(Error::io("open", &path))?;
        let mut len = file.len().map_err(Error::io("measure", &path))?;
        let mut attested = len;
        let hint_bytes = read_hint(&*self.disk, &self.dir, number)?;
        if let Some((data_len, hints)) = hint_bytes.as_ref().and_then(|bytes| HintFile::decode(number, bytes)) {
            if len != u64::from(data_len) {
                return Err(Error::damaged(&path, len, "it has not the length that its hint file says"));
            }
            self.learn(number, &hints);
            opened.hinted += 1;
        } else {
            let bytes = read_whole(&*file, &path)?;
            let mut entries = Entries::new(number, &bytes);
            attested = 0;
            for (offset, entry) in &mut entries {
                attested = attested.max(entry.durable.into());
                let place = Place { file: number, offset, len: entry.len_bytes() };
                match entry.value {
                    Some(_) => self.keydir.insert(entry.key.into(), place),
                    None => self.keydir.remove(entry.key),
                };
            }
            if !entries.is_at_end() {
                let end = entries.end();
                if !is_last || evidence(number, &bytes, end).is_some() {
                    return Err(Error::damaged(&path, end.into(), "an entry that was durable does not verify"));
                }
                len = end.into();
                file.set_len(len).map_err(Error::io("cut", &path))?;
                opened.torn = Some((path.clone(), len));
            }
            opened.scanned += 1;
        }
        if is_last {
            // What the process before this one wrote and did not sync is built upon from here on.
            write_back(&*file, attested..len).map_err(Error::io("write back", &path))?;
        }
        self.files.insert(number, DataFile { file, len: len as u32 });
        Ok(())
        // <<<
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
        // >>> exercise: roll when the file is full, then one write of one entry that attests to what is durable before it
        if self.files[&self.active].len >= self.file_bytes {
            let rolled = self.roll(self.active + 1);
            self.noting(rolled)?;
        }
        let file = self.active;
        let offset = self.files[&file].len;
        let bytes = Entry { durable: self.durable, key, value }.encode(file, offset);
        let written = self.files[&file].file.write_at(&bytes, offset.into());
        self.noting(written.map_err(Error::io("write", &data_path(&self.dir, file))))?;
        let len = bytes.len() as u32;
        self.files.get_mut(&file).expect("the active file is open").len += len;
        Ok(Place { file, offset, len })
        // <<<
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
        // >>> exercise: nothing is in a file before all that is in older ones is durable
        self.sync_active()?;
        self.begin(number)
        // <<<
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
        // >>> exercise: numbers for the new files below the one that is written from here on; the old ones go when the new ones' names are durable, oldest first
        let inputs: Vec<u64> = self.files.keys().copied().collect();
        let first = self.active + 1;
        // Each new file but the last is full.
        let at_most = self.stats().live_bytes / u64::from(self.file_bytes) + 1;
        self.roll(first + at_most)?;
        let mut output = Output::new(first);
        for input in &inputs {
            self.copy_live(*input, &mut output)?;
        }
        self.finish(output)?;
        self.disk.sync_dir(&self.dir).map_err(Error::io("sync", &self.dir))?;
        inputs.into_iter().try_for_each(|input| self.remove(input))
        // <<<
    }

    /// Adds the entries of a data file that the keydir points to to `output`, and to further ones when that is full.
    fn copy_live(&mut self, input: u64, output: &mut Output) -> Result<(), Error> {
        // >>> exercise: an entry is live if the keydir points to exactly it
        let path = data_path(&self.dir, input);
        let bytes = read_whole(&*self.files[&input].file, &path)?;
        let mut entries = Entries::new(input, &bytes);
        for (offset, entry) in &mut entries {
            if self.keydir.get(entry.key) != Some(&Place { file: input, offset, len: entry.len_bytes() }) {
                continue;
            }
            if output.bytes.len() >= self.file_bytes as usize {
                let next = Output::new(output.number + 1);
                self.finish(std::mem::replace(output, next))?;
            }
            output.add(entry);
        }
        if entries.is_at_end() {
            return Ok(());
        }
        Err(Error::damaged(&path, entries.end().into(), "an entry that was durable does not verify"))
        // <<<
    }

    /// Gives a new file and its hints to the disk, and lets the keydir point there.
    fn finish(&mut self, output: Output) -> Result<(), Error> {
        // >>> exercise: under other names until both are whole and durable
        if output.bytes.is_empty() {
            return Ok(());
        }
        let len = output.bytes.len() as u32;
        let path = data_path(&self.dir, output.number);
        let hint = hint_path(&self.dir, output.number);
        let file = write_whole(&*self.disk, &merging_path(&path), &output.bytes)?;
        let hints = output.hints.finish(len);
        write_whole(&*self.disk, &merging_path(&hint), &hints)?;
        for path in [&hint, &path] {
            self.disk.rename(&merging_path(path), path).map_err(Error::io("rename", path))?;
        }
        let (_, hints) = HintFile::decode(output.number, &hints).expect("it was just made");
        self.learn(output.number, &hints);
        self.files.insert(output.number, DataFile { file, len });
        Ok(())
        // <<<
    }

    /// Removes a data file and its hint, for good.
    fn remove(&mut self, number: u64) -> Result<(), Error> {
        // >>> exercise: the names, and the directory's sync, which makes it final
        self.files.remove(&number);
        let hint = hint_path(&self.dir, number);
        if self.disk.exists(&hint).map_err(Error::io("look for", &hint))? {
            self.disk.remove(&hint).map_err(Error::io("remove", &hint))?;
        }
        let path = data_path(&self.dir, number);
        self.disk.remove(&path).map_err(Error::io("remove", &path))?;
        self.disk.sync_dir(&self.dir).map_err(Error::io("sync", &self.dir))
        // <<<
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
