//! Fences: which of many pieces a key is in, where they are sorted and do not overlap: the blocks of a table, the tables of a level.
//!
//! A piece is known by its last key, and a binary search over these keys finds it (DDIA ch. 3, "SSTables and LSM-Trees", on
//! sparse indexes in memory). Done with the keys as they are, each comparison is a wait for memory. So what the keys differ
//! by is taken out of them once, as numbers in one array, and every sixteenth number once more into another, which is small
//! enough for the processor's cache:
//!
//! ```text
//! keys          user:1041@7   user:1099@3   user:1400@9   user:1400@2   user:1777@5
//! all share     user:1
//! numbers       "041"         "099"         "400"         "400"         "777"            eight bytes each
//! ```
//!
//! The small array names a group of the large one, two lines of memory; that leaves one piece, or the few whose numbers are the
//! same, and only for those whole keys are compared. The keys of most pieces are never looked at again.
//!
//! **Left out**: what keys share beyond their first eight different bytes: among such pieces the search compares keys.

use std::cmp::Ordering;

use super::key::InternalKey;

/// The bytes of a number.
const NUMBER_BYTES: usize = 8;

/// How many numbers there are from one that stands in the small array, too, to the next: 128 bytes, which a processor fetches at
/// once or almost.
const GROUP: usize = 16;

/// The last keys of pieces, in order.
///
/// **Invariants**: `key_ends` and `numbers` are as many, one for each key, and `groups` has the last number of each whole group;
/// `shared` bytes begin the first and the last key, and so all of them, if they are in order.
#[derive(Debug, Clone, Default)]
pub struct Fences {
    shared: Vec<u8>,
    groups: Vec<u64>,
    numbers: Vec<u64>,
    /// The keys one behind the other, and where each ends.
    keys: Vec<u8>,
    key_ends: Vec<u32>,
}

impl Fences {
    /// Those with these keys, which come in order. `None` when they take more memory than can be addressed here: 4 GiB.
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a InternalKey>) -> Option<Self> {
        let mut fences = Self::default();
        keys.into_iter().try_for_each(|key| fences.push(key))?;
        fences.seal();
        Some(fences)
    }

    /// Appends a key; [`seal`](Self::seal) comes after the last. `None` when there is no room for it.
    pub fn push(&mut self, key: &InternalKey) -> Option<()> {
        let end = u32::try_from(self.keys.len() + key.as_bytes().len()).ok()?;
        self.keys.extend_from_slice(key.as_bytes());
        self.key_ends.push(end);
        Some(())
    }

    /// Takes the numbers out of the keys: from now on keys can be found.
    pub fn seal(&mut self) {
        let Some(last) = self.len().checked_sub(1) else { return };
        let (first, last) = (self.key(0).user(), self.key(last).user());
        let shared = first.iter().zip(last).take_while(|(one, other)| one == other).count();
        self.shared = first[..shared].to_vec();
        self.numbers =
            (0..self.len()).map(|at| number(self.key(at).user().get(shared..).unwrap_or_default())).collect();
        self.groups = self.numbers.chunks_exact(GROUP).map(|group| group[GROUP - 1]).collect();
        self.keys.shrink_to_fit();
        self.key_ends.shrink_to_fit();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.key_ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.key_ends.is_empty()
    }

    /// The memory that they take, in bytes.
    pub fn len_bytes(&self) -> usize {
        let for_each = NUMBER_BYTES + size_of::<u32>();
        self.shared.len() + self.keys.len() + self.len() * for_each + self.groups.len() * NUMBER_BYTES
    }

    /// The first whose key is not below `key`; as many as there are when there is none.
    pub fn find(&self, key: &InternalKey) -> usize {
        self.first_not(key.user(), |fence| fence < key)
    }

    /// The first whose user's key is not below `user`; as many as there are when there is none.
    pub fn find_user(&self, user: &[u8]) -> usize {
        self.first_not(user, |fence| fence.user() < user)
    }

    /// The first that is not below, as `is_below` says of those that cannot be told from `user` by their numbers.
    fn first_not(&self, user: &[u8], is_below: impl Fn(&InternalKey) -> bool) -> usize {
        // To compare nothing with nothing is not free: an empty vector points nowhere, and the masked loads with which the C
        // library compares then take some fifty nanoseconds.
        if !self.shared.is_empty() {
            match user[..user.len().min(self.shared.len())].cmp(&self.shared) {
                Ordering::Less => return 0,
                Ordering::Greater => return self.len(),
                Ordering::Equal => {}
            }
        }
        let number = number(&user[self.shared.len()..]);
        let group = self.groups.partition_point(|last| *last < number) * GROUP;
        let rest = &self.numbers[group..];
        let mut low = group + rest[..rest.len().min(GROUP)].partition_point(|other| *other < number);
        // How many are the same is seldom more than none.
        if self.numbers.get(low) != Some(&number) {
            return low;
        }
        let mut high = low + self.numbers[low..].partition_point(|other| *other == number);
        while low < high {
            let middle = low + (high - low) / 2;
            if is_below(self.key(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn key(&self, at: usize) -> &InternalKey {
        let begin = at.checked_sub(1).map_or(0, |before| self.key_ends[before] as usize);
        let key = &self.keys[begin..self.key_ends[at] as usize];
        InternalKey::new(key).expect("it was a key when it came")
    }
}

/// The beginning of a key as a number, in the same order: what is missing counts as zeros.
fn number(key: &[u8]) -> u64 {
    let mut bytes = [0; NUMBER_BYTES];
    match key.first_chunk() {
        Some(first) => bytes = *first,
        None => bytes[..key.len()].copy_from_slice(key),
    }
    u64::from_be_bytes(bytes)
}
