//! Hashes and sets: fields with values, and members, found by their bytes.
//!
//! Both have an order, which scans and random draws count in: that of insertion, until one is removed. In a packed collection
//! those behind it move up, in a table the last one takes its place. So a scan that goes from the last index to the first
//! misses nothing that stays: whatever is moved, moves to where the scan has yet to come.

use foldhash::fast::RandomState;
use indexmap::{IndexMap, IndexSet};

use super::footprint;
use super::packed::{Packed, Walk};

/// How many fields a packed hash has at most, as in Redis 7.0.
const MAX_PACKED_FIELDS: usize = 512;

/// How many members a packed set has at most.
const MAX_PACKED_MEMBERS: usize = 128;

/// What an entry of a table takes in it: the hash, and where the field and its value lie, with their lengths.
const FIELD_BYTES: usize = size_of::<u64>() + 2 * size_of::<Box<[u8]>>();

/// The same of a member.
const MEMBER_BYTES: usize = size_of::<u64>() + size_of::<Box<[u8]>>();

/// A hash: packed while it is small and its fields and values are short, a table from then on.
#[derive(Debug, Clone)]
pub struct Hash(HashForm);

#[derive(Debug, Clone)]
enum HashForm {
    /// Fields and values by turns.
    Packed(Packed),
    Table(Box<FieldTable>),
}

/// **Invariants**: `content_bytes` is what the allocations of fields and values take; `capacity` is the greatest that `fields`
/// has had, whose own word for it leaves out places that have been used.
#[derive(Debug, Clone, Default)]
struct FieldTable {
    fields: IndexMap<Box<[u8]>, Box<[u8]>, RandomState>,
    content_bytes: usize,
    capacity: usize,
}

/// A set of members: packed while it is small and they are short, a table from then on.
#[derive(Debug, Clone)]
pub struct Set(SetForm);

#[derive(Debug, Clone)]
enum SetForm {
    Packed(Packed),
    Table(Box<MemberTable>),
}

/// **Invariants**: those of a [`FieldTable`].
#[derive(Debug, Clone, Default)]
struct MemberTable {
    members: IndexSet<Box<[u8]>, RandomState>,
    content_bytes: usize,
    capacity: usize,
}

impl Default for Hash {
    fn default() -> Self {
        Self(HashForm::Packed(Packed::default()))
    }
}

impl Hash {
    /// How many fields there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            HashForm::Packed(packed) => packed.len() / 2,
            HashForm::Table(table) => table.fields.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is packed.
    pub fn is_packed(&self) -> bool {
        matches!(self.0, HashForm::Packed(_))
    }

    /// What it takes beside itself, in bytes.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            HashForm::Packed(packed) => packed.bytes(),
            HashForm::Table(table) => {
                let index = footprint::index(table.capacity, FIELD_BYTES);
                footprint::block(size_of::<FieldTable>()) + index + table.content_bytes
            }
        }
    }

    /// The field's value.
    pub fn get(&self, field: &[u8]) -> Option<&[u8]> {
        match &self.0 {
            HashForm::Packed(packed) => packed.find_pair(field).map(|(_, value)| value),
            HashForm::Table(table) => table.fields.get(field).map(|value| &**value),
        }
    }

    /// The field and its value at `index` of the hash's order.
    pub fn at(&self, index: usize) -> Option<(&[u8], &[u8])> {
        match &self.0 {
            HashForm::Packed(packed) => packed.get(2 * index).zip(packed.get(2 * index + 1)),
            HashForm::Table(table) => table.fields.get_index(index).map(|(field, value)| (&**field, &**value)),
        }
    }

    /// Fields and values, in the hash's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        match &self.0 {
            HashForm::Packed(packed) => Walk::Packed(packed.pairs()),
            HashForm::Table(table) => Walk::Unpacked(table.fields.iter().map(|(field, value)| (&**field, &**value))),
        }
    }

    /// Gives the field a value; true when it is new.
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        if let HashForm::Packed(packed) = &mut self.0
            && Packed::holds(field)
            && Packed::holds(value)
        {
            if let Some((index, _)) = packed.find_pair(field) {
                packed.splice(index + 1..index + 2, &[value]);
                return false;
            }
            let end = packed.len();
            if end < 2 * MAX_PACKED_FIELDS {
                packed.splice(end..end, &[field, value]);
                return true;
            }
        }
        self.unpacked().set(field, value)
    }

    /// Removes the field; false when it is not there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match &mut self.0 {
            HashForm::Packed(packed) => {
                let Some((index, _)) = packed.find_pair(field) else { return false };
                packed.splice(index..index + 2, &[]);
            }
            HashForm::Table(table) => {
                let Some((field, value)) = table.fields.swap_remove_entry(field) else { return false };
                table.content_bytes -= footprint::block(field.len()) + footprint::block(value.len());
                if table.fields.is_empty() {
                    *self = Self::default();
                }
            }
        }
        true
    }

    /// The hash as a table, which it becomes if it is packed.
    fn unpacked(&mut self) -> &mut FieldTable {
        if let HashForm::Packed(packed) = &self.0 {
            let mut table = Box::<FieldTable>::default();
            for (field, value) in packed.pairs() {
                table.set(field, value);
            }
            self.0 = HashForm::Table(table);
        }
        match &mut self.0 {
            HashForm::Table(table) => table,
            HashForm::Packed(_) => unreachable!("it has just been unpacked"),
        }
    }
}

impl FieldTable {
    fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.content_bytes += footprint::block(value.len());
        if let Some(place) = self.fields.get_mut(field) {
            self.content_bytes -= footprint::block(place.len());
            *place = value.into();
            return false;
        }
        self.content_bytes += footprint::block(field.len());
        self.fields.insert(field.into(), value.into());
        self.capacity = self.capacity.max(self.fields.capacity());
        true
    }
}

impl Default for Set {
    fn default() -> Self {
        Self(SetForm::Packed(Packed::default()))
    }
}

impl Set {
    /// How many members there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            SetForm::Packed(packed) => packed.len(),
            SetForm::Table(table) => table.members.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it takes beside itself, in bytes.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            SetForm::Packed(packed) => packed.bytes(),
            SetForm::Table(table) => {
                let index = footprint::index(table.capacity, MEMBER_BYTES);
                footprint::block(size_of::<MemberTable>()) + index + table.content_bytes
            }
        }
    }

    /// Whether `member` is in it.
    pub fn contains(&self, member: &[u8]) -> bool {
        match &self.0 {
            SetForm::Packed(packed) => packed.find(member).is_some(),
            SetForm::Table(table) => table.members.contains(member),
        }
    }

    /// The member at `index` of the set's order.
    pub fn at(&self, index: usize) -> Option<&[u8]> {
        match &self.0 {
            SetForm::Packed(packed) => packed.get(index),
            SetForm::Table(table) => table.members.get_index(index).map(|member| &**member),
        }
    }

    /// The members, in the set's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        match &self.0 {
            SetForm::Packed(packed) => Walk::Packed(packed.iter()),
            SetForm::Table(table) => Walk::Unpacked(table.members.iter().map(|member| &**member)),
        }
    }

    /// Adds a member; false when it is there already.
    pub fn insert(&mut self, member: &[u8]) -> bool {
        if self.contains(member) {
            return false;
        }
        match &mut self.0 {
            SetForm::Packed(packed) if packed.len() < MAX_PACKED_MEMBERS && Packed::holds(member) => {
                packed.splice(packed.len()..packed.len(), &[member]);
            }
            _ => self.unpacked().insert(member),
        }
        true
    }

    /// Removes a member; false when it is not there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.0 {
            SetForm::Packed(packed) => {
                let Some(index) = packed.find(member) else { return false };
                packed.splice(index..index + 1, &[]);
            }
            SetForm::Table(table) => {
                let Some(member) = table.members.swap_take(member) else { return false };
                table.content_bytes -= footprint::block(member.len());
                if table.members.is_empty() {
                    *self = Self::default();
                }
            }
        }
        true
    }

    /// The set as a table, which it becomes if it is packed.
    fn unpacked(&mut self) -> &mut MemberTable {
        if let SetForm::Packed(packed) = &self.0 {
            let mut table = Box::<MemberTable>::default();
            packed.iter().for_each(|member| table.insert(member));
            self.0 = SetForm::Table(table);
        }
        match &mut self.0 {
            SetForm::Table(table) => table,
            SetForm::Packed(_) => unreachable!("it has just been unpacked"),
        }
    }
}

impl MemberTable {
    fn insert(&mut self, member: &[u8]) {
        self.content_bytes += footprint::block(member.len());
        self.members.insert(member.into());
        self.capacity = self.capacity.max(self.members.capacity());
    }
}
