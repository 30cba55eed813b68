// The build script of every crate that holds organs: `include!`d by its `build.rs`, so it uses std alone.
//
// The organs of a crate are its starters, `exercises/<organ>.rs`: the list is then the package's own, and a chapter that is
// taken out of the workspace still builds. For each of them this script
//
// - declares `cfg(mine_<organ>)`, so that the compiler knows the name when the file is not there;
// - sets it when `mine/<organ>.rs` exists and the environment does not exclude it:
//   `MINE` unset takes every file, `MINE=off` none, `MINE=bloom,memtable` those;
//   `MINE_<PACKAGE>` (`MINE_CH03_LSM`) says the same for one crate and goes before `MINE`: with it the grader chooses the
//   organs of one crate and leaves the build of the others as it is;
// - gives the crate `MINE_ORGANS`, the organs in use, joined by commas, for the line that a binary prints when it starts.
//
// It runs again when its answer may differ: `exercises/` is watched for new organs, and of `mine/` what the choice allows:
// the folder (it is never absent, thanks to its README: cargo takes an absent path as always changed), the files that are
// named, or nothing at all. So a reader at work on one organ rebuilds nothing that was built without it.

use std::{env, fs, path::Path};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let package = env::var("CARGO_PKG_NAME").expect("cargo sets CARGO_PKG_NAME");
    let root = Path::new(&root);
    let organs = rust_files(&root.join("exercises"));
    let written = rust_files(&root.join("mine"));

    if root.join("exercises").is_dir() {
        println!("cargo::rerun-if-changed=exercises");
    }
    let own_variable = package_variable(&package);
    println!("cargo::rerun-if-env-changed={own_variable}");
    let choice = env::var(&own_variable).ok().or_else(|| {
        println!("cargo::rerun-if-env-changed=MINE");
        env::var("MINE").ok()
    });

    for watched in watched(choice.as_deref(), &written) {
        println!("cargo::rerun-if-changed={watched}");
    }
    for organ in &organs {
        println!("cargo::rustc-check-cfg=cfg(mine_{organ})");
    }
    let chosen: Vec<&str> = written
        .iter()
        .map(String::as_str)
        .filter(|organ| organs.iter().any(|known| known == organ) && is_chosen(organ, choice.as_deref()))
        .collect();
    for organ in &chosen {
        println!("cargo::rustc-cfg=mine_{organ}");
    }
    println!("cargo::rustc-env=MINE_ORGANS={}", chosen.join(","));
    for stray in written.iter().filter(|file| !organs.contains(file)) {
        println!("cargo::warning=mine/{stray}.rs is no exercise of {package}, which has: {}", organs.join(", "));
    }
}

/// Whether the reader's file for `organ` is to be used, by the value of `MINE` or `MINE_<PACKAGE>`.
fn is_chosen(organ: &str, choice: Option<&str>) -> bool {
    match choice.map(str::trim) {
        None => true,
        Some("off") => false,
        Some(list) => list.split(',').any(|name| name.trim() == organ),
    }
}

/// What of `mine/` the script's answer depends on. A file that is named and not there is watched for by the folder.
fn watched(choice: Option<&str>, written: &[String]) -> Vec<String> {
    let names: Vec<&str> = match choice.map(str::trim) {
        None => return vec!["mine".to_owned()],
        Some("off") => Vec::new(),
        Some(list) => list.split(',').map(str::trim).collect(),
    };
    if names.iter().any(|name| !written.iter().any(|there| there == name)) {
        return vec!["mine".to_owned()];
    }
    names.iter().map(|name| format!("mine/{name}.rs")).collect()
}

/// `ch03-lsm` is chosen for by `MINE_CH03_LSM`.
fn package_variable(package: &str) -> String {
    format!("MINE_{}", package.to_uppercase().replace('-', "_"))
}

/// The names of the `.rs` files of a folder, sorted, without the extension; none where there is no folder.
fn rust_files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_file() && path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned))
        .collect();
    names.sort();
    names
}
