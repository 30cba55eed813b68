//! The READMEs' commands: none that is shown may rot. Those in `sh` blocks are run by `.ci/readme`, as they stand; here is what
//! keeps the others true.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// The commands that take longer than CI has time for: run below, on less load.
const RUN_HERE: [&str; 1] = ["cargo run --release -p ch01-kv -- bench --peer redis"];

/// A README in its two parts: the lines of its `sh` blocks, and the text around all blocks.
struct Readme {
    run: Vec<String>,
    text: String,
}

fn readme(path: &str) -> Readme {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let all = std::fs::read_to_string(&path).expect("it is there");
    let (mut run, mut text, mut block) = (Vec::new(), String::new(), None);
    for line in all.lines() {
        match (block, line.strip_prefix("```")) {
            (None, Some(language)) => block = Some(language),
            (Some(_), Some(_)) => block = None,
            (Some("sh"), None) => run.push(line.to_owned()),
            (Some(_), None) => {}
            (None, None) => {
                text.push_str(line);
                text.push(' ');
            }
        }
    }
    assert!(block.is_none() && !run.is_empty(), "{}: a block is open, or none is run", path.display());
    Readme { run, text }
}

/// What stands between backticks and begins as a command does.
fn inline_commands(text: &str) -> Vec<&str> {
    let spans = text.split('`').skip(1).step_by(2);
    // What another chapter shows is that chapter's to run.
    let is_ours = |span: &&str| !span.contains("-p ch") || span.contains("-p ch01-kv");
    let is_command =
        |span: &&str| ["cargo ", "redis-server -", "redis-cli -"].iter().any(|tool| span.starts_with(tool));
    spans.filter(is_command).filter(is_ours).collect()
}

#[test]
fn every_command_in_the_text_is_run_as_part_of_a_block_or_here() {
    let (root, chapter) = (readme("../README.md"), readme("README.md"));
    let mut seen = 0;
    for command in inline_commands(&root.text).into_iter().chain(inline_commands(&chapter.text)) {
        seen += 1;
        // A reader puts an organ in.
        let command = command.replace("NAME", "percentiles");
        let mut run = root.run.iter().chain(&chapter.run).map(String::as_str).chain(RUN_HERE);
        assert!(run.any(|line| line.starts_with(&command)), "nothing runs `{command}`");
    }
    assert!(seen > 3, "the text is searched");
}

#[test]
fn the_comparison_with_redis_runs_as_it_is_written() {
    let chapter = readme("README.md");
    for command in RUN_HERE {
        assert!(inline_commands(&chapter.text).contains(&command), "the README has no `{command}`");
        if !installed("redis-server") || !installed("redis-benchmark") {
            return;
        }
        let (_, args) = command.split_once(" -- ").expect("arguments");
        let less = "--rounds 1 --requests 2000 --clients 5 --keys 500 --memory-keys 20000";
        let data = tempfile::tempdir().expect("a directory");
        let mut bench = Command::new(env!("CARGO_BIN_EXE_ch01-kv"));
        bench.args(args.split(' ')).args(less.split(' ')).arg("--data").arg(data.path());
        let output = bench.stdin(Stdio::null()).output().expect("the program runs");
        let (said, why) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{why}");
        assert!(said.contains("ours / peer") && said.contains("fdatasync of the disk"), "{said}");
    }
}

#[test]
fn the_table_of_flags_has_every_flag_of_the_server() {
    let help = Command::new(env!("CARGO_BIN_EXE_ch01-kv")).args(["serve", "--help"]).output().expect("it runs");
    let help = String::from_utf8(help.stdout).expect("text");
    let (options, _) = help.split_once("Examples:").expect("options, then examples");
    let flags: Vec<&str> = options
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")))
        .filter(|flag| !["--help", "--verbose...", "--quiet"].contains(flag))
        .collect();
    assert!(flags.contains(&"--data") && flags.len() > 5, "{help}");
    let table = readme("README.md").text;
    for flag in flags {
        assert!(
            table.contains(&format!("`{flag} ")) || table.contains(&format!("`{flag}`")),
            "{flag} is not in the table"
        );
    }
}

/// Whether `tool` is there. Where it is not, says so, or fails where that is demanded.
fn installed(tool: &str) -> bool {
    if Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok() {
        return true;
    }
    assert!(std::env::var_os("CLIENTS").is_none_or(|clients| clients != "require"), "{tool} is not installed");
    // Past the capture of the test harness: a skip that nobody sees is a lie.
    writeln!(std::io::stderr(), "SKIPPED: {tool} is not installed").expect("standard error");
    false
}
