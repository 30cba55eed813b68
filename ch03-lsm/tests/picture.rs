//! The picture of the levels: it fits, and shows where tables lie.

use std::path::Path;
use std::sync::Arc;

use ch03_lsm::db::{Db, Options, WriteOptions};
use ch03_lsm::engine::leveled::Leveled;
use ch03_lsm::engine::levels::Levels;
use ch03_lsm::picture;
use common::cli::Look;
use common::disk::{Disk, SimDisk};

fn tree() -> Db {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    let strategy = Leveled { level0_tables: 3, base_bytes: 8 << 10, growth: 4, table_bytes: 2 << 10 };
    let options = Options { strategy: Arc::new(strategy), threads: 0, ..Options::default() };
    let (db, _) = Db::open(&disk, Path::new("/data"), options).expect("it opens");
    for round in 0..8u32 {
        for number in 0..200u32 {
            let key = format!("\x1b[31mkey{:03}", number * 7 % 200);
            db.put(key.as_bytes(), format!("{round} {number:060}").as_bytes(), WriteOptions::default()).expect("a put");
        }
        db.flush().expect("a flush");
        if round < 6 {
            db.settle().expect("it settles");
        }
    }
    db
}

#[test]
fn it_fits_into_any_width_and_no_key_moves_the_terminal() {
    let db = tree();
    for width in [40, 57, 80, 140] {
        for look in [Look { width, terminal: true, colour: false }, Look { width, ..Look::pipe() }] {
            let text = picture::levels(&db.levels(), look);
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
                assert!(!line.contains('\x1b'), "{line:?}");
            }
            if look.terminal {
                for line in picture::fill(&db.stats(), look).lines().chain(picture::costs(&db.stats(), look).lines()) {
                    assert!(line.chars().count() <= width, "{width}: {line}");
                }
            }
        }
    }
}

#[test]
fn each_table_of_level_0_has_a_row_and_a_deeper_level_has_all_of_its_own_in_one() {
    let db = tree();
    let text = picture::levels(&db.levels(), Look::pipe());
    println!("{text}\n{}\n{}", picture::fill(&db.stats(), Look::pipe()), picture::costs(&db.stats(), Look::pipe()));
    let stats = db.stats();
    let rows: Vec<&str> = text.lines().skip(1).collect();
    let level0 = rows.iter().take_while(|row| row.starts_with("level 0") || row.starts_with("  ")).count();
    assert_eq!(level0, stats.levels[0].tables);
    let deepest = rows.last().expect("a row");
    let tables = stats.levels.iter().rev().find(|level| level.tables > 0).expect("a level").tables;
    assert!(tables > 2);
    assert_eq!(deepest.matches('[').count(), tables, "{text}");
    assert_eq!(picture::levels(&Levels::new(), Look::pipe()), "There are no tables.");
}
