//! Judges `bloom`: a filter never denies a key that is there, lets about as many others pass as theory says, and costs one
//! line of memory to ask.

use ch03_lsm::engine::bloom::{BloomBuilder, LINE_BYTES, PROBES_MAX, hash, may_contain, probes};
use common::judge::seeds;
use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const LINE_BITS: f64 = (LINE_BYTES * 8) as f64;

/// The filter of the keys that have these hashes.
fn filter(hashes: &[u64], bits_per_key: f64) -> Vec<u8> {
    let mut builder = BloomBuilder::new();
    hashes.iter().for_each(|hash| builder.add(*hash));
    builder.finish(bits_per_key)
}

/// The hashes of keys as people name them: close to one another, so that a hash which does not mix would show.
fn hashes(seed: u64, kind: &str, count: usize) -> Vec<u64> {
    (0..count).map(|number| hash(format!("{kind}:{seed}:{number:08}").as_bytes())).collect()
}

/// The part of absent keys that passes a filter whose bits may lie anywhere, when each key sets `probes` of them.
fn in_theory(bits_per_key: f64, probes: u32) -> f64 {
    (1.0 - (-f64::from(probes) / bits_per_key).exp()).powi(probes as i32)
}

/// The same when the bits of a key lie in one line: the mean over lines, which get a Poisson number of keys each.
fn in_theory_by_lines(bits_per_key: f64, probes: u32) -> f64 {
    let mean = LINE_BITS / bits_per_key;
    let mut chance = (-mean).exp();
    let mut passes = 0.0;
    for keys in 0..2_000 {
        let set = 1.0 - (1.0 - 1.0 / LINE_BITS).powf(f64::from(keys) * f64::from(probes));
        passes += chance * set.powi(probes as i32);
        chance *= mean / f64::from(keys + 1);
    }
    passes
}

#[test]
fn a_key_that_is_there_is_never_denied() {
    for seed in seeds(8) {
        for (count, bits_per_key) in
            [(1, 10.0), (2, 0.5), (7, 1.0), (100, 3.3), (1_000, 10.0), (5_000, 20.0), (99, 100.0)]
        {
            let present = hashes(seed, "present", count);
            let filter = filter(&present, bits_per_key);
            for (number, hash) in present.iter().enumerate() {
                assert!(
                    may_contain(&filter, *hash),
                    "seed {seed}: key {number} of {count} is denied at {bits_per_key} bits a key: its value would be lost"
                );
            }
        }
    }
    // Whatever a hash looks like: the lowest and the highest are at the ends of the first and the last line.
    let ends = [0, 1, u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1, 0xffff_ffff, 0xffff_ffff_0000_0000];
    let filter = filter(&ends, 200.0);
    assert!(ends.iter().all(|hash| may_contain(&filter, *hash)), "a key with a rare hash is denied");
}

#[test]
fn absent_keys_pass_about_as_often_as_theory_says() {
    const KEYS: usize = 20_000;
    const ASKED: usize = 100_000;
    for seed in seeds(2) {
        let (present, absent) = (hashes(seed, "user", KEYS), hashes(seed, "nobody", ASKED));
        for bits_per_key in [4.0, 6.0, 8.0, 10.0, 14.0, 20.0] {
            let filter = filter(&present, bits_per_key);
            let passed = absent.iter().filter(|hash| may_contain(&filter, **hash)).count() as f64;
            let expected = in_theory_by_lines(bits_per_key, probes(bits_per_key)) * ASKED as f64;
            // The tolerance: a tenth, for bits of a key that coincide, and four standard deviations of the count.
            let most = expected * 1.1 + 4.0 * expected.sqrt();
            assert!(
                passed <= most,
                "seed {seed}: at {bits_per_key} bits a key {passed} of {ASKED} absent keys pass, where theory has \
                 {expected:.0} (and {:.0} if bits could lie anywhere); at most {most:.0} are tolerated",
                in_theory(bits_per_key, probes(bits_per_key)) * ASKED as f64
            );
        }
    }
}

#[test]
fn a_filter_takes_the_bits_it_was_given_in_whole_lines() {
    for (count, bits_per_key, lines) in
        [(1, 10.0, 1), (51, 10.0, 1), (52, 10.0, 2), (1_000, 10.0, 20), (1_000, 0.1, 1), (512, 1.0, 1), (513, 1.0, 2)]
    {
        let filter = filter(&hashes(0, "key", count), bits_per_key);
        assert_eq!(filter.len(), lines * LINE_BYTES + 1, "the bytes of {count} keys at {bits_per_key} bits a key");
        assert_eq!(filter.last().copied(), Some(probes(bits_per_key) as u8), "the last byte is the number of probes");
    }
    let mut builder = BloomBuilder::new();
    for hash in hashes(0, "key", 52) {
        (0..10).for_each(|_| builder.add(hash));
    }
    assert_eq!(builder.finish(10.0).len(), 2 * LINE_BYTES + 1, "ten versions of a key are one key");
}

#[test]
fn all_the_bits_of_a_key_lie_in_one_line() {
    let bits_per_key = 10.0;
    // One key more, and as many lines: what differs is what that key has set.
    let mut present = hashes(0, "key", 700);
    let mut before = filter(&present, bits_per_key);
    let mut most = 0;
    for hash in hashes(1, "key", 16) {
        present.push(hash);
        let after = filter(&present, bits_per_key);
        assert_eq!(before.len(), after.len(), "700 to 716 keys take 14 lines");
        let set: Vec<usize> = (0..after.len()).filter(|at| before[*at] != after[*at]).collect();
        let lines: Vec<usize> = set.iter().map(|at| at / LINE_BYTES).collect();
        assert!(
            lines.windows(2).all(|pair| pair[0] == pair[1]),
            "a key set bits in the lines {lines:?}: asking for it would be a cache miss for each"
        );
        let bits: u32 = set.iter().map(|at| (before[*at] ^ after[*at]).count_ones()).sum();
        assert!(bits <= probes(bits_per_key), "a key set {bits} bits");
        most = most.max(bits);
        before = after;
    }
    assert!(most >= 2, "16 keys more set {most} bits each at most: the probes of a key must differ");
}

#[test]
fn as_many_probes_as_let_the_fewest_pass() {
    for tenths in 5..=170 {
        let bits_per_key = f64::from(tenths) / 10.0;
        let chosen = in_theory(bits_per_key, probes(bits_per_key));
        let best = (1..=PROBES_MAX).map(|probes| in_theory(bits_per_key, probes)).fold(1.0, f64::min);
        assert!(
            chosen <= best * 1.05,
            "{} probes at {bits_per_key} bits a key let {chosen:.5} pass, the best number {best:.5}",
            probes(bits_per_key)
        );
    }
    assert_eq!(probes(0.01), 1, "a key sets a bit at least");
    assert_eq!(probes(1e9), PROBES_MAX, "and no more than is of use");
}

#[test]
fn what_is_no_filter_denies_nothing() {
    let some = hashes(0, "key", 100);
    assert!(some.iter().all(|hash| may_contain(&[], *hash)), "no bytes are no filter");
    for none in [0.0, -1.0, f64::NAN] {
        let filter = filter(&some, none);
        assert!(
            some.iter().all(|hash| may_contain(&filter, *hash)),
            "{none} bits a key make no filter: it must not hide the keys"
        );
        assert!(some.iter().all(|hash| may_contain(&BloomBuilder::new().finish(none), *hash)), "whatever was added");
    }
    let nothing = BloomBuilder::new().finish(10.0);
    assert!(!some.iter().any(|hash| may_contain(&nothing, *hash)), "a filter of no keys has none of them");
    // Bytes of any kind are answered without a panic, and those that no builder makes with a yes.
    for seed in seeds(64) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut bytes = vec![0; rng.random_range(1..400)];
        rng.fill_bytes(&mut bytes);
        let understood = bytes.len() % LINE_BYTES == 1 && u32::from(bytes[bytes.len() - 1]) <= PROBES_MAX;
        let denied = some.iter().filter(|hash| !may_contain(&bytes, **hash)).count();
        assert!(understood || denied == 0, "seed {seed}: {} bytes that are no filter deny {denied} keys", bytes.len());
    }
    let mut odd = vec![0; LINE_BYTES + 1];
    odd[LINE_BYTES] = PROBES_MAX as u8 + 1;
    assert!(some.iter().all(|hash| may_contain(&odd, *hash)), "more probes than there can be are no filter");
}
