//! Space that a segment reserves: it spares syncs the metadata, it is given back, and it is told from what is lost.

use common::disk::log::{BLOCK_BYTES, Ending, FILL, Flaw, HEADER_BYTES, LogError, SegmentWriter};
use common::disk::{Crash, Fault, Operation, SimDisk};

use super::{FRAGMENT_HEADER_BYTES, MARK_BYTES, create, file, path, read, record};

/// How much the segments of the tests reserve at a time, in bytes: not a whole number of pages.
const STEP_BYTES: u64 = 10_000;

fn reserving(disk: &SimDisk) -> SegmentWriter {
    create(disk).unwrap().reserving(STEP_BYTES)
}

#[test]
fn a_sync_that_finds_no_space_left_reserves_some_and_those_after_it_find_the_file_as_long_as_it_was() {
    let disk = SimDisk::new(0);
    let mut writer = reserving(&disk);
    let file = file(&disk);
    let mut grown = 0;
    for number in 0..200 {
        let before = file.len().unwrap();
        let end = writer.append(&record(number, 100)).unwrap();
        writer.sync().unwrap();
        let len = file.len().unwrap();
        assert_eq!(len == before, end < before, "record {number}: {before} bytes were there, and it ends at {end}");
        assert!(
            len > end && len - end <= STEP_BYTES && len.is_multiple_of(STEP_BYTES),
            "record {number}: {len} for {end}"
        );
        assert_eq!(disk.durable(path()).unwrap().len() as u64, len, "record {number}: and all of it is durable");
        grown += u64::from(len > before);
        let found = read(&disk).unwrap();
        assert_eq!((found.records.len(), found.ending, found.end), (number + 1, Ending::Reserved, end));
    }
    assert_eq!(grown, writer.written().div_ceil(STEP_BYTES));
}

#[test]
fn space_is_reserved_for_small_writes_that_are_synced_and_for_no_others() {
    type Act<'a> = &'a dyn Fn(&mut SegmentWriter, &[u8]) -> Result<(), LogError>;
    let written = |act: Act<'_>, len| {
        let disk = SimDisk::new(0);
        let mut writer = reserving(&disk);
        act(&mut writer, &record(0, len)).unwrap();
        file(&disk).len().unwrap() - writer.written()
    };
    let synced = |writer: &mut SegmentWriter, record: &[u8]| writer.append(record).and_then(|_| writer.sync());
    let small = STEP_BYTES as usize / 8 - FRAGMENT_HEADER_BYTES;
    assert!(written(&synced, small) > 0);
    assert_eq!(written(&synced, small + 1), 0, "much at a time costs more twice than what it saves");
    assert_eq!(written(&|writer, record| writer.append(record).and_then(|_| writer.write()), small), 0, "no sync");
    assert_eq!(written(&|writer, _| writer.sync(), 0), 0, "nothing was written");
    assert_eq!(written(&|writer, record| synced(writer, record).and_then(|()| writer.finish()), small), 0, "ended");
    assert_eq!(written(&|writer, record| synced(writer, record).and_then(|()| writer.seal()), small), 0, "sealed");
}

#[test]
fn a_segment_is_cut_where_it_ends_and_one_that_cannot_be_cut_can_be_ended_again() {
    type End = fn(&mut SegmentWriter) -> Result<(), LogError>;
    let ends: [(&str, End); 2] = [("finish", SegmentWriter::finish), ("seal", SegmentWriter::seal)];
    for (name, end) in ends {
        let disk = SimDisk::new(0);
        let mut writer = create(&disk).unwrap().reserving(3 * BLOCK_BYTES as u64);
        writer.append(b"one").unwrap();
        writer.sync().unwrap();
        writer.append(b"two").unwrap();
        disk.fail_nth(Operation::SetLen, 1, Fault::Eio);
        let error = end(&mut writer).unwrap_err();
        assert!(matches!(error, LogError::Io { action: "cut", .. }), "{name}: {error}");
        assert_eq!(read(&disk).unwrap().ending, Ending::Reserved, "{name}: what there is can be read");
        end(&mut writer).unwrap();
        disk.crash(Crash::LoseAll);
        let found = read(&disk).unwrap();
        assert_eq!((found.records, found.ending), (vec![b"one".to_vec(), b"two".to_vec()], Ending::Clean), "{name}");
        assert_eq!(disk.durable(path()).unwrap().len() as u64, writer.written(), "{name}: and the cut is durable");
    }
}

#[test]
fn a_disk_without_room_for_reserved_space_takes_records_all_the_same() {
    let disk = SimDisk::new(0);
    let mut writer = reserving(&disk);
    disk.set_capacity(Some(STEP_BYTES / 2));
    let mut records = 0;
    loop {
        writer.append(&record(records, 100)).unwrap();
        if let Err(error) = writer.sync() {
            assert!(matches!(error, LogError::Io { action: "write", .. }), "{error}");
            break;
        }
        records += 1;
        assert_eq!(disk.used_bytes(), writer.written(), "what was taken in vain is given back");
    }
    let record_bytes = MARK_BYTES + FRAGMENT_HEADER_BYTES + 100;
    assert_eq!(records, (STEP_BYTES as usize / 2 - HEADER_BYTES + MARK_BYTES) / record_bytes, "the disk is full");
    disk.set_capacity(None);
    let found = read(&disk).unwrap();
    assert_eq!(found.records.len(), records);
}

#[test]
fn an_error_while_space_is_reserved_is_told_and_the_record_may_be_there_or_not() {
    for k in 2..=3 {
        let disk = SimDisk::new(0);
        let mut writer = reserving(&disk);
        writer.append(b"one").unwrap();
        disk.fail_nth(Operation::Write, k, Fault::Eio);
        let error = writer.sync().unwrap_err();
        assert!(matches!(error, LogError::Io { action: "reserve space in", .. }), "write {k}: {error}");
        assert_eq!(writer.durable(), HEADER_BYTES as u64, "write {k}: nothing was promised");
        assert_eq!(read(&disk).unwrap().records, [b"one"], "write {k}");
        assert_eq!(read(&disk).unwrap().end, writer.written(), "write {k}");
        writer.seal().unwrap();
        assert_eq!(read(&disk).unwrap().ending, Ending::Clean, "write {k}: and a segment that goes on is cut");
    }
}

#[test]
fn reserved_space_is_an_end_only_if_nothing_else_follows_and_wherever_in_a_block_it_begins() {
    for left in 0..=12 {
        for tail in [1, 5, 7, 8, 100, BLOCK_BYTES, 2 * BLOCK_BYTES + 3] {
            let disk = SimDisk::new(0);
            let mut writer = create(&disk).unwrap();
            let filler = record(1, BLOCK_BYTES - HEADER_BYTES - FRAGMENT_HEADER_BYTES - left);
            let end = writer.append(&filler).unwrap();
            writer.sync().unwrap();
            let file = file(&disk);
            file.write_at(&vec![FILL; tail], end).unwrap();
            let what = format!("{left} bytes left in the block, {tail} reserved");
            let found = read(&disk).unwrap();
            assert_eq!((found.records.len(), found.ending, found.end), (1, Ending::Reserved, end), "{what}");
            for other in [0, FILL ^ 1] {
                // At the end, in the middle, and right behind the record.
                for at in [tail - 1, tail / 2, 0] {
                    file.write_at(&[other], end + at as u64).unwrap();
                    let found = read(&disk).unwrap();
                    // A zero that is all there is between the record and the end of its block is padding.
                    let is_padding = other == 0 && tail == 1 && left <= FRAGMENT_HEADER_BYTES;
                    assert_eq!(found.records.len(), 1, "{what}");
                    let is_torn = matches!(found.ending, Ending::Torn(_));
                    assert!(is_torn || is_padding, "{what}, {other} at {at}: {:?}", found.ending);
                    file.write_at(&[FILL], end + at as u64).unwrap();
                }
            }
        }
    }
}

#[test]
fn a_lost_sector_of_a_segment_with_reserved_space_is_never_its_end() {
    let disk = SimDisk::new(0);
    let mut writer = reserving(&disk);
    for number in 0..30 {
        writer.append(&record(number, 100)).unwrap();
        writer.sync().unwrap();
    }
    // What a mark attests to that is not lost itself: the last one comes right before the last record.
    let attested = read(&disk).unwrap().attested;
    let sectors = file(&disk).len().unwrap().div_ceil(512);
    // Lost bytes read as zeros; a write that was dropped leaves what was reserved.
    for content in [0, FILL] {
        for sector in 1..sectors {
            let fork = disk.fork();
            let (begin, end) = (sector * 512, (sector * 512 + 512).min(file(&disk).len().unwrap()));
            file(&fork).write_at(&vec![content; (end - begin) as usize], begin).unwrap();
            let what = format!("sector {sector} of {sectors} is {content}");
            match read(&fork) {
                Err(LogError::Damaged { flaw, .. }) => {
                    assert!(begin < attested, "{what}");
                    assert!(
                        [Flaw::Zeros, Flaw::Reserved, Flaw::Checksum, Flaw::CutOff].contains(&flaw),
                        "{what}: {flaw}"
                    );
                }
                Ok(found) if end > attested => {
                    let is_unchanged = content == FILL && begin >= writer.written();
                    assert_eq!(found.records.len() == 30, begin >= writer.written(), "{what}");
                    assert_eq!(found.ending == Ending::Reserved, is_unchanged, "{what}: {:?}", found.ending);
                }
                other => panic!("{what}: {:?}", other.map(|found| (found.records.len(), found.ending))),
            }
        }
    }
}

#[test]
fn a_seal_is_one_whether_the_zeros_before_it_were_written_or_not() {
    for left in [2, 7, 8, 5_000] {
        let disk = SimDisk::new(0);
        let mut writer = create(&disk).unwrap().reserving(3 * BLOCK_BYTES as u64);
        writer.append(&record(0, BLOCK_BYTES - HEADER_BYTES - FRAGMENT_HEADER_BYTES - left)).unwrap();
        writer.write().unwrap();
        let end = writer.written();
        writer.seal().unwrap();
        for lost in [0..left, 0..left / 2, left / 2..left] {
            let fork = disk.fork();
            let file = file(&fork);
            file.write_at(&vec![FILL; lost.len()], end + lost.start as u64).unwrap();
            let found = read(&fork).unwrap();
            assert_eq!((found.records.len(), found.ending), (1, Ending::Clean), "{left} bytes left, {lost:?} lost");
            // The power failed before the cut was durable.
            file.write_at(&[FILL; 1_000], writer.written()).unwrap();
            assert_eq!(read(&fork).unwrap().ending, Ending::Reserved, "{left} bytes left, {lost:?} lost, not cut");
        }
    }
}
