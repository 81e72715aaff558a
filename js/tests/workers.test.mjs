// The package in workerd: commands, a cluster with a primary that is killed, subscriptions, TLS,
// requests that share or leak a client.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { authority } from "./authority.mjs";
import { cli, cluster, freePort, server, until } from "./servers.mjs";
import { workerd } from "./workerd.mjs";

let one;
let secure;
let foreign;
let servers;
let host;
before(async () => {
  const trusted = authority();
  one = await server();
  const address = `127.4.${(process.pid % 200) + 2}.1`;
  secure = await server({ host: address, tls: trusted.certificate("secure", `IP:${address}`) });
  foreign = await server({ tls: authority().certificate("foreign", `IP:${address}`) });
  servers = await cluster();
  host = await workerd({ trusted: [trusted.pem] });
});
after(async () => {
  await host?.stop();
  await servers?.stop();
  for (const each of [one, secure, foreign]) await each?.stop();
});

/** What a scene returns; an error of it fails the test. */
async function result(scene, parameters) {
  const answer = await host.ask(scene, parameters);
  assert.equal(answer.error, undefined, JSON.stringify(answer.error));
  return answer.result;
}

/** The typed error of a scene. */
async function failure(scene, parameters) {
  const { error, result } = await host.ask(scene, parameters);
  assert.ok(error, `no error but ${JSON.stringify(result)}`);
  assert.equal(error.foreign, undefined, error.foreign);
  return error;
}

const connections = () => cli(one, "CLIENT", "LIST").split("\n").length - 1;

test("commands, pipelines and transactions", async () => {
  cli(one, "DEL", "n");
  assert.deepEqual(await result("commands", { url: one.url }), {
    set: "OK",
    get: "v",
    bytes: [118],
    isBytes: true,
    hash: { a: "1", b: "ä" },
    piped: [[null, "v"], [null, 1]],
    atomic: ["OK", "1"],
  });
  await until("the connection is closed", () => connections() === 0);
});

test("errors are typed: of the server, of arguments and options, of hosts that are not there", async () => {
  const port = await freePort("127.0.0.1");
  const wrong = await failure("wrongType", { url: one.url });
  assert.deepEqual([wrong.kind, wrong.delivery, wrong.code, wrong.command], ["Server", "Answered", "WRONGTYPE", "LPUSH"]);
  assert.match((await failure("argument", { url: one.url })).message, /argument 2 of SET is undefined/);
  const option = await failure("failure", { url: one.url, options: { ca: "pem" } });
  assert.match(option.message, /unknown option "ca"/);
  const table = [
    [`redis://127.0.0.1:${port}`, {}],
    ["redis://no-such-host.invalid", { connectTimeout: 1500 }],
  ];
  for (const [url, options] of table) {
    const error = await failure("failure", { url, options });
    assert.ok(["Connect", "Timeout"].includes(error.kind), JSON.stringify(error));
    assert.equal(error.delivery, "NotSent");
  }
  assert.ok(["Connect", "Timeout"].includes((await failure("unsettled", { url: one.url })).kind));
});

test("a signal ends a call, and the client goes on", async () => {
  const ended = await result("cancel", { url: one.url });
  assert.deepEqual(ended, { kind: "Aborted", name: "AbortError", delivery: "Unknown", after: "PONG" });
});

test("TLS: a trusted authority, and a server that nobody has signed for", async () => {
  assert.equal((await result("commands", { url: secure.url })).get, "v");
  const error = await failure("failure", { url: foreign.url, options: { connectTimeout: 1500 } });
  assert.ok(["Handshake", "Connect"].includes(error.kind), JSON.stringify(error));
  assert.equal(error.delivery, "NotSent");
});

test("a cluster, and a topology that is kept from one request to the next", async () => {
  const keys = ["{a}", "{b}", "{c}", "{d}"];
  assert.deepEqual(await result("keys", { url: servers.url, keys }), keys.map((key) => `of ${key}`));
  assert.equal(await result("keep", { url: servers.url }), 3);
  assert.equal(await result("kept", { url: servers.url, key: "{a}" }), "of {a}");
});

test("sharded messages arrive, with a gap for each channel that was interrupted", async () => {
  const channels = ["{a}1", "{b}1", "{c}1", "{a}2"];
  cli(servers.owner("ready"), "DEL", "ready");
  const listening = result("subscribe", { url: servers.url, channels, count: 8 });
  await until("subscribed", () => cli(servers.owner("ready"), "GET", "ready") === "yes");
  const publish = (text) => channels.forEach((channel) => cli(servers.owner(channel), "SPUBLISH", channel, text));
  publish("one");
  const victim = servers.owner("{a}1");
  const killed = cli(victim, "CLIENT", "KILL", "TYPE", "pubsub");
  assert.ok(Number(killed) >= 1, killed);
  const lost = channels.filter((channel) => servers.owner(channel) === victim);
  await until("subscribed again", () =>
    lost.every((channel) => cli(victim, "PUBSUB", "SHARDNUMSUB", channel).endsWith("1")));
  publish("two");
  const { messages, gaps } = await listening;
  for (const channel of channels) assert.deepEqual(messages[channel], ["one", "two"], channel);
  assert.deepEqual(Object.keys(gaps).sort(), [...lost].sort());
});

test("a primary that is killed under load is replaced", async () => {
  const keys = ["{a}load", "{b}load", "{c}load"];
  const victim = servers.owner("{a}load");
  const loading = result("load", { url: servers.url, keys, milliseconds: 8000 });
  await until("load", () => Number(cli(victim, "GET", "{a}load") || 0) > 20);
  victim.kill("SIGKILL");
  const { done, failed } = await loading;
  // A write that was in flight when the primary died may have run.
  assert.ok(failed.length <= 1 && failed.every((text) => text.endsWith("/Unknown")), failed.join(" "));
  const owner = servers.owner("{a}load");
  assert.notEqual(owner, victim);
  assert.ok(Number(cli(owner, "GET", "{a}load")) > done / 2);
  console.log(`# ${done} writes, failed: ${failed.join(" ") || "none"}`);
});

test("clients that nobody closes leak nothing and break nothing", async () => {
  const memory = () => {
    const status = readFileSync(`/proc/${host.process.pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+)/.exec(status)[1]);
  };
  const leak = async (count) => {
    for (let at = 0; at < count; at += 20) {
      await Promise.all(Array.from({ length: 20 }, () => result("leak", { url: one.url })));
    }
  };
  await leak(300);
  await until("their connections are gone", () => connections() < 20);
  const before = memory();
  await leak(300);
  await until("their connections are gone", () => connections() < 20);
  const grown = memory() - before;
  assert.ok(grown < 30_000, `${grown} KB more`);
  assert.doesNotMatch(host.output(), /[Dd]isallowed operation|Uncaught|unhandled/);
  assert.equal((await result("commands", { url: one.url })).get, "v");
});

test("a client that a later request uses dials anew, or says that it belongs to the other", async () => {
  let served = 0;
  for (let at = 0; at < 20; at++) {
    const { error, result } = await host.ask("share", { url: one.url });
    if (error === undefined) {
      assert.equal(result, "PONG");
      served += 1;
      continue;
    }
    assert.equal(error.foreign, undefined, error.foreign);
    assert.equal(error.kind, "Closed", JSON.stringify(error));
    assert.match(error.message, /belongs to another request/);
  }
  assert.ok(served > 0);
  console.log(`# ${served} of 20 served`);
});
