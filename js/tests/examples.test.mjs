// The examples, as their readers run them: the script in Node, the function at the edge in workerd.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { children, cli, packageFolder, server, until } from "./servers.mjs";
import { workerd } from "./workerd.mjs";

const examples = path.resolve(import.meta.dirname, "../../examples");

let one;
let project;
before(async () => {
  one = await server();
  project = mkdtempSync(path.join(tmpdir(), "slotcar-examples-"));
  mkdirSync(path.join(project, "node_modules"));
  symlinkSync(packageFolder, path.join(project, "node_modules/slotcar"));
});
after(async () => {
  rmSync(project, { recursive: true, force: true });
  await one?.stop();
});

test("the script prints messages and gaps, and ends at an interrupt", async () => {
  cpSync(path.join(examples, "node/messages.mjs"), path.join(project, "messages.mjs"));
  const child = spawn(process.execPath, [path.join(project, "messages.mjs"), one.url, "orders:1"]);
  children.add(child);
  let output = "";
  child.stdout.on("data", (bytes) => { output += bytes; });
  child.stderr.on("data", (bytes) => { output += bytes; });
  const ended = new Promise((resolve) => child.once("exit", (code, signal) => resolve(code ?? signal)));
  await until("subscribed", () => output.includes(`orders:1 is sent by ${one.host}:${one.port}`));
  cli(one, "SPUBLISH", "orders:1", "a table");
  await until("the message", () => output.includes("orders:1: a table"));
  cli(one, "CLIENT", "KILL", "TYPE", "pubsub");
  await until("the gap", () => output.includes("orders:1: messages may be missing (ConnectionLost)"));
  child.kill("SIGINT");
  assert.equal(await ended, 0, output);
  children.delete(child);
});

test("the function at the edge limits, keeps sessions and counts", async () => {
  const script = path.join(examples, "worker/worker.js");
  const host = await workerd({ script, variables: { REDIS_URL: one.url } });
  try {
    const get = (route, headers = {}) => fetch(new URL(route, host.url), { headers });
    const statuses = [];
    for (let at = 0; at < 12; at++) statuses.push((await get("limit")).status);
    assert.deepEqual(statuses, [...Array(10).fill(200), 429, 429]);
    const first = await get("session");
    const begun = await first.json();
    const cookie = first.headers.get("set-cookie").split(";")[0];
    assert.deepEqual(await (await get("session", { cookie })).json(), begun);
    assert.notDeepEqual(await (await get("session")).headers.get("set-cookie"), null);
    assert.equal(await (await get("hits")).text(), "1\n");
    assert.equal(await (await get("hits")).text(), "2\n");
    assert.equal((await get("nothing")).status, 404);
    one.kill();
    await until("the server has ended", () => one.process.exitCode !== null || one.process.signalCode !== null);
    assert.equal((await get("hits")).status, 503);
  } finally {
    await host.stop();
  }
});
