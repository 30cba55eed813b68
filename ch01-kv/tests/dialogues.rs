//! Dialogues with the server's state machine, as scripts in `scripts/dialogues`: no socket, no disk, and a clock that
//! stands still unless told.
//!
//! A script's command is a request, its words as redis-cli would take them; its prefix (`a:`, `b:`) names the connection,
//! which is made when it is first named, and stands before its reply; what another connection is sent meanwhile stands behind
//! `to` and that one's name. `tick ms=100` lets time pass. `UPDATE_GOLDENFILES=1` takes the replies down anew.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use ch01_kv::protocol::config::Config;
use ch01_kv::protocol::service::Kv;
use common::net::Peer;
use common::resp::server::{ConnId, Effect, Flow, Now, Service};
use common::resp::{Limits, OwnedRequest, Protocol, Replies, decode_value};

#[test]
fn a_transaction_is_executed_as_one_and_does_not_roll_back() {
    run("transactions");
}

#[test]
fn a_watched_key_that_changes_breaks_the_transaction() {
    run("watch");
}

#[test]
fn subscribers_hear_what_is_published_and_may_say_little_else() {
    run("pubsub");
}

#[test]
fn errors_are_in_redis_words() {
    run("errors");
}

#[test]
fn a_pop_that_waits_is_answered_in_order_of_arrival() {
    run("blocking");
}

#[test]
fn a_pop_that_waits_is_served_by_the_key_that_comes_first() {
    run("woken");
}

#[test]
fn a_transaction_finds_room_for_all_of_it_or_is_not_begun() {
    run("memory");
}

#[test]
fn a_pause_for_writers_holds_back_what_writes() {
    run("pause");
}

#[test]
fn where_keys_may_be_given_up_nobody_is_refused_while_there_are_some() {
    let mut stage = Stage::new();
    let conn = stage.connect("a");
    let call = |stage: &mut Stage, words: &[&str]| {
        let mut replies = Replies::new(Protocol::Resp2);
        stage.kv.call(stage.now, conn, &OwnedRequest::new(words).as_request(), &mut replies);
        String::from_utf8(replies.take()).expect("text")
    };
    for n in 0..2_000 {
        assert_eq!(call(&mut stage, &["SET", &format!("key:{n}"), "value"]), "+OK\r\n");
    }
    call(&mut stage, &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru", "maxmemory", "1"]);
    assert_eq!(call(&mut stage, &["SET", "one", "more"]), "+OK\r\n");
    assert_ne!(call(&mut stage, &["DBSIZE"]), ":0\r\n", "what one command waits for is bounded");
    for _ in 0..20 {
        stage.kv.tick(stage.now);
    }
    assert_eq!(call(&mut stage, &["DBSIZE"]), ":0\r\n", "the rest goes with time");
}

#[test]
fn a_parameter_that_is_set_is_heeded_or_refused() {
    run("configuration");
}

#[test]
fn a_small_collection_is_scanned_in_its_order() {
    run("scans");
}

#[test]
fn a_client_is_listed_with_the_subcommand_that_it_sent() {
    let mut stage = Stage::new();
    stage.request("a", &OwnedRequest::new(["CLIENT", "SETNAME", "first"]));
    stage.request("b", &OwnedRequest::new(["GET", "key"]));
    let list = String::from_utf8(stage.request("c", &OwnedRequest::new(["CLIENT", "LIST"])).0).expect("text");
    let commands: Vec<&str> = list.split(' ').filter(|word| word.starts_with("cmd=")).collect();
    assert_eq!(commands, ["cmd=client|setname", "cmd=get", "cmd=client|list"], "{list}");
}

#[test]
fn the_command_table_tells_what_redis_tells() {
    run("introspection");
}

#[test]
fn the_numbers_of_databases_are_read_as_redis_reads_them() {
    run("databases");
}

#[test]
fn an_error_quotes_what_the_client_sent_byte_by_byte() {
    let mut stage = Stage::new();
    let cases: [(&[&[u8]], &[u8]); 9] = [
        (&[b"\xff\xfe", b"\xfd"], b"-ERR unknown command '\xff\xfe', with args beginning with: '\xfd' \r\n"),
        (&[b"CONFIG", b"\xff"], b"-ERR unknown subcommand '\xff'. Try CONFIG HELP.\r\n"),
        (
            &[b"CONFIG", b"SET", b"\xff", b"x"],
            b"-ERR Unknown option or number of arguments for CONFIG SET - '\xff'\r\n",
        ),
        (&[b"HELLO", b"3", b"\xff"], b"-ERR Syntax error in HELLO option '\xff'\r\n"),
        (&[b"EXPIRE", b"key", b"10", b"\xff"], b"-ERR Unsupported option \xff\r\n"),
        (&[b"FUNCTION", b"LIST", b"\xff"], b"-ERR Unknown argument \xff\r\n"),
        (&[b"CLIENT", b"LIST", b"TYPE", b"\xff"], b"-ERR Unknown client type '\xff'\r\n"),
        (&[b"CLIENT", b"KILL", b"USER", b"\xff"], b"-ERR No such user '\xff'\r\n"),
        (&[b"DEBUG", b"\xff"], b"-ERR unknown subcommand or wrong number of arguments for '\xff'. Try DEBUG HELP.\r\n"),
    ];
    for (request, wanted) in cases {
        let reply = stage.request("a", &OwnedRequest::new(request)).0;
        assert_eq!(reply.escape_ascii().to_string(), wanted.escape_ascii().to_string());
    }
}

#[test]
fn a_password_that_is_no_text_is_refused_and_not_mangled() {
    let mut stage = Stage::new();
    let set = [&b"CONFIG"[..], b"SET", b"requirepass", b"\xff"];
    let reply = stage.request("a", &OwnedRequest::new(set)).0;
    let reply = String::from_utf8(reply).expect("the value is not quoted");
    assert!(
        reply.ends_with("(possibly related to argument 'requirepass') - argument must be text in UTF-8\r\n"),
        "{reply}"
    );
    assert_eq!(stage.kv.config.requirepass, "");
}

#[test]
fn beyond_loopback_the_password_cannot_be_taken_away() {
    let mut stage = Stage::new();
    let take_away = OwnedRequest::new(["CONFIG", "SET", "requirepass", ""]);
    assert_eq!(stage.request("a", &take_away).0, b"+OK\r\n", "on loopback there need be none");
    stage.kv.config.listen = ([0, 0, 0, 0], 6379).into();
    stage.kv.config.requirepass = "secret".into();
    let reply = String::from_utf8(stage.request("a", &take_away).0).expect("text");
    assert!(reply.starts_with("-ERR CONFIG SET failed (possibly related to argument 'requirepass')"), "{reply}");
    assert_eq!(stage.kv.config.requirepass, "secret");
    assert_eq!(stage.request("a", &OwnedRequest::new(["CONFIG", "SET", "requirepass", "other"])).0, b"+OK\r\n");
}

#[test]
fn what_is_shown_of_eviction_is_what_it_does() {
    let config = Config::new(([127, 0, 0, 1], 6379).into(), "nowhere".into());
    assert_eq!(config.all()["maxmemory-samples"], ch01_kv::engine::eviction::SAMPLES.to_string());
}

#[test]
fn hits_and_misses_of_reads_are_counted() {
    let mut stage = Stage::new();
    for line in [&["SET", "a", "1"][..], &["GET", "a"], &["MGET", "a", "b", "c"], &["INCR", "d"]] {
        stage.request("a", &OwnedRequest::new(line));
    }
    let info = String::from_utf8(stage.request("a", &OwnedRequest::new(["INFO", "stats"])).0).expect("text");
    assert!(info.contains("\r\nkeyspace_hits:2\r\nkeyspace_misses:2\r\n"), "{info}");
}

#[test]
fn what_a_transaction_queues_is_bounded() {
    /// The least that the parameter may be set to, in bytes.
    const LIMIT: usize = 1 << 20;
    let mut stage = Stage::new();
    let text = |stage: &mut Stage, words: &[&str]| {
        String::from_utf8(stage.request("a", &OwnedRequest::new(words)).0).expect("text")
    };
    assert_eq!(text(&mut stage, &["CONFIG", "SET", "client-query-buffer-limit", "1mb"]), "+OK\r\n");
    let large = "v".repeat(100_000);
    // Ten large requests; or many small ones, whose text is the least part of what they take.
    for (request, at_least, at_most) in
        [(&["SET", "key", &large][..], 10, 10), (&["PING"], LIMIT / 256, LIMIT / "PING".len() / 8)]
    {
        for round in ["at first", "once more: what was queued before was given back"] {
            assert_eq!(text(&mut stage, &["MULTI"]), "+OK\r\n");
            let queued = (0..=at_most).take_while(|_| text(&mut stage, request) == "+QUEUED\r\n").count();
            assert!((at_least..=at_most).contains(&queued), "{queued} times {:?} are queued, {round}", request[0]);
            let refusal = "-ERR the transaction is larger than client-query-buffer-limit\r\n";
            assert_eq!(text(&mut stage, request), refusal);
            let discarded = "-EXECABORT Transaction discarded because of previous errors.\r\n";
            assert_eq!(text(&mut stage, &["EXEC"]), discarded, "half a transaction is none");
            assert_eq!(text(&mut stage, &["EXISTS", "key"]), ":0\r\n");
        }
    }
    text(&mut stage, &["MULTI"]);
    for _ in 0..10 {
        assert_eq!(text(&mut stage, &["SET", "key", &large]), "+QUEUED\r\n");
    }
    assert_eq!(text(&mut stage, &["EXEC"]), format!("*10\r\n{}", "+OK\r\n".repeat(10)), "what fits is executed");
}

#[test]
fn rates_are_those_of_the_last_second() {
    let mut stage = Stage::new();
    let shown = |stage: &Stage| -> Vec<String> {
        let info = ch01_kv::protocol::info::text(&stage.kv, stage.now, &["stats".to_owned()]);
        info.lines().filter_map(|line| line.strip_prefix("instantaneous_")).map(str::to_owned).collect()
    };
    let pass = |stage: &mut Stage, millis: u64| {
        stage.now.uptime += Duration::from_millis(millis);
        stage.kv.tick(stage.now);
    };
    pass(&mut stage, 1000);
    (0..30).for_each(|_| drop(stage.request("a", &OwnedRequest::new(["PING"]))));
    stage.kv.received(5 << 10);
    stage.kv.sent(1 << 10);
    pass(&mut stage, 900);
    assert_eq!(shown(&stage), ["ops_per_sec:0", "input_kbps:0.00", "output_kbps:0.00"], "the second is not over");
    pass(&mut stage, 1100);
    assert_eq!(shown(&stage), ["ops_per_sec:15", "input_kbps:2.50", "output_kbps:0.50"], "within two seconds");
    pass(&mut stage, 1000);
    assert_eq!(shown(&stage), ["ops_per_sec:0", "input_kbps:0.00", "output_kbps:0.00"]);
}

fn run(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/dialogues").join(name);
    goldenscript::run(&mut Stage::new(), path).unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// The state machine, and its connections by their names in the script.
struct Stage {
    kv: Kv,
    now: Now,
    clients: BTreeMap<String, (ConnId, Replies)>,
}

impl Stage {
    fn new() -> Self {
        let mut config = Config::new(([127, 0, 0, 1], 6379).into(), "nowhere".into());
        config.appendonly = false;
        let now = Now { unix_ms: 1_700_000_000_000, uptime: Duration::from_secs(1) };
        Self { kv: Kv::new(config, 1), now, clients: BTreeMap::new() }
    }

    fn connect(&mut self, name: &str) -> ConnId {
        if let Some((conn, _)) = self.clients.get(name) {
            return *conn;
        }
        let slot = self.clients.len();
        let conn = ConnId { slot, serial: slot as u64 + 1 };
        let port = 50_000 + u16::try_from(slot).expect("a script has few connections");
        let peer = Peer { remote: ([127, 0, 0, 1], port).into(), local: ([127, 0, 0, 1], 6379).into() };
        self.kv.connected(self.now, conn, peer);
        self.clients.insert(name.to_owned(), (conn, Replies::new(Protocol::Resp2)));
        conn
    }

    /// Executes a request; returns the reply.
    fn request(&mut self, name: &str, request: &OwnedRequest) -> (Vec<u8>, Flow) {
        let conn = self.connect(name);
        let (_, mut replies) = self.clients.remove(name).expect("it has just been made");
        self.kv.batch_began();
        let flow = self.kv.call(self.now, conn, &request.as_request(), &mut replies);
        let bytes = replies.take();
        self.clients.insert(name.to_owned(), (conn, replies));
        (bytes, flow)
    }

    /// Carries out what the machine asks for, and shows what each connection is sent.
    fn show(&mut self, replied: Option<(Vec<u8>, Flow)>) -> Result<String, Box<dyn Error>> {
        let mut shown = String::new();
        if let Some((bytes, flow)) = replied {
            write_values(&mut shown, "", &bytes)?;
            match flow {
                Flow::Continue => {}
                Flow::Block => writeln!(shown, "(waits)")?,
                Flow::Close => writeln!(shown, "(is closed)")?,
            }
        }
        self.kv.batch_done(self.now);
        while let Some(effect) = self.kv.effects().pop_front() {
            match effect {
                Effect::Send(conn, bytes) => write_values(&mut shown, &format!("to {}: ", self.name(conn)), &bytes)?,
                Effect::Resume(conn) => writeln!(shown, "({} is read on)", self.name(conn))?,
                other => writeln!(shown, "{other:?}")?,
            }
        }
        Ok(shown)
    }

    fn name(&self, conn: ConnId) -> String {
        let found = self.clients.iter().find(|(_, (known, _))| *known == conn);
        found.map(|(name, _)| name.clone()).expect("only connections of the script are sent anything")
    }
}

impl goldenscript::Runner for Stage {
    type Command = goldenscript::Command;

    fn run(&mut self, command: &Self::Command, context: &goldenscript::Context) -> Result<String, Box<dyn Error>> {
        if command.name == "tick" {
            let millis: u64 = command.consume_args().take_key("ms").ok_or("tick takes ms=")?.parse()?;
            self.now.unix_ms += millis;
            self.now.uptime += Duration::from_millis(millis);
            self.kv.tick(self.now);
            return self.show(None);
        }
        let name = context.prefix.as_deref().ok_or("a request takes the name of a connection, as in a:")?;
        let args = command.args.iter().map(|arg| match arg {
            goldenscript::Argument::Positional(word) => word.clone(),
            goldenscript::Argument::KeyValue(key, value) => format!("{key}={value}"),
            other => panic!("{other:?} is no word of a request"),
        });
        let request = OwnedRequest::new(std::iter::once(command.name.clone()).chain(args));
        let replied = self.request(name, &request);
        self.show(Some(replied))
    }
}

/// Writes each value on a line of its own, behind `to`.
fn write_values(shown: &mut String, to: &str, mut bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    while !bytes.is_empty() {
        let (_, len) = decode_value(bytes, &Limits::default())?.ok_or("half a reply")?;
        let (value, rest) = bytes.split_at(len);
        let value = value.trim_ascii_end().escape_ascii().to_string().replace("\\'", "'").replace("\\\"", "\"");
        writeln!(shown, "{to}{value}")?;
        bytes = rest;
    }
    Ok(())
}
