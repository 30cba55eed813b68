//! What any disk does: the same properties on the machine's file system and on the simulated one, and the same answers
//! to the same random calls.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::disk::{Disk, DiskError, DiskFile, Open, RealDisk, SimDisk, create_dir_durably};
use proptest::prelude::*;

use crate::{content, open};

macro_rules! on_both_disks {
    ($($property:ident)*) => {
        mod real {
            $(#[test] fn $property() {
                let directory = tempfile::tempdir().unwrap();
                super::$property(&super::RealDisk::new(), directory.path());
            })*
        }
        mod simulated {
            $(#[test] fn $property() {
                let disk = super::SimDisk::new(1);
                super::Disk::create_dir_all(&disk, "/somewhere".as_ref()).unwrap();
                super::$property(&disk, "/somewhere".as_ref());
            })*
        }
    };
}

on_both_disks! {
    what_is_written_is_read_back
    a_gap_reads_as_zeros
    a_cut_file_forgets_what_it_held
    each_way_to_open_does_what_it_says
    opening_fails_with_the_kind_that_says_why
    a_read_only_file_refuses_changes
    a_rename_replaces_what_had_the_name
    a_removed_file_lives_on_in_its_handles
    a_hard_link_is_a_second_name_of_one_file
    a_list_is_sorted_and_speaks_as_it_was_asked
    directories_are_created_with_their_parents
    only_directories_are_synced_as_directories
    an_empty_path_is_the_working_directory
    a_lock_excludes_until_it_is_dropped
    an_error_names_the_file_and_the_offset
    threads_write_to_their_own_ranges
}

fn kind<T>(result: io::Result<T>) -> ErrorKind {
    result.err().expect("the call fails").kind()
}

fn what_is_written_is_read_back(disk: &dyn Disk, root: &Path) {
    let file = open(disk, root.join("f"), Open::New);
    assert!(file.is_empty().unwrap());
    let bytes: Vec<u8> = (0..20_000u32).map(|at| (at % 251) as u8).collect();
    file.write_at(&bytes, 0).unwrap();
    file.write_at(b"overwritten", 4090).unwrap();
    let mut expected = bytes;
    expected[4090..4101].copy_from_slice(b"overwritten");
    assert_eq!(content(disk, root.join("f")), expected);
    let mut part = [0; 100];
    assert_eq!(file.read_at(&mut part, 19_950).unwrap(), 50, "short at the end of the file");
    assert_eq!(part[..50], expected[19_950..]);
    assert_eq!(file.read_at(&mut part, 20_000).unwrap(), 0);
    assert_eq!(file.read_at(&mut part, 1 << 40).unwrap(), 0);
    file.sync_data().unwrap();
    assert_eq!(content(disk, root.join("f")), expected, "a sync changes nothing that is seen");
}

fn a_gap_reads_as_zeros(disk: &dyn Disk, root: &Path) {
    let file = open(disk, root.join("f"), Open::New);
    file.write_at(b"end", 10_000).unwrap();
    assert_eq!(content(disk, root.join("f")), [&[0; 10_000][..], b"end"].concat());
}

fn a_cut_file_forgets_what_it_held(disk: &dyn Disk, root: &Path) {
    let file = open(disk, root.join("f"), Open::New);
    file.write_at(&[1; 9000], 0).unwrap();
    file.set_len(100).unwrap();
    assert_eq!(file.len().unwrap(), 100);
    file.set_len(9000).unwrap();
    assert_eq!(content(disk, root.join("f")), [&[1; 100][..], &[0; 8900]].concat());
}

fn each_way_to_open_does_what_it_says(disk: &dyn Disk, root: &Path) {
    let path = root.join("f");
    open(disk, &path, Open::New).write_at(b"first", 0).unwrap();
    for how in [Open::ReadOnly, Open::Existing, Open::Create] {
        drop(open(disk, &path, how));
        assert_eq!(content(disk, &path), b"first", "{how:?} keeps the content");
    }
    drop(open(disk, &path, Open::Truncate));
    assert_eq!(content(disk, &path), b"");
    for (name, how) in [("created", Open::Create), ("truncated", Open::Truncate)] {
        assert!(!disk.exists(&root.join(name)).unwrap());
        drop(open(disk, root.join(name), how));
        assert!(disk.exists(&root.join(name)).unwrap(), "{how:?} creates");
    }
}

fn opening_fails_with_the_kind_that_says_why(disk: &dyn Disk, root: &Path) {
    drop(open(disk, root.join("f"), Open::New));
    assert_eq!(kind(disk.open(&root.join("f"), Open::New)), ErrorKind::AlreadyExists);
    assert_eq!(kind(disk.open(&root.join("none"), Open::Existing)), ErrorKind::NotFound);
    assert_eq!(kind(disk.open(&root.join("none"), Open::ReadOnly)), ErrorKind::NotFound);
    assert_eq!(kind(disk.open(&root.join("none/f"), Open::Create)), ErrorKind::NotFound);
    assert_eq!(kind(disk.open(&root.join("f/g"), Open::Create)), ErrorKind::NotADirectory);
    for how in [Open::ReadOnly, Open::Existing, Open::Create, Open::Truncate] {
        assert_eq!(kind(disk.open(root, how)), ErrorKind::IsADirectory, "{how:?}");
    }
}

fn a_read_only_file_refuses_changes(disk: &dyn Disk, root: &Path) {
    open(disk, root.join("f"), Open::New).write_at(b"kept", 0).unwrap();
    let file = open(disk, root.join("f"), Open::ReadOnly);
    assert!(file.write_at(b"lost", 0).is_err());
    assert!(file.set_len(0).is_err());
    assert_eq!(content(disk, root.join("f")), b"kept");
}

fn a_rename_replaces_what_had_the_name(disk: &dyn Disk, root: &Path) {
    let (old, new) = (root.join("current"), root.join("current.tmp"));
    let replaced = open(disk, &old, Open::New);
    replaced.write_at(b"old", 0).unwrap();
    open(disk, &new, Open::New).write_at(b"new", 0).unwrap();
    disk.rename(&new, &old).unwrap();
    assert_eq!(content(disk, &old), b"new");
    assert!(!disk.exists(&new).unwrap());
    let mut bytes = [0; 3];
    replaced.read_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"old", "who had the old file open goes on reading it");
    assert_eq!(kind(disk.rename(&new, &old)), ErrorKind::NotFound);
    disk.create_dir_all(&root.join("directory")).unwrap();
    assert_eq!(kind(disk.rename(&old, &root.join("directory"))), ErrorKind::IsADirectory);
    disk.rename(&old, &old).unwrap();
    assert_eq!(content(disk, &old), b"new", "a rename to itself is nothing");
}

fn a_removed_file_lives_on_in_its_handles(disk: &dyn Disk, root: &Path) {
    let path = root.join("f");
    let file = open(disk, &path, Open::New);
    file.write_at(b"still here", 0).unwrap();
    disk.remove(&path).unwrap();
    assert!(!disk.exists(&path).unwrap());
    assert_eq!(file.len().unwrap(), 10);
    file.write_at(b"!", 10).unwrap();
    file.sync_data().unwrap();
    open(disk, &path, Open::New).write_at(b"another", 0).unwrap();
    let mut bytes = [0; 11];
    file.read_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"still here!");
    disk.remove(&path).unwrap();
    assert_eq!(kind(disk.remove(&path)), ErrorKind::NotFound);
}

fn a_hard_link_is_a_second_name_of_one_file(disk: &dyn Disk, root: &Path) {
    let (first, second) = (root.join("first"), root.join("second"));
    let file = open(disk, &first, Open::New);
    disk.hard_link(&first, &second).unwrap();
    file.write_at(b"shared", 0).unwrap();
    assert_eq!(content(disk, &second), b"shared");
    assert_eq!(kind(disk.hard_link(&first, &second)), ErrorKind::AlreadyExists);
    assert_eq!(kind(disk.hard_link(&root.join("none"), &root.join("third"))), ErrorKind::NotFound);
    disk.rename(&first, &second).unwrap();
    assert!(disk.exists(&first).unwrap(), "POSIX leaves two names of one file alone");
    disk.remove(&first).unwrap();
    assert_eq!(content(disk, &second), b"shared");
}

fn a_list_is_sorted_and_speaks_as_it_was_asked(disk: &dyn Disk, root: &Path) {
    for name in ["b", "a.log", "a", "c"] {
        drop(open(disk, root.join(name), Open::New));
    }
    disk.create_dir_all(&root.join("aa/inner")).unwrap();
    let expected: Vec<PathBuf> = ["a", "a.log", "aa", "b", "c"].iter().map(|name| root.join(name)).collect();
    assert_eq!(disk.list(root).unwrap(), expected);
    assert_eq!(disk.list(&root.join("aa/../aa")).unwrap(), [root.join("aa/../aa/inner")]);
    assert_eq!(kind(disk.list(&root.join("none"))), ErrorKind::NotFound);
    assert_eq!(kind(disk.list(&root.join("b"))), ErrorKind::NotADirectory);
}

fn directories_are_created_with_their_parents(disk: &dyn Disk, root: &Path) {
    let deep = root.join("x/y/z");
    disk.create_dir_all(&deep).unwrap();
    disk.create_dir_all(&deep).expect("it may be there already");
    assert!(disk.exists(&deep).unwrap());
    drop(open(disk, deep.join("f"), Open::New));
    assert_eq!(kind(disk.create_dir_all(&deep.join("f"))), ErrorKind::AlreadyExists);
    assert_eq!(kind(disk.create_dir_all(&deep.join("f/g"))), ErrorKind::NotADirectory);
    create_dir_durably(disk, &root.join("x/y/p/q")).unwrap();
    create_dir_durably(disk, &root.join("x/y/p/q")).expect("it may be there already");
    assert_eq!(disk.list(&root.join("x/y")).unwrap(), [root.join("x/y/p"), root.join("x/y/z")]);
}

fn only_directories_are_synced_as_directories(disk: &dyn Disk, root: &Path) {
    drop(open(disk, root.join("f"), Open::New));
    disk.sync_dir(root).unwrap();
    assert_eq!(kind(disk.sync_dir(&root.join("f"))), ErrorKind::NotADirectory);
    assert_eq!(kind(disk.sync_dir(&root.join("none"))), ErrorKind::NotFound);
}

fn an_empty_path_is_the_working_directory(disk: &dyn Disk, _root: &Path) {
    let parent = Path::new("bare-name").parent().unwrap();
    assert!(disk.exists(parent).unwrap());
    disk.sync_dir(parent).unwrap();
    disk.list(parent).unwrap();
}

fn a_lock_excludes_until_it_is_dropped(disk: &dyn Disk, root: &Path) {
    let path = root.join("LOCK");
    let held = disk.lock(&path).unwrap();
    assert!(disk.exists(&path).unwrap(), "the file is created");
    assert_eq!(kind(disk.lock(&path)), ErrorKind::WouldBlock);
    assert_eq!(kind(disk.lock(&path)), ErrorKind::WouldBlock, "a refusal does not let go of another's lock");
    let other = disk.lock(&root.join("OTHER")).unwrap();
    drop(open(disk, &path, Open::Existing));
    assert_eq!(kind(disk.lock(&path)), ErrorKind::WouldBlock, "who opens the file does not hold the lock");
    drop(held);
    drop(disk.lock(&path).unwrap());
    drop(disk.lock(&path).unwrap());
    drop(other);
}

fn an_error_names_the_file_and_the_offset(disk: &dyn Disk, root: &Path) {
    let path = root.join("f");
    open(disk, &path, Open::New).write_at(b"x", 0).unwrap();
    let error = open(disk, &path, Open::ReadOnly).write_at(b"y", 77).unwrap_err();
    let detail: &DiskError = error.get_ref().unwrap().downcast_ref().expect("every error carries its context");
    assert_eq!((detail.action, detail.path.as_path(), detail.offset), ("write", path.as_path(), Some(77)));
    assert_eq!(detail.cause.raw_os_error(), Some(rustix::io::Errno::BADF.raw_os_error()));
    assert_eq!(error.kind(), detail.cause.kind());
    let beginning = format!("cannot write {} at byte 77: ", path.display());
    assert!(error.to_string().starts_with(&beginning), "{error}");
}

fn threads_write_to_their_own_ranges(disk: &dyn Disk, root: &Path) {
    let file = open(disk, root.join("f"), Open::New);
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let file = Arc::clone(&file);
            scope.spawn(move || {
                for step in 0..50 {
                    file.write_at(&[thread as u8 + 1; 100], (step * 4 + thread) * 100).unwrap();
                }
                file.sync_data().unwrap();
            });
        }
    });
    let expected: Vec<u8> = (0..20_000).map(|at| (at / 100 % 4) as u8 + 1).collect();
    assert_eq!(content(disk, root.join("f")), expected);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_told_by_its_kind() {
    // Linux' own fault injector: every write to it fails with ENOSPC.
    let path = Path::new("/dev/full");
    let error = open(&RealDisk::new(), path, Open::Existing).write_at(b"x", 5).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert!(error.to_string().starts_with("cannot write /dev/full at byte 5: "), "{error}");
}

/// A call with arguments from a range that is small enough for calls to meet each other.
#[derive(Debug, Clone)]
enum Call {
    Open(usize, Open),
    Close(usize),
    Write { handle: usize, offset: u64, data: Vec<u8> },
    SetLen(usize, u64),
    Read { handle: usize, offset: u64, len: usize },
    Sync(usize),
    Rename(usize, usize),
    Remove(usize),
    Link(usize, usize),
    CreateDir(usize),
    SyncDir(usize),
    List(usize),
}

/// `d` and `d/e` are directories now and then, and files at other times.
const PATHS: [&str; 7] = ["a", "b", "d", "d/a", "d/b", "d/e", "d/e/a"];

fn any_call() -> impl Strategy<Value = Call> {
    let path = 0..PATHS.len();
    let how = prop_oneof![
        Just(Open::ReadOnly),
        Just(Open::Existing),
        Just(Open::Create),
        Just(Open::New),
        Just(Open::Truncate)
    ];
    let data = (any::<u8>(), 0usize..6000).prop_map(|(byte, len)| vec![byte; len]);
    prop_oneof![
        4 => (path.clone(), how).prop_map(|(path, how)| Call::Open(path, how)),
        1 => any::<usize>().prop_map(Call::Close),
        4 => (any::<usize>(), 0u64..9000, data).prop_map(|(handle, offset, data)| Call::Write { handle, offset, data }),
        1 => (any::<usize>(), 0u64..9000).prop_map(|(handle, len)| Call::SetLen(handle, len)),
        2 => (any::<usize>(), 0u64..9000, 0usize..9000)
            .prop_map(|(handle, offset, len)| Call::Read { handle, offset, len }),
        1 => any::<usize>().prop_map(Call::Sync),
        2 => (path.clone(), path.clone()).prop_map(|(from, to)| Call::Rename(from, to)),
        1 => path.clone().prop_map(Call::Remove),
        1 => (path.clone(), path.clone()).prop_map(|(original, link)| Call::Link(original, link)),
        1 => path.clone().prop_map(Call::CreateDir),
        1 => path.clone().prop_map(Call::SyncDir),
        1 => path.prop_map(Call::List),
    ]
}

/// Does the calls, and writes down each answer. Calls that rename, replace, remove or link a directory are left out:
/// what they do is the implementation's own business.
fn answers(disk: &dyn Disk, root: &Path, calls: &[Call]) -> Vec<String> {
    let mut handles: Vec<Arc<dyn DiskFile>> = Vec::new();
    let at = |path: usize| root.join(PATHS[path]);
    let is_directory = |path: usize| disk.list(&at(path)).is_ok();
    let relative = |paths: Vec<PathBuf>| -> Vec<PathBuf> {
        paths.iter().map(|path| path.strip_prefix(root).unwrap().to_owned()).collect()
    };
    let mut answers = Vec::new();
    for call in calls {
        let answer = match call {
            Call::Open(path, how) => disk.open(&at(*path), *how).map(|file| {
                handles.push(file);
                String::new()
            }),
            Call::Rename(from, to) if is_directory(*from) || is_directory(*to) => continue,
            Call::Remove(path) | Call::Link(path, _) if is_directory(*path) => continue,
            Call::Rename(from, to) => disk.rename(&at(*from), &at(*to)).map(|()| String::new()),
            Call::Remove(path) => disk.remove(&at(*path)).map(|()| String::new()),
            Call::Link(original, link) => disk.hard_link(&at(*original), &at(*link)).map(|()| String::new()),
            Call::CreateDir(path) => disk.create_dir_all(&at(*path)).map(|()| String::new()),
            Call::SyncDir(path) => disk.sync_dir(&at(*path)).map(|()| String::new()),
            Call::List(path) => disk.list(&at(*path)).map(|paths| format!("{:?}", relative(paths))),
            _ if handles.is_empty() => continue,
            Call::Close(handle) => {
                let position = handle % handles.len();
                drop(handles.swap_remove(position));
                continue;
            }
            Call::Write { handle, offset, data } => {
                let file = &handles[handle % handles.len()];
                file.write_at(data, *offset).and_then(|()| Ok(format!("length {}", file.len()?)))
            }
            Call::SetLen(handle, len) => handles[handle % handles.len()].set_len(*len).map(|()| String::new()),
            Call::Sync(handle) => handles[handle % handles.len()].sync_data().map(|()| String::new()),
            Call::Read { handle, offset, len } => {
                let mut bytes = vec![0; *len];
                let read = handles[handle % handles.len()].read_at(&mut bytes, *offset);
                read.map(|count| format!("{count} bytes, checksum {:08x}", crc32fast::hash(&bytes[..count])))
            }
        };
        answers.push(match answer {
            Ok(answer) => format!("{call:?}: ok {answer}"),
            Err(error) => format!("{call:?}: {:?}", error.kind()),
        });
    }
    for path in PATHS {
        answers.push(format!("{path}: {:?}", disk.exists(&root.join(path)).map_err(|error| error.kind())));
    }
    answers
}

proptest! {
    // Fewer cases than usual: the real disk syncs for real.
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_simulated_disk_answers_as_the_real_one(calls in proptest::collection::vec(any_call(), 1..60)) {
        let directory = tempfile::tempdir().unwrap();
        let real = answers(&RealDisk::new(), directory.path(), &calls);
        let simulated = answers(&SimDisk::new(0), Path::new("/"), &calls);
        prop_assert_eq!(real, simulated);
    }
}
