//! Judges `merge_iterator`: many sorted sequences read as one, both ways, by moving one of them at a time.

use std::cell::Cell;
use std::rc::Rc;

use ch03_lsm::engine::cursor::Cursor;
use ch03_lsm::engine::key::{InternalKey, InternalKeyBuf, Kind, Seq, Stamp};
use ch03_lsm::engine::merge_iterator::MergeIterator;
use common::judge::seeds;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

type Entry = (InternalKeyBuf, Vec<u8>);

/// What the sources of a merge were asked for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Counts {
    steps: Cell<usize>,
    seeks: Cell<usize>,
    keys: Cell<usize>,
}

fn count(cell: &Cell<usize>) {
    cell.set(cell.get() + 1);
}

impl Counts {
    fn reset(&self) {
        [&self.steps, &self.seeks, &self.keys].into_iter().for_each(|cell| cell.set(0));
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Unreadable;

/// A sorted sequence in memory, that counts what it is asked for, and of which one entry may be unreadable.
#[derive(Debug)]
struct Sequence {
    number: usize,
    entries: Vec<Entry>,
    at: Option<usize>,
    unreadable: Option<usize>,
    counts: Rc<Counts>,
}

impl Sequence {
    fn go(&mut self, at: Option<usize>) -> Result<(), Unreadable> {
        self.at = at.filter(|at| *at < self.entries.len());
        if self.at.is_some() && self.at == self.unreadable { Err(Unreadable) } else { Ok(()) }
    }

    fn below(&self, key: &InternalKey) -> usize {
        self.entries.partition_point(|(at, _)| at.as_key() < key)
    }
}

impl Cursor for Sequence {
    type Error = Unreadable;

    fn seek_to_first(&mut self) -> Result<(), Unreadable> {
        count(&self.counts.seeks);
        self.go(Some(0))
    }

    fn seek_to_last(&mut self) -> Result<(), Unreadable> {
        count(&self.counts.seeks);
        self.go(self.entries.len().checked_sub(1))
    }

    fn seek(&mut self, key: &InternalKey) -> Result<(), Unreadable> {
        count(&self.counts.seeks);
        self.go(Some(self.below(key)))
    }

    fn seek_for_prev(&mut self, key: &InternalKey) -> Result<(), Unreadable> {
        count(&self.counts.seeks);
        let not_above = self.entries.partition_point(|(at, _)| at.as_key() <= key);
        self.go(not_above.checked_sub(1))
    }

    fn next(&mut self) -> Result<(), Unreadable> {
        count(&self.counts.steps);
        let at = self.at.expect("next() from an entry");
        self.go(Some(at + 1))
    }

    fn prev(&mut self) -> Result<(), Unreadable> {
        count(&self.counts.steps);
        let at = self.at.expect("prev() from an entry");
        self.go(at.checked_sub(1))
    }

    fn key(&self) -> Option<&InternalKey> {
        count(&self.counts.keys);
        self.at.map(|at| self.entries[at].0.as_key())
    }

    fn value(&self) -> &[u8] {
        self.at.map_or(&[], |at| &self.entries[at].1)
    }
}

fn key(user: &[u8], seq: u64) -> InternalKeyBuf {
    InternalKeyBuf::new(user, Stamp::new(Seq(seq), Kind::Put))
}

/// The entries of all the sequences in order, and a merge of them.
struct Merged {
    all: Vec<Entry>,
    merge: MergeIterator<Sequence>,
    counts: Rc<Counts>,
}

fn merged(mut sequences: Vec<Vec<Entry>>) -> Merged {
    let counts = Rc::new(Counts::default());
    sequences.iter_mut().for_each(|entries| entries.sort());
    let mut all = sequences.concat();
    all.sort();
    let sources = sequences.into_iter().enumerate();
    let sources = sources.map(|(number, entries)| Sequence {
        number,
        entries,
        at: None,
        unreadable: None,
        counts: Rc::clone(&counts),
    });
    Merged { all, merge: MergeIterator::new(sources.collect()), counts }
}

/// `count` entries of users' keys that several sequences write, dealt to `sequences` of them, of which some get few or none.
fn random(rng: &mut Xoshiro256PlusPlus, sequences: usize, count: u64) -> Merged {
    let mut dealt = vec![Vec::new(); sequences];
    for seq in 0..count {
        let user = format!("user{:02}", rng.random_range(0..1 + count / 3));
        // The square favours the first ones: the last are often empty.
        let to = (rng.random::<f64>().powi(2) * sequences as f64) as usize;
        dealt[to].push((key(user.as_bytes(), seq), format!("{seq} of {to}").into_bytes()));
    }
    merged(dealt)
}

fn at(merge: &MergeIterator<Sequence>) -> Option<Entry> {
    merge.key().map(|key| (key.into(), merge.value().to_vec()))
}

#[test]
fn sorted_sequences_become_one_sorted_sequence() {
    for seed in seeds(24) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let (sequences, entries) = (rng.random_range(1..20), rng.random_range(0..300));
        let Merged { all, mut merge, .. } = random(&mut rng, sequences, entries);
        assert_eq!(at(&merge), None, "a new one is beyond the ends");
        merge.seek_to_first().unwrap();
        let mut found = Vec::new();
        while let Some(entry) = at(&merge) {
            found.push(entry);
            assert!(found.len() <= all.len(), "seed {seed}: more entries than there are");
            merge.next().unwrap();
        }
        assert_eq!(found, all, "seed {seed}: {sequences} sequences");
        assert!(merge.value().is_empty(), "there is no value beyond the end");
    }
    let mut none = MergeIterator::<Sequence>::new(Vec::new());
    none.seek_to_first().unwrap();
    assert_eq!(at(&none), None, "nothing of no sources");
    none.seek_to_last().unwrap();
    assert_eq!(at(&none), None);
}

#[test]
fn backwards_it_is_the_same_in_reverse() {
    for seed in seeds(24) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let (sequences, entries) = (rng.random_range(1..20), rng.random_range(0..300));
        let Merged { mut all, mut merge, .. } = random(&mut rng, sequences, entries);
        merge.seek_to_last().unwrap();
        let mut found = Vec::new();
        while let Some(entry) = at(&merge) {
            found.push(entry);
            assert!(found.len() <= all.len(), "seed {seed}: more entries than there are");
            merge.prev().unwrap();
        }
        all.reverse();
        assert_eq!(found, all, "seed {seed}: {sequences} sequences");
    }
}

#[test]
fn a_seek_lands_where_it_would_in_one_sequence() {
    for seed in seeds(12) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let Merged { all, mut merge, .. } = random(&mut rng, 7, 200);
        let others = (0..100).map(|_| key(format!("user{:02}", rng.random_range(0..70)).as_bytes(), 100));
        let ends = [key(b"", 0), key(b"zzz", 0)];
        for target in all.iter().map(|(key, _)| key.clone()).chain(others).chain(ends) {
            let place = all.partition_point(|(key, _)| *key < target);
            merge.seek(target.as_key()).unwrap();
            assert_eq!(at(&merge), all.get(place).cloned(), "seed {seed}: the first that is not below {target:?}");
            if merge.key().is_some() {
                merge.next().unwrap();
                assert_eq!(at(&merge), all.get(place + 1).cloned(), "seed {seed}: and the one after");
            }
            let behind = all.partition_point(|(key, _)| *key <= target);
            merge.seek_for_prev(target.as_key()).unwrap();
            let expected = behind.checked_sub(1).map(|place| all[place].clone());
            assert_eq!(at(&merge), expected, "seed {seed}: the last that is not above {target:?}");
            if merge.key().is_some() {
                merge.prev().unwrap();
                let expected = behind.checked_sub(2).map(|place| all[place].clone());
                assert_eq!(at(&merge), expected, "seed {seed}: and the one before");
            }
        }
    }
}

#[test]
fn turning_round_gives_the_entry_before_and_no_entry_twice() {
    // The smallest case: one sequence is at its end when the merge turns, another has not begun.
    let Merged { all, mut merge, .. } =
        merged(vec![vec![(key(b"a", 1), vec![1])], vec![(key(b"b", 1), vec![2])], vec![(key(b"c", 1), vec![3])]]);
    merge.seek_to_first().unwrap();
    merge.next().unwrap();
    merge.prev().unwrap();
    assert_eq!(at(&merge).as_ref(), Some(&all[0]), "a, b, and back: a, whose sequence had ended");
    for seed in seeds(24) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let sequences = rng.random_range(1..12);
        let Merged { all, mut merge, .. } = random(&mut rng, sequences, 60);
        let mut place = rng.random_range(0..all.len());
        merge.seek(all[place].0.as_key()).unwrap();
        let mut moves = String::new();
        for _ in 0..400 {
            let forward = if rng.random_ratio(1, 3) { moves.ends_with('n') } else { rng.random() };
            let next = if forward { Some(place + 1) } else { place.checked_sub(1) };
            moves.push(if forward { 'n' } else { 'p' });
            if forward { merge.next() } else { merge.prev() }.unwrap();
            let expected = next.and_then(|next| all.get(next)).cloned();
            let recent = &moves[moves.len().saturating_sub(12)..];
            assert_eq!(at(&merge), expected, "seed {seed}: from {:?}, after …{recent}", all[place].0);
            match next.filter(|next| *next < all.len()) {
                Some(next) => place = next,
                // Beyond an end: from there it must be told where to go.
                None if forward => {
                    place = all.len() - 1;
                    merge.seek_to_last().unwrap();
                }
                None => {
                    place = 0;
                    merge.seek_to_first().unwrap();
                }
            }
        }
    }
}

#[test]
fn the_versions_of_a_key_come_newest_first_wherever_they_lie() {
    // Numbers whose bytes, least significant first, are in another order than they are.
    let versions = [1, 255, 256, 257, 511, 65_536, 1 << 40];
    let dealt: Vec<Vec<Entry>> = (0..3)
        .map(|source| {
            let own = versions.iter().enumerate().filter(|(at, _)| at % 3 == source);
            own.map(|(_, seq)| (key(b"title", *seq), format!("{seq} of {source}").into_bytes())).collect()
        })
        .collect();
    let Merged { mut merge, .. } = merged(dealt);
    merge.seek_to_first().unwrap();
    for (place, seq) in versions.iter().enumerate().rev() {
        let at = merge.key().expect("there are more versions").stamp().seq();
        assert_eq!(at, Seq(*seq), "the newest that is left");
        let source = merge.source().expect("an entry is some source's").number;
        assert_eq!(source, place % 3, "version {seq} is of the source that has it");
        assert_eq!(merge.value(), format!("{seq} of {source}").as_bytes());
        merge.next().unwrap();
    }
    assert!(merge.key().is_none() && merge.source().is_none());
}

#[test]
fn a_step_moves_one_source_and_compares_a_few_keys() {
    for sources in [2, 8, 64, 256] {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(sources as u64);
        let mut dealt = vec![Vec::new(); sources];
        for number in 0..2_048u64 {
            dealt[rng.random_range(0..sources)].push((key(&number.to_be_bytes(), 1), Vec::new()));
        }
        let Merged { all, mut merge, counts } = merged(dealt);
        merge.seek_to_first().unwrap();
        for forward in [true, false] {
            counts.reset();
            for _ in 1..all.len() {
                if forward { merge.next() } else { merge.prev() }.unwrap();
            }
            let steps = all.len() - 1;
            // What the one turn may cost: a seek in each source, and where that is the wrong side of it, one move more.
            let turned = if forward { 0 } else { sources };
            let moved = counts.steps.get();
            assert!(
                moved <= steps + turned,
                "{sources} sources: {moved} moves of a source in {steps} steps of the merge"
            );
            assert!(counts.seeks.get() <= 2 * turned, "{sources} sources: {} seeks", counts.seeks.get());
            // Down a heap: two comparisons on each of log k levels, of two keys each. And a few to see where it stands.
            let most = (4 * sources.ilog2() as usize + 8) * steps + 8 * sources;
            let asked = counts.keys.get();
            assert!(
                asked <= most,
                "{sources} sources: {asked} keys were looked at in {steps} steps, {:.1} each; a heap needs {:.1} at most",
                asked as f64 / steps as f64,
                most as f64 / steps as f64
            );
        }
    }
}

#[test]
fn nothing_but_a_seek_and_a_turn_seeks() {
    const SOURCES: usize = 9;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(0);
    let Merged { all, mut merge, counts } = random(&mut rng, SOURCES, 100);
    let mut cost =
        |what: &str, most: usize, go: &mut dyn FnMut(&mut MergeIterator<Sequence>) -> Result<(), Unreadable>| {
            counts.reset();
            go(&mut merge).unwrap();
            assert!(counts.seeks.get() <= most, "{what}: {} seeks in {SOURCES} sources", counts.seeks.get());
        };
    cost("a seek", SOURCES, &mut |merge| merge.seek(all[50].0.as_key()));
    cost("straight on", 0, &mut |merge| merge.next());
    cost("a turn", 2 * SOURCES, &mut |merge| merge.prev());
    cost("straight on, backwards", 0, &mut |merge| merge.prev());
    cost("a turn to the front again", 2 * SOURCES, &mut |merge| merge.next());
    cost("straight on again", 0, &mut |merge| merge.next());
}

#[test]
fn an_error_of_a_source_is_passed_on_and_no_entry_is_made_up() {
    let build = |unreadable| {
        let dealt = vec![vec![1, 4, 7], vec![2, 5, 8], vec![3, 6, 9]];
        let entries = |seqs: Vec<u8>| seqs.into_iter().map(|user| (key(&[user], 1), Vec::new())).collect();
        let sources = dealt.into_iter().enumerate().map(|(number, seqs)| Sequence {
            number,
            entries: entries(seqs),
            at: None,
            unreadable: (number == 1).then_some(unreadable),
            counts: Rc::default(),
        });
        MergeIterator::new(sources.collect())
    };
    let mut merge = build(0);
    assert_eq!(merge.seek_to_first(), Err(Unreadable));
    assert_eq!(at(&merge), None, "a sequence that cannot be read may have had the first entry");
    let mut merge = build(1);
    merge.seek_to_first().unwrap();
    merge.next().unwrap();
    assert_eq!(merge.next(), Err(Unreadable), "from 2 its sequence would have come to 5, which cannot be read");
    assert_eq!(at(&merge), None, "the 3 that is next may not be all that is before 5");
    merge.seek(key(&[7], 1).as_key()).unwrap();
    assert_eq!(at(&merge).map(|(key, _)| key), Some(key(&[7], 1)), "what can be read can be gone to again");
    assert_eq!(merge.seek(key(&[4], 1).as_key()), Err(Unreadable), "from 4 on, 5 is the first of its sequence");
    assert_eq!(at(&merge), None, "nor is the merge where it was before");
    merge.seek(key(&[6], 1).as_key()).unwrap();
    assert_eq!(merge.prev(), Err(Unreadable), "turning round seeks in all");
    assert_eq!(at(&merge), None);
}
