//! The command table: one row a command, from which arity, keys, flags, dispatch and the `COMMAND` reply all come.
//!
//! A server that states a command's arity in one place and checks it in another will disagree with itself. Here a row is
//! the only place; what the handler finds has been checked against it.

use std::collections::HashMap;
use std::ops::Range;

use super::Request;

/// The longest command name that is looked up, in bytes; a longer one is unknown.
const MAX_NAME_BYTES: usize = 32;

/// One command. `H` is what the server calls for it.
#[derive(Debug)]
pub struct Command<H: 'static> {
    /// The name in lower case. A subcommand's is `container|name`.
    pub name: &'static str,
    /// How many arguments it takes, the name included; negative: at least as many.
    pub arity: i32,
    /// What kind of command it is.
    pub flags: Flags,
    /// Where its keys stand.
    pub keys: Keys,
    /// What it is about, in the words of `COMMAND DOCS`: `string`, `hash`, `connection` and so on.
    pub group: &'static str,
    /// What runs it.
    pub handler: H,
    /// What may follow the name, for a container such as `CONFIG`. Listed by `COMMAND`; the handler dispatches.
    pub subcommands: &'static [Subcommand],
}

/// A row about a container's subcommand: what `COMMAND` says of it.
#[derive(Debug)]
pub struct Subcommand {
    /// The name in lower case, without the container's.
    pub name: &'static str,
    /// As in [`Command::arity`], the container's name included.
    pub arity: i32,
    /// As in [`Command::flags`].
    pub flags: Flags,
}

/// What kind of command it is: a set, combined with `|` in constants by [`Flags::and`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// May change data.
    pub const WRITE: Self = Self(1);
    /// Reads data and changes none.
    pub const READONLY: Self = Self(1 << 1);
    /// May need memory: refused when there is none.
    pub const DENYOOM: Self = Self(1 << 2);
    /// Is about the server.
    pub const ADMIN: Self = Self(1 << 3);
    /// Is about publishing and subscribing.
    pub const PUBSUB: Self = Self(1 << 4);
    /// Not allowed within a transaction.
    pub const NO_MULTI: Self = Self(1 << 5);
    /// May wait.
    pub const BLOCKING: Self = Self(1 << 6);
    /// Allowed while data is loaded.
    pub const LOADING: Self = Self(1 << 7);
    /// Allowed on a replica with stale data.
    pub const STALE: Self = Self(1 << 8);
    /// Takes constant or logarithmic time.
    pub const FAST: Self = Self(1 << 9);
    /// Allowed before authentication.
    pub const NO_AUTH: Self = Self(1 << 10);
    /// Where the keys are depends on the arguments.
    pub const MOVABLE_KEYS: Self = Self(1 << 11);
    /// Not shown in `SLOWLOG` and `MONITOR`: its arguments are secret.
    pub const SKIP_SLOWLOG: Self = Self(1 << 12);
    /// Not allowed from a script.
    pub const NOSCRIPT: Self = Self(1 << 13);
    /// Allowed while a script holds everybody up.
    pub const ALLOW_BUSY: Self = Self(1 << 14);
    /// Not allowed while data is loaded in the background.
    pub const NO_ASYNC_LOADING: Self = Self(1 << 15);

    const NAMES: [(Self, &'static str); 16] = [
        (Self::WRITE, "write"),
        (Self::READONLY, "readonly"),
        (Self::DENYOOM, "denyoom"),
        (Self::ADMIN, "admin"),
        (Self::PUBSUB, "pubsub"),
        (Self::NOSCRIPT, "noscript"),
        (Self::BLOCKING, "blocking"),
        (Self::LOADING, "loading"),
        (Self::STALE, "stale"),
        (Self::FAST, "fast"),
        (Self::NO_AUTH, "no_auth"),
        (Self::MOVABLE_KEYS, "movablekeys"),
        (Self::NO_MULTI, "no_multi"),
        (Self::SKIP_SLOWLOG, "skip_slowlog"),
        (Self::ALLOW_BUSY, "allow_busy"),
        (Self::NO_ASYNC_LOADING, "no_async_loading"),
    ];

    /// Both sets together.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in this set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names that `COMMAND` shows.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| *name)
    }
}

/// Where a command's keys stand among its arguments (the name is the 0th).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// It has none.
    None,
    /// Every `step`-th from `first` to `last`; a negative `last` counts from the end (-1 is the last argument).
    Range {
        /// The first key.
        first: usize,
        /// The last key.
        last: isize,
        /// From one key to the next.
        step: usize,
    },
    /// As many as the number at `count_at` says, right behind it; and before it perhaps a destination.
    Counted {
        /// The key that the result is stored in.
        destination: Option<usize>,
        /// Where the number of keys stands.
        count_at: usize,
    },
}

impl Keys {
    /// One key, the first argument.
    pub const FIRST: Self = Self::Range { first: 1, last: 1, step: 1 };
    /// All arguments are keys.
    pub const ALL: Self = Self::Range { first: 1, last: -1, step: 1 };
    /// The first two arguments are keys.
    pub const FIRST_TWO: Self = Self::Range { first: 1, last: 2, step: 1 };

    /// The positions of the keys of `request`, in order. None where the request is not of the command's form: the
    /// handler then answers with an error.
    pub fn positions(self, request: &Request<'_>) -> impl Iterator<Item = usize> + use<> {
        let len = request.len();
        let (extra, range) = match self {
            Self::None => (None, 0..0),
            Self::Range { first, last, .. } => {
                let end = if last < 0 { (len as isize + last + 1).max(0) as usize } else { last as usize + 1 };
                (None, first..end.min(len))
            }
            Self::Counted { destination, count_at } => {
                let count = request.get(count_at).and_then(|arg| std::str::from_utf8(arg).ok()?.parse::<usize>().ok());
                let first = count_at + 1;
                let end = first.saturating_add(count.unwrap_or(0));
                if end > len { (None, 0..0) } else { (destination, first..end) }
            }
        };
        let step = if let Self::Range { step, .. } = self { step } else { 1 };
        extra.into_iter().chain(range.step_by(step))
    }

    /// Whether `request` says how many keys it has where that depends on it, and has so many. As Redis does when it is asked
    /// for the keys alone, the number is read up to what does not belong to one.
    pub fn counted_keys(self, request: &Request<'_>) -> Option<Range<usize>> {
        let Self::Counted { count_at, .. } = self else { return None };
        let arg = request.get(count_at)?.trim_ascii_start();
        let digits = arg.strip_prefix(b"+").unwrap_or(arg);
        let len = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let count: usize = std::str::from_utf8(&digits[..len]).ok()?.parse().ok()?;
        let first = count_at + 1;
        let end = first.checked_add(count).filter(|end| count > 0 && *end <= request.len())?;
        Some(first..end)
    }

    /// First key, last key and step as `COMMAND` shows them: zeros where there are none or their place varies.
    pub fn shown(self) -> (i64, i64, i64) {
        match self {
            Self::Range { first, last, step } => (first as i64, last as i64, step as i64),
            Self::Counted { destination: Some(at), .. } => (at as i64, at as i64, 1),
            Self::None | Self::Counted { .. } => (0, 0, 0),
        }
    }
}

/// The table: finds a command by name, whatever its case.
#[derive(Debug)]
pub struct Table<H: 'static> {
    rows: &'static [&'static [Command<H>]],
    by_name: HashMap<Name, &'static Command<H>, NameHash>,
}

type NameHash = std::hash::BuildHasherDefault<Fnv>;

/// A name in upper case, padded with zeros.
#[derive(Debug, PartialEq, Eq)]
struct Name([u8; MAX_NAME_BYTES]);

impl std::hash::Hash for Name {
    fn hash<S: std::hash::Hasher>(&self, state: &mut S) {
        // The first eight bytes and the next eight tell nearly all names apart.
        let low = u64::from_le_bytes(self.0[..8].try_into().expect("eight bytes"));
        let high = u64::from_le_bytes(self.0[8..16].try_into().expect("eight bytes"));
        state.write_u64(low ^ high.rotate_left(29));
    }
}

/// A multiplicative hash of one number (Knuth, TAOCP volume 3, section 6.4). Clients cannot choose the table's keys, so
/// that it need not withstand them.
#[derive(Debug, Default)]
struct Fnv(u64);

impl std::hash::Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("names are hashed as numbers");
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

impl Name {
    fn of(name: &[u8]) -> Option<Self> {
        let mut padded = [0; MAX_NAME_BYTES];
        padded.get_mut(..name.len())?.copy_from_slice(name);
        padded.make_ascii_uppercase();
        Some(Self(padded))
    }
}

impl<H> Table<H> {
    /// A table of these families of commands.
    ///
    /// # Panics
    ///
    /// When two commands have one name, or a name is not in lower case or too long: the table is wrong.
    pub fn new(rows: &'static [&'static [Command<H>]]) -> Self {
        let mut by_name = HashMap::default();
        for command in rows.iter().copied().flatten() {
            assert!(command.name.bytes().all(|byte| !byte.is_ascii_uppercase()), "{} is not lower case", command.name);
            let name = Name::of(command.name.as_bytes()).expect("a command's name fits the table");
            assert!(by_name.insert(name, command).is_none(), "{} is in the table twice", command.name);
        }
        Self { rows, by_name }
    }

    /// The command of this name, in any case.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<&'static Command<H>> {
        self.by_name.get(&Name::of(name)?).copied()
    }

    /// All commands, family by family.
    pub fn iter(&self) -> impl Iterator<Item = &'static Command<H>> + use<H> {
        self.rows.iter().copied().flatten()
    }

    /// How many commands there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

impl<H> Command<H> {
    /// Whether a request with `len` arguments, the name included, is one of this command's.
    #[inline]
    pub fn takes(&self, len: usize) -> bool {
        arity_allows(self.arity, len)
    }
}

impl Subcommand {
    /// Whether a request with `len` arguments, the container's name included, is one of this subcommand's.
    pub fn takes(&self, len: usize) -> bool {
        arity_allows(self.arity, len)
    }
}

fn arity_allows(arity: i32, len: usize) -> bool {
    let given = i64::try_from(len).unwrap_or(i64::MAX);
    if arity >= 0 { given == i64::from(arity) } else { given >= -i64::from(arity) }
}
