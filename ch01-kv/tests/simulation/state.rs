//! What is in the databases, in a form that two moments can be compared in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use ch01_kv::protocol::service::Kv;
use ch01_kv::values::ValueRef;

/// What is in the databases: by database and key, the value and the deadline.
pub(crate) type State = BTreeMap<(usize, String), String>;

/// Everything that is in the databases. Kinds without an order of their own are sorted.
pub(crate) fn state_of(kv: &Kv) -> State {
    let mut state = State::new();
    for (index, db) in kv.dbs.iter().enumerate() {
        let mut shown = 0;
        db.scan(0, usize::MAX, &mut |entry| {
            shown += 1;
            let text = |bytes: &[u8]| {
                if bytes.len() > 64 {
                    format!("{} bytes {}", bytes.len(), crc32fast::hash(bytes))
                } else {
                    bytes.escape_ascii().to_string()
                }
            };
            let mut items: Vec<String> = Vec::new();
            let kind = match entry.value() {
                ValueRef::Str(bytes) => {
                    items.push(text(bytes));
                    "string"
                }
                ValueRef::List(list) => {
                    items.extend(list.iter().map(text));
                    "list"
                }
                ValueRef::Hash(hash) => {
                    items.extend(hash.iter().map(|(field, value)| format!("{}={}", text(field), text(value))));
                    items.sort();
                    "hash"
                }
                ValueRef::Set(set) => {
                    items.extend(set.iter().map(text));
                    items.sort();
                    "set"
                }
                ValueRef::ZSet(zset) => {
                    items.extend(zset.iter_from(0).map(|(member, score)| format!("{}={score}", text(member))));
                    "zset"
                }
            };
            assert!(!items.is_empty(), "an empty {kind} stays");
            let deadline = entry.deadline().map_or(String::new(), |at| format!(" until {}", at.0));
            state.insert((index, text(entry.key())), format!("{kind} {}{deadline}", items.join(" ")));
        });
        assert_eq!(shown, db.len(), "database {index} counts its keys");
    }
    state
}

/// What is there and not due at `now`, in milliseconds since the Unix epoch.
pub(crate) fn alive(state: &State, now: u64) -> impl Iterator<Item = (&(usize, String), &String)> {
    state.iter().filter(move |(_, value)| !is_due(value, now))
}

fn is_due(value: &str, now: u64) -> bool {
    // Values are words of the workload: none of them speaks of a deadline.
    value.rsplit_once(" until ").is_some_and(|(_, at)| at.parse::<u64>().expect("a deadline") <= now)
}

/// The keys in which two states differ, a line each.
pub(crate) fn difference(found: &State, wanted: &State) -> String {
    let mut text = String::new();
    for key in found.keys().chain(wanted.keys()).collect::<BTreeSet<_>>() {
        if found.get(key) != wanted.get(key) {
            let _ = write!(text, "\n  {key:?}: {:?} instead of {:?}", found.get(key), wanted.get(key));
        }
    }
    text
}
