// What applications do with node-redis: node node_redis.cjs PORT. CommonJS, for only that heeds NODE_PATH.
"use strict";
const assert = require("node:assert/strict");
const { createClient, WatchError } = require("redis");

const url = `redis://127.0.0.1:${process.argv[2]}`;

async function connect(RESP) {
  const client = createClient({ url, RESP });
  client.on("error", (error) => { throw error; });
  return client.connect();
}

async function converse(RESP) {
  const client = await connect(RESP);
  await client.flushAll();

  await client.hSet("hash", { a: "1", b: "two" });
  assert.deepEqual({ ...(await client.hGetAll("hash")) }, { a: "1", b: "two" });
  await client.zAdd("board", [{ score: 0.5, value: "half" }, { score: 1, value: "one" }]);
  assert.deepEqual((await client.zRangeWithScores("board", 0, -1)).map(({ value, score }) => [value, score]),
    [["half", 0.5], ["one", 1]]);
  assert.equal(await client.get("nothing"), null);
  await assert.rejects(client.incr("hash"), /WRONGTYPE Operation against a key holding the wrong kind of value/);

  assert.deepEqual(await client.multi().set("counter", "1").incr("counter").get("counter").exec(), ["OK", 2, "2"]);
  await client.watch("counter");
  const rival = await connect(RESP);
  await rival.set("counter", "100");
  await assert.rejects(client.multi().incr("counter").exec(), WatchError);
  assert.equal(await client.get("counter"), "100");

  const subscriber = await connect(RESP);
  const heard = new Promise((resolve) => subscriber.subscribe("news", (message, channel) => resolve([channel, message]))
    .then(() => rival.publish("news", "hello")));
  assert.deepEqual(await heard, ["news", "hello"]);
  const matched = new Promise((resolve) => subscriber.pSubscribe("ne*", (message, channel) => resolve([channel, message]))
    .then(() => rival.publish("nerd", "again")));
  assert.deepEqual(await matched, ["nerd", "again"]);
  await subscriber.unsubscribe();
  await subscriber.pUnsubscribe();
  assert.equal(String(await subscriber.ping()), "PONG");

  const waiter = await connect(RESP);
  const popped = waiter.blPop(["empty", "queue"], 120);
  const blocked = async () => /flags=b/.test(String(await client.sendCommand(["CLIENT", "LIST"])));
  for (const began = Date.now(); !(await blocked());) assert.ok(Date.now() - began < 60_000, "blPop never waited");
  await client.rPush("queue", "job");
  assert.deepEqual({ ...(await popped) }, { key: "queue", element: "job" });
  assert.equal(await client.blPop("empty", 0.01), null);

  await client.mSet(Array.from({ length: 500 }, (_, n) => [`scanned:${n}`, String(n)]));
  const scanned = new Set();
  for await (const keys of client.scanIterator({ MATCH: "scanned:*", COUNT: 50 })) {
    for (const key of keys) scanned.add(key);
  }
  assert.equal(scanned.size, 500);

  for (const one of [client, rival, subscriber, waiter]) await one.close();
}

(async () => {
  await converse(3);
  await converse(2);
  process.stdout.write("node-redis is content\n");
})().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
