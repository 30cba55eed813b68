//! The values of a fault's fields, as text and back.

use std::fmt;

use super::super::network::MAX_NODES;
use super::{FaultError, NodeSet, Survival, SyncFailure};
use crate::engine::NodeId;

/// The largest number that is read (as milliseconds: eleven days): so that times can be added up without care.
const MAX_NUMBER: u64 = 1_000_000_000;

/// The value of the field `name` among `fields`, which are written `name=value`.
pub(super) fn field<T: FieldText>(fields: &str, name: &'static str) -> Result<T, FaultError> {
    let fields = fields.split_ascii_whitespace().filter_map(|field| field.split_once('='));
    let mut texts = fields.filter(|(key, _)| *key == name).map(|(_, value)| value);
    texts.next().and_then(T::read).ok_or(FaultError::Field(name))
}

/// What the value of a field can be.
pub(super) trait FieldText: Sized {
    fn read(text: &str) -> Option<Self>;
}

impl FieldText for u64 {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok().filter(|number| *number <= MAX_NUMBER)
    }
}

impl FieldText for u32 {
    /// Of a million.
    fn read(text: &str) -> Option<Self> {
        text.parse().ok().filter(|number| *number <= 1_000_000)
    }
}

impl FieldText for i64 {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok().filter(|number: &Self| number.unsigned_abs() <= MAX_NUMBER)
    }
}

impl FieldText for NodeId {
    fn read(text: &str) -> Option<Self> {
        let number = text.strip_prefix('n')?.parse().ok()?;
        (1..=MAX_NODES).contains(&number).then_some(Self(number))
    }
}

impl FieldText for NodeSet {
    fn read(text: &str) -> Option<Self> {
        text.split(',').filter(|node| !node.is_empty()).map(NodeId::read).collect()
    }
}

impl FieldText for Survival {
    fn read(text: &str) -> Option<Self> {
        [Self::Torn, Self::Lost, Self::Kept].into_iter().find(|survival| survival.to_string() == text)
    }
}

impl FieldText for SyncFailure {
    fn read(text: &str) -> Option<Self> {
        [Self::Reverts, Self::Forgets].into_iter().find(|failure| failure.to_string() == text)
    }
}

impl fmt::Display for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for node in (0..MAX_NODES).filter(|bit| self.0 & (1 << bit) != 0).map(|bit| NodeId(bit + 1)) {
            write!(f, "{separator}{node}")?;
            separator = ",";
        }
        Ok(())
    }
}

impl fmt::Display for Survival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Torn => "torn",
            Self::Lost => "lost",
            Self::Kept => "kept",
        })
    }
}

impl fmt::Display for SyncFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reverts => "reverts",
            Self::Forgets => "forgets",
        })
    }
}
