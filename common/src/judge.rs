//! What the judges in `tests/` share: seeds that are fixed, so that a verdict can be repeated, and a salt that adds unseen ones.
//!
//! `cargo grade --salt N` sets [`SALT_VAR`]: an answer that was fitted to the published seeds meets others then.

/// The environment variable that holds the salt: a decimal `u64`. Absent: no unseen seeds.
pub const SALT_VAR: &str = "GRADE_SALT";

/// The seeds for one randomised check: `0..count`, and as many unseen ones again when a salt is set.
///
/// # Panics
///
/// When [`SALT_VAR`] is set to something that is not a number: a salt that is silently ignored would be a check that is
/// silently skipped.
pub fn seeds(count: u64) -> Vec<u64> {
    let mut seeds: Vec<u64> = (0..count).collect();
    if let Some(salt) = std::env::var_os(SALT_VAR) {
        let salt: u64 = salt
            .to_str()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| panic!("{SALT_VAR} must be a whole number, not {salt:?}"));
        seeds.extend((0..count).map(|index| mix(salt.wrapping_add(mix(index)))));
    }
    seeds
}

/// SplitMix64's finaliser (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014).
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
