// A cluster of real servers in Node: redirects, a primary that is killed under load, sharded
// subscriptions with their gaps, and a topology that is kept.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { cli, cluster, entry, until } from "./servers.mjs";

const { connect, SlotcarError } = await entry("node.js");

let servers;
before(async () => {
  servers = await cluster();
});
after(() => servers?.stop());

/** Keys whose slots have the three primaries as owners. */
const KEYS = ["a", "b", "c", "d", "e", "f"].map((name) => `{${name}}key`);

const idOf = (node) => cli(node, "CLUSTER", "MYID");

/** Moves a slot without its keys' being asked for in between. */
function moveSlot(slot, from, to) {
  cli(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", idOf(from));
  cli(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", idOf(to));
  for (const key of cli(from, "CLUSTER", "GETKEYSINSLOT", slot, 100).split("\n").filter(Boolean)) {
    cli(from, "MIGRATE", to.host, to.port, key, 0, 5000);
  }
  cli(to, "CLUSTER", "SETSLOT", slot, "NODE", idOf(to));
  cli(from, "CLUSTER", "SETSLOT", slot, "NODE", idOf(to));
}

test("commands go to the owners of their keys, and are split over slots", async () => {
  const client = await connect(servers.url);
  for (const key of KEYS) await client.set(key, `of ${key}`);
  assert.deepEqual(await client.mget(KEYS), KEYS.map((key) => `of ${key}`));
  assert.equal(await client.exists(KEYS), KEYS.length);
  const results = await client.pipeline().get(KEYS[0]).get(KEYS[1]).get(KEYS[2]).exec();
  assert.deepEqual(results.map(([, reply]) => reply), KEYS.slice(0, 3).map((key) => `of ${key}`));
  assert.ok((await client.dbsize()) >= KEYS.length);
  await assert.rejects(
    client.multi().set("{a}x", 1).set("{b}x", 1).exec(),
    (error) => error instanceof SlotcarError && error.kind === "Config" && error.delivery === "NotSent",
  );
  client.close();
});

test("a slot that has moved is followed, by a running client and by one with the old topology", async () => {
  const client = await connect(servers.url);
  await client.set("{moved}k", "v");
  const kept = client.topology();
  const from = servers.owner("{moved}k");
  const to = ["{a}", "{b}", "{c}"].map((key) => servers.owner(key)).find((node) => node !== from);
  const slot = await client.cluster("KEYSLOT", "{moved}k");
  moveSlot(slot, from, to);
  assert.equal(await client.get("{moved}k"), "v");
  const old = await connect(servers.url, { topology: kept });
  assert.equal(await old.get("{moved}k"), "v");
  old.close();
  await until("the client has the new map", async () => {
    await client.get("{moved}k");
    const shard = client.topology().shards.find(({ slots }) => slots.some(([a, b]) => a <= slot && slot <= b));
    return shard.primary.endpoint === `${to.host}:${to.port}`;
  });
  client.close();
});

test("a kept topology sends the first command to its owner at once", async () => {
  const client = await connect(servers.url);
  const kept = JSON.parse(JSON.stringify(client.topology()));
  client.close();
  const dialled = [];
  const { connect: dial } = await entry("../hosts/node.js");
  const counting = (address, options) => {
    dialled.push(`${address.hostname}:${address.port}`);
    return dial(address, options);
  };
  const later = await connect(servers.url, { topology: kept, connect: counting });
  assert.deepEqual(dialled, []);
  const owner = servers.owner("{a}key");
  assert.equal(await later.get("{a}key"), "of {a}key");
  assert.deepEqual(dialled, [`${owner.host}:${owner.port}`]);
  later.close();
});

test("sharded messages of every shard arrive, and an interruption is one gap per channel", async () => {
  const client = await connect(servers.url);
  const channels = Array.from({ length: 30 }, (_, at) => `channel:${at}`);
  const subscription = await client.ssubscribe(channels).ready({ timeout: 30_000 });
  const seen = new Map(channels.map((channel) => [channel, []]));
  const gaps = new Map();
  const reading = (async () => {
    for await (const update of subscription) {
      if (update.type === "message") seen.get(update.channel).push(update.message);
      if (update.type === "gap") gaps.set(update.channel, update);
    }
  })();
  await Promise.all(channels.map((channel) => client.spublish(channel, "one")));
  await until("one message of each channel", () => [...seen.values()].every((list) => list.includes("one")));
  assert.equal(gaps.size, 0);
  const victim = servers.owner(channels[0]);
  const lost = channels.filter((channel) => servers.owner(channel) === victim);
  for (const line of cli(victim, "CLIENT", "LIST", "TYPE", "pubsub").split("\n").filter(Boolean)) {
    cli(victim, "CLIENT", "KILL", "ID", /^id=(\d+)/.exec(line)[1]);
  }
  await until("a gap of each channel of that node", () => gaps.size === lost.length);
  assert.deepEqual([...gaps.keys()].sort(), [...lost].sort());
  for (const gap of gaps.values()) {
    assert.equal(gap.cause, "ConnectionLost");
    assert.equal(gap.kind, "sharded");
    assert.ok(gap.since >= 0);
  }
  await Promise.all(channels.map((channel) => client.spublish(channel, "two")));
  await until("another message of each", () => [...seen.values()].every((list) => list.includes("two")));
  client.close();
  await reading;
});

test("a primary that is killed under load is replaced, and errors say what became of the call", async () => {
  const client = await connect(servers.url, { commandTimeout: "60s" });
  const victim = servers.owner("{a}key");
  let stop = false;
  let done = 0;
  const failures = [];
  const load = Array.from({ length: 20 }, async (_, worker) => {
    while (!stop) {
      const key = `${KEYS[worker % KEYS.length]}:${worker}`;
      try {
        await client.set(key, String(done));
        await client.get(key);
        done += 1;
      } catch (error) {
        failures.push(error);
      }
    }
  });
  await until("load", () => done > 500);
  victim.kill("SIGKILL");
  const killed = performance.now();
  await until("its slots have a new owner that takes writes", async () => {
    const { primary } = client.topology().shards.find(({ slots }) =>
      slots.some(([a, b]) => a <= 15495 && 15495 <= b));
    return primary.endpoint !== `${victim.host}:${victim.port}`;
  });
  await client.set("{a}key", "after");
  const took = performance.now() - killed;
  const before = done;
  await until("load goes on", () => done > before + 500);
  stop = true;
  await Promise.all(load);
  assert.equal(await client.get("{a}key"), "after");
  for (const error of failures) {
    assert.ok(error instanceof SlotcarError);
    // A SET that was written and lost; nothing that was surely not run is given up.
    assert.equal(error.delivery, "Unknown", `${error}`);
  }
  assert.ok(failures.length <= 20, `${failures.length} of ${done} calls failed`);
  console.log(`# ${done} rounds, ${failures.length} failed, first write after ${Math.round(took)} ms`);
  client.close();
});
