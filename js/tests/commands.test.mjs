// Commands, arguments, replies, pipelines and transactions in Node, on one server.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { failure } from "./failure.mjs";
import { entry, server } from "./servers.mjs";

const { connect, SlotcarError } = await entry("node.js");
const { COMMANDS } = await entry("commands.js");

let one;
let old;
let redis;
before(async () => {
  one = await server();
  old = await server({ version: "redis-6.0" });
  redis = await connect(one.url);
});
after(async () => {
  redis?.close();
  await one?.stop();
  await old?.stop();
});

test("every command of the table is a method, also of pipelines, and has a variant for bytes", () => {
  const pipeline = redis.pipeline();
  for (const command of COMMANDS) {
    for (const name of [command.toLowerCase(), `${command.toLowerCase()}Buffer`]) {
      assert.equal(typeof redis[name], "function", name);
      if (!["subscribe", "psubscribe", "ssubscribe", "multi", "exec", "discard"].includes(command.toLowerCase())) {
        assert.equal(typeof pipeline[name], "function", name);
      }
    }
  }
  assert.ok(COMMANDS.length > 200);
  pipeline.discard();
});

test("arguments of every kind arrive as they are", async () => {
  const bytes = new Uint8Array([0, 255, 13, 10]);
  const table = [
    ["text", "text"],
    ["", ""],
    ["ä€😀", "ä€😀"],
    [7, "7"],
    [-0, "0"],
    [1.5, "1.5"],
    [Infinity, "+inf"],
    [-Infinity, "-inf"],
    [2n ** 70n, "1180591620717411303424"],
    [bytes, Buffer.from(bytes)],
    [Buffer.from("b"), "b"],
    [bytes.buffer, Buffer.from(bytes)],
    [new DataView(bytes.buffer, 1, 1), Buffer.from([255])],
    ["x".repeat(100_000), "x".repeat(100_000)],
  ];
  for (const [value, expected] of table) {
    assert.equal(await redis.set("argument", value), "OK");
    const got = Buffer.isBuffer(expected) ? await redis.getBuffer("argument") : await redis.get("argument");
    assert.deepEqual(got, expected);
  }
});

test("lists and sets are several arguments, objects and maps are fields and values", async () => {
  await redis.del("list", "hash", "map", "pairs", "stream", "set");
  assert.equal(await redis.rpush("list", ["a", "b"], "c"), 3);
  assert.deepEqual(await redis.lrange("list", 0, -1), ["a", "b", "c"]);
  assert.equal(await redis.hset("hash", { a: 1, b: "two", c: Buffer.from("3") }), 3);
  assert.deepEqual(await redis.hgetall("hash"), { a: "1", b: "two", c: "3" });
  assert.equal(await redis.hset("map", new Map([["a", 1], [2, "b"]])), 2);
  assert.deepEqual(await redis.hgetall("map"), { 2: "b", a: "1" });
  assert.equal(await redis.hset("pairs", [["a", 1], ["b", 2]]), 2);
  assert.deepEqual(await redis.hmget("pairs", ["a", "b", "none"]), ["1", "2", null]);
  assert.equal(await redis.sadd("set", new Set(["x", "y"])), 2);
  assert.match(await redis.xadd("stream", "*", { field: "value" }), /^\d+-\d+$/);
  assert.equal(await redis.mset({ "{m}a": 1, "{m}b": 2 }), "OK");
  assert.deepEqual(await redis.mget(["{m}a"], "{m}b"), ["1", "2"]);
});

test("a value that is no string, number or bytes is refused, with the command and the place", async () => {
  class Own {}
  const table = [
    [() => redis.set("k", undefined), "SET", "argument 2 of SET is undefined"],
    [() => redis.set("k", null), "SET", "argument 2 of SET is null"],
    [() => redis.set("k", true), "SET", "argument 2 of SET is a boolean"],
    [() => redis.set("k", NaN), "SET", "argument 2 of SET is NaN"],
    [() => redis.set("k", Symbol("s")), "SET", "argument 2 of SET is a symbol"],
    [() => redis.set("k", () => 1), "SET", "argument 2 of SET is a function"],
    [() => redis.set("k", new Date()), "SET", "argument 2 of SET is an instance of Date"],
    [() => redis.set("k", new Own()), "SET", "argument 2 of SET is an instance of Own"],
    [() => redis.set("k", Promise.resolve("v")), "SET", "argument 2 of SET is an instance of Promise"],
    [() => redis.get(undefined), "GET", "argument 1 of GET is undefined"],
    [() => redis.getBuffer(null), "GET", "argument 1 of GET is null"],
    [() => redis.rpush("k", ["a", undefined]), "RPUSH", "element 2 of argument 2 of RPUSH is undefined"],
    [() => redis.rpush("k", ["a", ["b", [1]]]), "RPUSH", "element 2 of element 2 of argument 2 of RPUSH is an instance of Array"],
    [() => redis.hset("k", { a: null }), "HSET", 'the value of "a" in argument 2 of HSET is null'],
    [() => redis.hset("k", { a: { b: 1 } }), "HSET", 'the value of "a" in argument 2 of HSET is an instance of Object'],
    [() => redis.hset("k", new Map([[null, 1]])), "HSET", "a key in argument 2 of HSET is null"],
    [() => redis.call("json.get", "k", false), "JSON.GET", "argument 2 of JSON.GET is a boolean"],
    [() => redis.call(""), undefined, "the name of a command is empty"],
    [() => redis.call(7), undefined, "the name of a command is a number"],
    [() => redis.call(undefined), undefined, "the name of a command is undefined"],
    [() => redis.pipeline().get("k").set("k", null).exec(), "SET", "argument 2 of SET is null"],
    [() => redis.multi().set("k", {}, Symbol("s")).exec(), "SET", "argument 3 of SET is a symbol"],
    [async () => redis.subscribe("a", null), "SUBSCRIBE", "argument 2 of SUBSCRIBE is null"],
  ];
  for (const [call, command, text] of table) {
    const error = await failure(call);
    assert.equal(error.kind, "Config", text);
    assert.equal(error.delivery, "NotSent", text);
    assert.equal(error.command, command, text);
    assert.ok(error.message.startsWith(text), `${error.message} begins with ${text}`);
  }
  assert.equal(await redis.ping(), "PONG");
});

test("nothing of a pipeline or transaction is sent after a command that cannot be built", async () => {
  await redis.set("untouched", "as before");
  await failure(() => redis.multi().set("untouched", "changed").set("k", undefined).exec());
  await failure(() => redis.pipeline().set("untouched", "changed").call(null).exec());
  assert.equal(await redis.get("untouched"), "as before");
});

test("a getter that sends a command itself does not disturb the one that is built", async () => {
  await redis.del("outer");
  let inner;
  const fields = { get a() { inner = redis.set("inner", "yes"); return 1; }, b: 2 };
  assert.equal(await redis.hset("outer", fields), 2);
  await inner;
  assert.deepEqual(await redis.hgetall("outer"), { a: "1", b: "2" });
  assert.equal(await redis.get("inner"), "yes");
});

test("replies have JavaScript's types, the same over RESP3 and RESP2", async () => {
  for (const url of [one.url, `${one.url}?protocol=resp2`, old.url, `${old.url}?protocol=resp2`]) {
    const client = await connect(url);
    try {
      await client.flushall();
      assert.equal(await client.get("none"), null);
      assert.equal(await client.set("k", "v"), "OK");
      assert.equal(await client.incrby("n", 41), 41);
      assert.equal(await client.set("big", "9007199254740991"), "OK");
      assert.equal(await client.incr("big"), 9007199254740992n);
      await client.hset("h", { a: 1, b: 2, __proto__: null, ["__proto__"]: "own" });
      const hash = await client.hgetall("h");
      assert.equal(Object.getPrototypeOf(hash), Object.prototype);
      assert.deepEqual(Object.entries(hash), [["a", "1"], ["b", "2"], ["__proto__", "own"]]);
      assert.deepEqual(await client.hgetallBuffer("h").then((map) => map.a), Buffer.from("1"));
      assert.deepEqual(await client.hgetall("none"), {});
      assert.deepEqual(await client.config("GET", "maxmemory"), { maxmemory: "209715200" });
      await client.zadd("z", 1.5, "a", Infinity, "b");
      assert.equal(await client.zscore("z", "a"), 1.5);
      assert.equal(await client.zscore("z", "b"), Infinity);
      assert.equal(await client.zscore("z", "none"), null);
      assert.equal(await client.zincrby("z", 1, "a"), 2.5);
      assert.deepEqual(await client.zrange("z", 0, -1), ["a", "b"]);
      assert.deepEqual(await client.zrange("z", 0, -1, "WITHSCORES"), [["a", 2.5], ["b", Infinity]]);
      assert.deepEqual(await client.zrangebyscore("z", -Infinity, "(3", "withscores"), [["a", 2.5]]);
      await client.sadd("s", "x");
      assert.deepEqual(await client.smembers("s"), ["x"]);
      assert.deepEqual(await client.eval("return {1, 'two', {ok='fine'}, {3}}", 0), [1, "two", "fine", [3]]);
      const nested = await client.eval("return {redis.pcall('LPUSH', KEYS[1], 'x'), 'after'}", 1, "k");
      assert.ok(nested[0] instanceof SlotcarError);
      assert.equal(nested[0].code, "WRONGTYPE");
      assert.equal(nested[1], "after");
      await client.set("odd", new Uint8Array([97, 255]));
      assert.equal(await client.get("odd"), "a\ufffd");
      assert.deepEqual(await client.getBuffer("odd"), Buffer.from([97, 255]));
    } finally {
      client.close();
    }
  }
});

test("an error says its kind, delivery, code, command, endpoint and attempts", async () => {
  await redis.set("text", "no number");
  const error = await failure(() => redis.incr("text"));
  assert.equal(error.name, "SlotcarError");
  assert.equal(error.kind, "Server");
  assert.equal(error.delivery, "Answered");
  assert.equal(error.code, "ERR");
  assert.equal(error.command, "INCR");
  assert.equal(error.endpoint, `${one.host}:${one.port}`);
  assert.equal(error.attempts, 1);
  assert.match(error.message, /not an integer/);
  assert.equal((await failure(() => redis.lpush("text", "x"))).code, "WRONGTYPE");
  const refused = await failure(() => redis.select(1));
  assert.equal(refused.kind, "Config");
  assert.equal(refused.delivery, "NotSent");
});

test("a pipeline returns a pair of error and reply for each command, in order", async () => {
  await redis.set("a", "1");
  await redis.set("text", "no number");
  const results = await redis.pipeline().get("a").incr("text").getBuffer("a").call("echo", "hi").hgetall("none").exec();
  assert.deepEqual(results[0], [null, "1"]);
  assert.equal(results[1][0].code, "ERR");
  assert.equal(results[1][1], null);
  assert.deepEqual(results[2], [null, Buffer.from("1")]);
  assert.deepEqual(results[3], [null, "hi"]);
  assert.deepEqual(results[4], [null, {}]);
  assert.deepEqual(await redis.pipeline().exec(), []);
  const many = redis.pipeline();
  for (let at = 0; at < 5000; at++) many.set(`many:${at}`, String(at));
  assert.equal(many.length, 5000);
  assert.equal((await many.exec()).filter(([error, reply]) => error === null && reply === "OK").length, 5000);
});

test("a pipeline that cannot be sent fails as a whole", async () => {
  assert.equal((await failure(() => redis.pipeline().get("a").blpop("list", 0).exec())).kind, "Config");
  const twice = redis.pipeline().get("a");
  await twice.exec();
  assert.match((await failure(() => twice.exec())).message, /twice/);
  assert.match((await failure(async () => twice.get("a"))).message, /after exec/);
  const short = await connect(one.url, { pipelineCommandsMax: 2 });
  const error = await failure(() => short.pipeline().get("a").get("b").get("c").exec());
  assert.equal(error.kind, "Limit");
  short.close();
});

test("a transaction runs as one, tells each command's result, and EXEC's own error", async () => {
  await redis.set("text", "no number");
  await redis.del("count");
  const results = await redis.multi().incr("count").incr("text").incr("count").exec();
  assert.deepEqual(results[0], [null, 1]);
  assert.equal(results[1][0].code, "ERR");
  assert.deepEqual(results[2], [null, 2]);
  const aborted = await failure(() => redis.multi().incr("count").call("NOSUCHCOMMAND").exec());
  assert.equal(aborted.kind, "Server");
  assert.equal(aborted.delivery, "Refused");
  assert.equal(await redis.get("count"), "2");
  assert.deepEqual(await redis.multi().exec(), []);
});

test("blocking commands wait, beside others", async () => {
  await redis.del("queue");
  const popped = redis.blpop("queue", 0);
  assert.equal(await redis.ping(), "PONG");
  await redis.rpush("queue", "job");
  assert.deepEqual(await popped, ["queue", "job"]);
});
