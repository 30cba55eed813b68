//! The contract between engines and their interpreters, as far as its types hold it.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use common::engine::{Effect, Effects, Engine, Event, Failure, Lsn, Moment, NodeId, Now, RequestId, WallTime};

struct Echo;

impl Engine for Echo {
    type Message = String;
    type Request = String;
    type Reply = String;
    type Record = String;
    type Timer = u8;
    type Job = ();
    type Done = ();

    fn handle(&mut self, now: Now, event: Event<Self>, effects: &mut Effects<Self>) {
        match event {
            Event::Request { id, request } => {
                effects.send(NodeId(2), request.clone(), Lsn::NOTHING);
                let lsn = effects.persist(request.clone());
                effects.reply(id, request, lsn);
            }
            Event::Timer(timer) => effects.set_timer(timer, now.monotonic + Duration::from_millis(5)),
            _ => effects.cancel_timer(1),
        }
    }
}

fn now() -> Now {
    Now { monotonic: Moment::from_nanos(7_000_001), wall: WallTime::from_nanos(0) }
}

#[test]
fn positions_are_counted_from_where_the_engine_is() {
    let mut effects = Effects::<Echo>::new(Lsn(41));
    assert_eq!(effects.persisted(), Lsn(41));
    assert_eq!(effects.persist("a".into()), Lsn(42));
    assert_eq!(effects.persist("b".into()), Lsn(43));
    assert_eq!(effects.persisted(), Lsn(43));
    let mut list = effects.into_list();
    assert_eq!(list.len(), 2);
    list.clear();
    assert_eq!(Effects::<Echo>::reuse(list, Lsn(43)).persist("c".into()), Lsn(44));
}

#[test]
fn what_an_engine_wants_reads_like_what_it_said() {
    let mut effects = Effects::new(Lsn(9));
    Echo.handle(now(), Event::Request { id: RequestId(3), request: "hello".into() }, &mut effects);
    Echo.handle(now(), Event::Timer(4), &mut effects);
    Echo.handle(now(), Event::DiskFull, &mut effects);
    let lines: Vec<String> = effects.list().iter().map(|effect| format!("{effect:?}")).collect();
    let expected = [
        "send to n2 \"hello\"",
        "persist 10 \"hello\"",
        "reply to r3 \"hello\" after 10",
        "set 4 to 12.000001 ms",
        "cancel 1",
    ];
    assert_eq!(lines, expected);
    assert!(matches!(&effects.list()[2], Effect::Reply { after: Lsn(10), .. }));
    let event = Event::<Echo>::Message { from: NodeId(1), message: "x".into() };
    assert_eq!(format!("{event:?}"), "n1 says \"x\"");
}

#[test]
#[should_panic(expected = "waits for what has been persisted")]
#[cfg(debug_assertions)]
fn an_effect_cannot_wait_for_what_was_never_persisted() {
    Effects::<Echo>::new(Lsn(1)).send(NodeId(2), "x".into(), Lsn(2));
}

#[test]
fn clocks_are_compared_without_going_below_zero() {
    let (early, late) = (Moment::from_nanos(5), Moment::from_nanos(1_005));
    assert_eq!(late.since(early), Duration::from_micros(1));
    assert_eq!(early.since(late), Duration::ZERO);
    assert_eq!(early + Duration::from_micros(1), late);
    assert_eq!(WallTime::from_nanos(1).since(WallTime::from_nanos(2)), Duration::ZERO);
    assert_eq!(Moment::from_nanos(u64::MAX) + Duration::from_secs(1), Moment::from_nanos(u64::MAX));
}

#[test]
fn a_full_disk_can_be_waited_for_and_other_failures_cannot() {
    assert!(matches!(Failure::from(Error::from(ErrorKind::StorageFull)), Failure::Full(_)));
    assert!(matches!(Failure::from(Error::from(ErrorKind::QuotaExceeded)), Failure::Full(_)));
    assert!(matches!(Failure::from(Error::other("EIO")), Failure::Fatal(_)));
}
