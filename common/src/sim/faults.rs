//! The faults of a world, as data: one table gives the type, its text and the parser.
//!
//! Each fault names everything that it needs, its own end included: so that a schedule stays one, whichever of its faults
//! are taken away (that is how [shrinking](super::Schedule::shrink) works), and a line that was printed can be read again.
//!
//! ```text
//! 1200ms crash node=n1 disk=torn for_ms=350
//! 1900ms one-way from=n2 to=n1,n3 for_ms=800
//! ```

use std::fmt;
use std::str::FromStr;

use super::network::MAX_NODES;
use crate::disk::{Crash, Fault as DiskFault};
use crate::engine::NodeId;

mod text;

use text::field;

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $name:literal => $kind:ident {
        $($(#[doc = $field_doc:literal])+ $field:ident: $type:ty,)*
    },)+) => {
        /// Something that goes wrong at a point in time, until it ends by itself.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Fault {
            $($(#[doc = $doc])+ $kind { $($(#[doc = $field_doc])+ $field: $type,)* },)+
        }

        /// What sort of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl Kind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];
        }

        impl Fault {
            /// What sort it is.
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$kind { .. } => Kind::$kind,)+
                }
            }
        }

        impl fmt::Display for Fault {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$kind { $($field,)* } => {
                        f.write_str($name)?;
                        $(write!(f, " {}={}", stringify!($field), $field)?;)*
                    })+
                }
                Ok(())
            }
        }

        impl FromStr for Fault {
            type Err = FaultError;

            fn from_str(text: &str) -> Result<Self, FaultError> {
                let (name, fields) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
                match name {
                    $($name => Ok(Self::$kind { $($field: field(fields, stringify!($field))?,)* }),)+
                    _ => Err(FaultError::Kind(name.to_owned())),
                }
            }
        }
    };
}

faults! {
    /// The power fails. After a while it is back.
    "crash" => Crash {
        /// Whose.
        node: NodeId,
        /// What is left of the writes that were not synced.
        disk: Survival,
        /// Until the node starts again.
        for_ms: u64,
    },
    /// The power fails in the middle of what a node is doing: before the next effect but so many.
    "crash-in-effects" => CrashInEffects {
        /// Whose.
        node: NodeId,
        /// How many effects happen before.
        effects: u64,
        /// Until the node starts again.
        for_ms: u64,
    },
    /// The power fails in the middle of an operation of the disk: also in one of a recovery, or of a snapshot.
    "crash-in-disk" => CrashInDisk {
        /// Whose.
        node: NodeId,
        /// In which, counted from 1.
        operation: u64,
        /// Until the node starts again.
        for_ms: u64,
    },
    /// A process stands still while its clocks go on, and then handles everything that has come meanwhile.
    "pause" => Pause {
        /// Which.
        node: NodeId,
        /// For how long.
        for_ms: u64,
    },
    /// Nothing gets from one side to the other, or back.
    "partition" => Partition {
        /// One side. The other side are all the others.
        side: NodeSet,
        /// For how long.
        for_ms: u64,
    },
    /// Nothing gets from some nodes to others; what these say arrives.
    "one-way" => OneWay {
        /// Who is not heard.
        from: NodeSet,
        /// By whom.
        to: NodeSet,
        /// For how long.
        for_ms: u64,
    },
    /// The network loses messages.
    "lossy" => Lossy {
        /// How many of a million.
        ppm: u32,
        /// For how long.
        for_ms: u64,
    },
    /// The network delivers messages twice.
    "duplicates" => Duplicates {
        /// How many of a million.
        ppm: u32,
        /// For how long.
        for_ms: u64,
    },
    /// Messages take longer, each by something else.
    "slow" => Slow {
        /// By how much at most.
        extra_ms: u64,
        /// For how long.
        for_ms: u64,
    },
    /// A wall clock is put forward, or back.
    "wall-jump" => WallJump {
        /// Whose.
        node: NodeId,
        /// By how much.
        by_ms: i64,
    },
    /// The clocks of a node go faster or slower than they should.
    "drift" => Drift {
        /// Whose.
        node: NodeId,
        /// By how many millionths they go faster.
        ppm: i64,
        /// For how long.
        for_ms: u64,
    },
    /// The next sync fails.
    "sync-fails" => SyncFails {
        /// Whose.
        node: NodeId,
        /// What becomes of what was not synced.
        how: SyncFailure,
    },
    /// The next write fails with `EIO`, having written some of its data.
    "write-fails" => WriteFails {
        /// Whose.
        node: NodeId,
    },
    /// The disk has no more room.
    "disk-full" => DiskFull {
        /// Whose.
        node: NodeId,
        /// For how long.
        for_ms: u64,
    },
    /// Syncs and jobs take long.
    "disk-slow" => DiskSlow {
        /// Whose.
        node: NodeId,
        /// How long at most.
        extra_ms: u64,
        /// For how long that is so.
        for_ms: u64,
    },
    /// A bit of a file flips, somewhere on the medium.
    "bit-rot" => BitRot {
        /// Whose.
        node: NodeId,
    },
    /// A node that was not there at the beginning starts for the first time.
    "join" => Join {
        /// Which: the numbers after those of the first ones.
        node: NodeId,
    },
    /// A node dies, and another one takes its name with an empty disk.
    "replace" => Replace {
        /// Which.
        node: NodeId,
        /// Until it starts.
        for_ms: u64,
    },
}

/// What is no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// Its name is none.
    #[error("there is no fault `{0}`")]
    Kind(String),
    /// It lacks a field, or one is not what it should be.
    #[error("`{0}` is missing, or not what it should be")]
    Field(&'static str),
    /// It does not say when.
    #[error("`{0}` does not begin with a time, such as `1200ms`")]
    Time(String),
}

/// What a crash leaves of what was written and not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survival {
    /// Any of it, and any part: [`Crash::Random`].
    Torn,
    /// Nothing: [`Crash::LoseAll`].
    Lost,
    /// All of it, since only the process has died: [`Crash::KeepAll`].
    Kept,
}

/// What a failed sync leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncFailure {
    /// The page cache shows what is on the medium again: [`DiskFault::SyncReverts`].
    Reverts,
    /// It shows what was written and holds it for clean: [`DiskFault::SyncForgets`].
    Forgets,
}

/// Some of the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NodeSet(u64);

impl NodeSet {
    /// Those whose bits are set: that of the node 1 is the lowest.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// As bits.
    pub fn bits(self) -> u64 {
        self.0
    }
}

impl FromIterator<NodeId> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> Self {
        Self(nodes.into_iter().fold(0, |bits, node| bits | 1 << index(node)))
    }
}

impl Survival {
    pub(super) fn crash(self) -> Crash {
        match self {
            Self::Torn => Crash::Random,
            Self::Lost => Crash::LoseAll,
            Self::Kept => Crash::KeepAll,
        }
    }
}

impl SyncFailure {
    pub(super) fn fault(self) -> DiskFault {
        match self {
            Self::Reverts => DiskFault::SyncReverts,
            Self::Forgets => DiskFault::SyncForgets,
        }
    }
}

/// The place of a node among the nodes of a world: they are called 1, 2, 3.
///
/// # Panics
///
/// When no node of any world is called so.
pub(super) fn index(node: NodeId) -> usize {
    place(node).unwrap_or_else(|| panic!("the nodes of a world are called 1 to {MAX_NODES}, and none {}", node.0))
}

/// The same, of a name that can be anybody's.
pub(super) fn place(node: NodeId) -> Option<usize> {
    (1..=MAX_NODES).contains(&node.0).then(|| (node.0 - 1) as usize)
}
