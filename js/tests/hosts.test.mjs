// One smoke test each in Deno, over its own sockets and through its Node modules, and in Bun.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import path from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { authority } from "./authority.mjs";
import { cluster, freePort, packageFolder, server } from "./servers.mjs";

const require = createRequire(import.meta.url);
const script = path.join(import.meta.dirname, "hosts/smoke.mjs");
const entryOf = (file) => pathToFileURL(path.join(packageFolder, "lib", file)).href;

let one;
let secure;
let servers;
let parameters;
before(async () => {
  const trusted = authority();
  one = await server();
  const address = `127.5.${(process.pid % 200) + 2}.1`;
  secure = await server({ host: address, tls: trusted.certificate("secure", `IP:${address}`) });
  servers = await cluster();
  const nowhere = `redis://127.0.0.1:${await freePort("127.0.0.1")}`;
  parameters = [one.url, servers.url, nowhere, secure.url, trusted.pem];
});
after(async () => {
  await servers?.stop();
  for (const each of [one, secure]) await each?.stop();
});

const EXPECTED = {
  set: "OK",
  get: "v",
  bytes: [118],
  piped: [[null, "v"], [null, 1], [null, { a: "1" }]],
  wrong: [true, "Server", "WRONGTYPE"],
  message: "hello",
  late: "Timeout",
  closed: "Closed",
  cluster: ["1", "2", "3"],
  refused: "Connect",
  secure: "PONG",
  untrusted: "Handshake",
};

/** Runs the script in a host; it has to end by itself. */
function run(program, words, entry) {
  const { url } = one;
  spawnSync(path.join(one.binaries, "redis-cli"), ["-u", url, "FLUSHALL"]);
  const ended = spawnSync(program, [...words, script, entry, ...parameters], { encoding: "utf8", timeout: 120_000 });
  assert.equal(ended.status, 0, `${ended.error ?? ""}${ended.stdout}${ended.stderr}`);
  assert.deepEqual(JSON.parse(ended.stdout), EXPECTED);
}

/** The binary of a host, which npm has put there if it has one for this machine. */
function binary(file) {
  try {
    return require.resolve(file);
  } catch {
    return undefined;
  }
}

const machine = `${process.platform}-${process.arch}`;
const deno = binary(`@deno/${machine}${process.platform === "linux" ? "-glibc" : ""}/deno`);
const bun = binary(`@oven/bun-${machine}/bin/bun`);
const without = (host, program) => (program === undefined ? { skip: `npm has no ${host} for ${machine}` } : {});

test("Deno, over its own sockets", without("Deno", deno), () => {
  run(deno, ["run", "--allow-all"], entryOf("deno.js"));
});

test("Deno, through its Node modules", without("Deno", deno), () => {
  run(deno, ["run", "--allow-all"], entryOf("node.js"));
});

test("Bun", without("Bun", bun), () => {
  run(bun, ["run"], entryOf("node.js"));
});
