"""What applications do with redis-py: python redis_py.py PORT PROTOCOL."""

import sys
import threading
import time

import redis

port, protocol = int(sys.argv[1]), int(sys.argv[2])


def connect(**options):
    return redis.Redis(port=port, protocol=protocol, decode_responses=True, **options)


def pipelines(r):
    with r.pipeline(transaction=False) as pipe:
        for number in range(100):
            pipe.set(f"key:{number}", number).incr(f"key:{number}")
        replies = pipe.execute()
    assert replies == [reply for number in range(100) for reply in (True, number + 1)]
    with r.pipeline(transaction=False) as pipe:
        pipe.set("text", "x").incr("text").get("text")
        replies = pipe.execute(raise_on_error=False)
    assert replies[0] is True and isinstance(replies[1], redis.ResponseError) and replies[2] == "x"


def transactions(r):
    r.set("balance", 100)
    with r.pipeline() as pipe:
        assert pipe.incrby("balance", 5).get("balance").execute() == [105, "105"]
        pipe.watch("balance")
        seen = int(pipe.get("balance"))
        r.set("balance", 7)
        pipe.multi()
        pipe.set("balance", seen + 1)
        try:
            pipe.execute()
            raise AssertionError("a lost update went unnoticed")
        except redis.WatchError:
            pass
    assert r.get("balance") == "7"

    def increment(pipe):
        # Before multi(), a command runs at once, and would break the transaction's own watch.
        pipe.multi()
        pipe.incr("balance")

    assert r.transaction(increment, "balance") == [8]


def publishing(r):
    with r.pubsub() as subscriber:
        subscriber.subscribe("news")
        subscriber.psubscribe("new*")
        kinds = [subscriber.get_message(timeout=10)["type"] for _ in range(2)]
        assert kinds == ["subscribe", "psubscribe"], kinds
        assert r.publish("news", "hello") == 2
        messages = [subscriber.get_message(timeout=10) for _ in range(2)]
        assert [message["type"] for message in messages] == ["message", "pmessage"], messages
        assert {message["data"] for message in messages} == {"hello"}
        assert r.pubsub_numsub("news") == [("news", 1)]


def blocking(r):
    answers = []
    with connect(client_name="waiter") as other:
        waiter = threading.Thread(target=lambda: answers.append(other.blpop(["empty", "queue"], timeout=120)))
        waiter.start()
        deadline = time.monotonic() + 60
        while not any(known["name"] == "waiter" and known["flags"] == "b" for known in r.client_list()):
            assert time.monotonic() < deadline, f"nobody waits: {r.client_list()}"
        r.rpush("queue", "job")
        waiter.join()
    assert [list(answer) for answer in answers] == [["queue", "job"]], answers
    assert r.blpop("empty", timeout=0.01) is None
    assert r.blmove("empty", "queue", 0.01) is None


def values(r):
    raw = redis.Redis(port=port, protocol=protocol)
    everything = bytes(range(256)) * 100
    raw.set(everything[:300], everything)
    assert raw.get(everything[:300]) == everything
    r.hset("hash", mapping={"a": 1, "b": "two"})
    assert r.hgetall("hash") == {"a": "1", "b": "two"}
    r.sadd("set", "x", "y")
    assert r.smembers("set") == {"x", "y"}
    r.zadd("board", {"one": 1, "half": 0.5})
    assert [tuple(pair) for pair in r.zrange("board", 0, -1, withscores=True)] == [("half", 0.5), ("one", 1.0)]
    r.set("brief", "x", px=60_000)
    assert 0 < r.pttl("brief") <= 60_000
    r.mset({f"scanned:{number}": number for number in range(500)})
    assert set(r.scan_iter("scanned:*", count=50)) == {f"scanned:{number}" for number in range(500)}
    r.hset("wide", mapping={f"field{number}": number for number in range(1000)})
    assert dict(r.hscan_iter("wide")) == {f"field{number}": str(number) for number in range(1000)}


with connect() as client:
    client.flushall()
    for part in (pipelines, transactions, publishing, blocking, values):
        part(client)
    assert client.info("server")["redis_version"] == "7.0.15"
    assert client.config_get("appendonly") == {"appendonly": "yes"}
print("redis-py is content")
