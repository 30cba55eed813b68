//! Which keys are there: what the space that an engine takes is measured by.

use std::io;
use std::path::Path;

/// A set of the numbers of keys, a bit for each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveKeys {
    words: Vec<u64>,
}

impl LiveKeys {
    /// A key is there.
    #[inline]
    pub fn insert(&mut self, number: u64) {
        let word = (number / 64) as usize;
        if word >= self.words.len() {
            self.words.resize((word + 1).next_power_of_two(), 0);
        }
        self.words[word] |= 1 << (number % 64);
    }

    /// A key is not there.
    #[inline]
    pub fn remove(&mut self, number: u64) {
        if let Some(word) = self.words.get_mut((number / 64) as usize) {
            *word &= !(1 << (number % 64));
        }
    }

    /// All of these are there.
    pub fn insert_all(&mut self, others: &Self) {
        if others.words.len() > self.words.len() {
            self.words.resize(others.words.len(), 0);
        }
        for (word, other) in self.words.iter_mut().zip(&others.words) {
            *word |= other;
        }
    }

    /// How many are there.
    pub fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Keeps them in a file, for a process that goes on with the same data.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn store(&self, path: &Path) -> io::Result<()> {
        let bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        std::fs::write(path, bytes)
    }

    /// Those of a file; none where there is no such file.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn load(path: &Path) -> io::Result<Self> {
        match std::fs::read(path) {
            Ok(bytes) => {
                let (words, _) = bytes.as_chunks::<8>();
                Ok(Self { words: words.iter().map(|word| u64::from_le_bytes(*word)).collect() })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }
}
