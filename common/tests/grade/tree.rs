//! A tiny workspace to grade, and the grader's binary on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::{EXERCISES, JUDGE, REFERENCE, STARTER, WRONG};

/// A workspace of one crate without dependencies, and with one exercise.
pub(super) struct Tree {
    pub(super) folder: TempDir,
}

impl Tree {
    pub(super) fn new() -> Self {
        let tree = Self { folder: tempfile::tempdir().unwrap() };
        let organs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("organs.rs")).unwrap();
        tree.write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"ch01-tiny\"]\n");
        tree.write("common/organs.rs", &organs);
        tree.write(
            "ch01-tiny/Cargo.toml",
            "[package]\nname = \"ch01-tiny\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
        );
        tree.write("ch01-tiny/build.rs", "include!(\"../common/organs.rs\");\n");
        let lib = "//! Tiny.\n#[cfg_attr(mine_middle, path = \"../mine/middle.rs\")]\npub mod middle;\n\
                   pub const MINE: &str = env!(\"MINE_ORGANS\");\n";
        tree.write("ch01-tiny/src/lib.rs", lib);
        tree.write("ch01-tiny/src/main.rs", "fn main() {\n    println!(\"organs: {}\", ch01_tiny::MINE);\n}\n");
        tree.write("ch01-tiny/src/middle.rs", REFERENCE);
        tree.write("ch01-tiny/tests/middle.rs", JUDGE);
        tree.write("ch01-tiny/exercises.toml", EXERCISES);
        tree.write("ch01-tiny/exercises/wrong.toml", WRONG);
        tree.write("ch01-tiny/exercises/middle.rs", STARTER);
        tree.write("ch01-tiny/mine/README.md", "Yours.\n");
        tree.write("ch01-tiny/book.toml", "[[section]]\ntitle = \"Describing Performance\"\n");
        tree
    }

    pub(super) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join("tree").join(relative)
    }

    pub(super) fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap()
    }

    pub(super) fn edit(&self, relative: &str, find: &str, replace: &str) {
        let text = self.read(relative);
        assert!(text.contains(find), "{relative} has {find}");
        self.write(relative, &text.replace(find, replace));
    }

    pub(super) fn command(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.path(""));
        command.env("CARGO_TARGET_DIR", self.folder.path().join("target")).env("CARGO_NET_OFFLINE", "true");
        for variable in ["MINE", "MINE_COMMON", "MINE_CH01_TINY", "GRADE_SALT"] {
            command.env_remove(variable);
        }
        command.output().unwrap()
    }

    /// Runs the grader; its status, and all that it said.
    pub(super) fn grade(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(env!("CARGO_BIN_EXE_grade"), arguments);
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
    }

    pub(super) fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let (status, said) = self.grade(&[arguments, &["--json"]].concat());
        (status, serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}")))
    }
}

/// Whether `said` has each of `parts`.
pub(super) fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "it does not say {part:?}:\n{said}");
    }
}
