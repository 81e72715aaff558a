// Options, views, signals, the end of a client, and faults, in Node.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import net from "node:net";
import path from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { failure } from "./failure.mjs";
import { cli, entry, freePort, packageFolder, server, until } from "./servers.mjs";

const { connect, withClient } = await entry("node.js");
const { QUERY, snake } = await entry("options.js");

let one;
before(async () => {
  one = await server();
});
after(() => one?.stop());

/** How many connections the server has, that of this question not counted. */
function connections() {
  return cli(one, "CLIENT", "LIST").split("\n").length - 1;
}

test("the options are the keys that the client knows, and only those", async () => {
  const error = await failure(() => connect("redis://localhost?no_such_key=1"));
  const known = error.message.split("allowed are ")[1].split(", ").sort();
  assert.deepEqual(Object.keys(QUERY).map(snake).sort(), known);
});

test("an option that is unknown or of the wrong type is refused by its name", async () => {
  const table = [
    [{ commandTimeOut: 5 }, /^unknown option "commandTimeOut": allowed are addressMap, /],
    [{ command_timeout: 5 }, /^unknown option "command_timeout"/],
    [{ host: "localhost" }, /^unknown option "host"/],
    [{ commandTimeout: true }, /^commandTimeout is a boolean: allowed is a string with a unit/],
    [{ commandTimeout: -5 }, /^commandTimeout is a number/],
    [{ commandTimeout: NaN }, /^commandTimeout is NaN/],
    [{ commandTimeout: "5" }, /command_timeout: `5` is not a duration/],
    [{ attemptsMax: "3" }, /^attemptsMax is a string: allowed is a whole number/],
    [{ attemptsMax: 1.5 }, /^attemptsMax is a number/],
    [{ courtesies: "yes" }, /^courtesies is a string: allowed is true or false/],
    [{ clientName: null }, /^clientName is null: allowed is a string/],
    [{ clientName: "two words" }, /client_name/],
    [{ readFrom: "nowhere" }, /read_from: `nowhere` is not one of/],
    [{ zones: [] }, /^zones is an instance of Array/],
    [{ replicas: [1] }, /^replicas is an instance of Array/],
    [{ connect: {} }, /^connect is an instance of Object: allowed is a function/],
    [{ signal: "stop" }, /^signal is a string: allowed is an AbortSignal/],
    [{ topology: "text" }, /^topology is a string/],
    [{ topology: { version: 2, shards: [] } }, /topology/],
    [{ topology: { version: 1, shards: [{ slots: [[5, 1]], primary: { id: "a" } }] } }, /topology/],
    [{ topology: {} }, /topology/],
    [{ password: 7 }, /^password is a number: allowed is a string/],
    [7, /^the options are a number: an object is needed/],
    [null, /^the options are null/],
  ];
  for (const [options, text] of table) {
    const error = await failure(() => connect(one.url, options));
    assert.equal(error.kind, "Config", String(text));
    assert.equal(error.delivery, "NotSent", String(text));
    assert.match(error.message, text);
  }
});

test("a URL that is none is refused", async () => {
  for (const url of [undefined, null, 7, {}, "", "localhost:6379", "http://localhost", "redis://"]) {
    assert.equal((await failure(() => connect(url))).kind, "Config", String(url));
  }
  const twice = await failure(() => connect(`${one.url}?command_timeout=1s`, { commandTimeout: "2s" }));
  assert.match(twice.message, /command_timeout is written twice/);
  const credentials = await failure(() => connect("redis://:secret@localhost", { password: "other" }));
  assert.match(credentials.message, /password is given as an option and in the URL/);
  assert.doesNotMatch(credentials.message, /secret|other/);
});

test("options reach the client", async () => {
  const client = await connect(new URL(one.url), { clientName: "named", commandTimeout: 1500, courtesies: true });
  assert.match(cli(one, "CLIENT", "LIST"), / name=named /);
  client.close();
  cli(one, "ACL", "SETUSER", "a@b", "on", ">p/w?d%:@", "~*", "+@all");
  const other = await connect(one.url, { username: "a@b", password: "p/w?d%:@" });
  assert.equal(await other.call("ACL", "WHOAMI"), "a@b");
  other.close();
});

test("a view has its own timeout, read policy and signal, and shares the connections", async () => {
  const client = await connect(one.url);
  const quick = client.with({ timeout: 100 });
  const error = await failure(() => quick.blpop("nothing", 0));
  assert.equal(error.kind, "Timeout");
  assert.equal(await quick.ping(), "PONG");
  assert.equal(await client.with({ readFrom: "prefer_replica", maxStaleness: 1000 }).ping(), "PONG");
  for (const options of [{ timeOut: 1 }, { timeout: "1s" }, { timeout: -1 }, { signal: 1 }, { readFrom: 1 }, { readFrom: "x" }, null]) {
    assert.equal((await failure(async () => client.with(options))).kind, "Config", JSON.stringify(options));
  }
  client.close();
  assert.equal((await failure(() => quick.ping())).kind, "Closed");
});

test("a signal ends the calls of its view, and nothing else", async () => {
  const client = await connect(one.url);
  const control = new AbortController();
  const view = client.with({ signal: control.signal });
  const waiting = view.blpop("nothing", 0);
  const piped = view.pipeline().set("a", "1").get("a").exec();
  assert.deepEqual(await piped, [[null, "OK"], [null, "1"]]);
  await until("BLPOP waits at the server", () => /cmd=blpop/.test(cli(one, "CLIENT", "LIST")));
  const reason = new Error("enough");
  control.abort(reason);
  const error = await failure(() => waiting);
  assert.equal(error.kind, "Aborted");
  assert.equal(error.name, "AbortError");
  assert.equal(error.delivery, "Unknown");
  assert.equal(error.command, "BLPOP");
  assert.equal(error.cause, reason);
  const later = await failure(() => view.get("a"));
  assert.deepEqual([later.kind, later.delivery], ["Aborted", "NotSent"]);
  assert.equal((await failure(() => view.pipeline().get("a").exec())).kind, "Aborted");
  assert.equal((await failure(async () => view.subscribe("a"))).kind, "Aborted");
  assert.equal(await client.get("a"), "1");
  await until("BLPOP has ended at the server", () => !/cmd=blpop/.test(cli(one, "CLIENT", "LIST")));
  client.close();
});

test("a signal of a view leaves no listener behind", async () => {
  const client = await connect(one.url);
  const control = new AbortController();
  let listeners = 0;
  const { signal } = control;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args) => { listeners += 1; add(...args); };
  signal.removeEventListener = (...args) => { listeners -= 1; remove(...args); };
  await Promise.all(Array.from({ length: 100 }, () => client.with({ signal }).ping()));
  await assert.rejects(client.with({ signal }).incr());
  assert.equal(listeners, 0);
  client.close();
});

test("a signal ends connect, and closes the client afterwards", async () => {
  const never = () => new Promise(() => {});
  const error = await failure(() => connect(one.url, { connect: never, signal: AbortSignal.timeout(20) }));
  assert.equal(error.kind, "Aborted");
  assert.equal((await failure(() => connect(one.url, { signal: AbortSignal.abort() }))).kind, "Aborted");
  const control = new AbortController();
  const client = await connect(one.url, { signal: control.signal });
  const waiting = client.blpop("nothing", 0);
  const subscription = client.subscribe("quiet");
  const next = subscription.next();
  control.abort();
  assert.equal((await failure(() => waiting)).kind, "Closed");
  await next;
  assert.deepEqual(await subscription.next(), { value: undefined, done: true });
  assert.equal(client.closed, true);
});

test("after close every call is refused, and all connections close", async () => {
  const before = connections();
  const client = await connect(one.url);
  const subscription = await client.subscribe("a").ready();
  assert.ok(connections() > before);
  const pipeline = client.pipeline().get("a");
  client.close();
  client.close();
  const calls = [
    () => client.get("a"),
    () => client.call("GET", "a"),
    () => client.mget(["a"]),
    () => pipeline.exec(),
    () => client.multi().get("a").exec(),
    async () => client.subscribe("a"),
    async () => client.topology(),
    async () => client.with({ timeout: 1 }),
  ];
  for (const call of calls) assert.equal((await failure(call)).kind, "Closed", String(call));
  assert.equal((await subscription.next()).done, true);
  await until("the connections are closed", () => connections() === before);
});

test("withClient and asynchronous disposal close the client, also after an error", async () => {
  const before = connections();
  assert.equal(await withClient(one.url, (client) => client.ping()), "PONG");
  assert.equal(await withClient(one.url, { clientName: "w" }, (client) => client.call("client", "getname")), "w");
  await assert.rejects(withClient(one.url, () => { throw new Error("of the caller"); }), /of the caller/);
  assert.equal((await failure(() => withClient(one.url, {}))).kind, "Config");
  const client = await connect(one.url);
  await client[Symbol.asyncDispose]();
  assert.equal(client.closed, true);
  await until("the connections are closed", () => connections() === before);
});

test("a kept topology goes through JSON and needs no connection at the start", async () => {
  const client = await connect(one.url);
  const kept = JSON.parse(JSON.stringify(client.topology()));
  client.close();
  const port = await freePort("127.0.0.1");
  const later = await connect(`redis://127.0.0.1:${port}`, { topology: kept, commandTimeout: 300 });
  assert.ok(["Connect", "Timeout"].includes((await failure(() => later.ping())).kind));
  later.close();
  const again = await connect(one.url, { topology: kept });
  assert.equal(await again.ping(), "PONG");
  again.close();
});

test("hosts and connect functions that fail give typed errors and no hang", async () => {
  const port = await freePort("127.0.0.1");
  const thrown = () => { throw new TypeError("no sockets here"); };
  const rejected = async () => { throw new Error("refused by the host"); };
  const odd = () => ({ readable: {}, writable: {} });
  const table = [
    [`redis://127.0.0.1:${port}`, {}, "Connect"],
    ["redis://no-such-host.invalid", {}, "Connect"],
    [one.url, { connect: thrown }, "Connect"],
    [one.url, { connect: rejected }, "Connect"],
    [one.url, { connect: odd }, "Connect"],
    [one.url, { connect: () => undefined }, "Connect"],
    [one.url, { connect: () => new Promise(() => {}), connectTimeout: 100 }, "Connect"],
  ];
  for (const [url, options, kind] of table) {
    const error = await failure(() => connect(url, { connectTimeout: 1000, ...options }));
    assert.equal(error.kind === "Timeout" ? "Connect" : error.kind, kind, `${error}`);
    assert.equal(error.delivery, "NotSent", `${error}`);
  }
});

test("a socket that ends in the middle, or speaks no RESP, gives a typed error", async () => {
  const replies = { half: "$10\r\nabc", none: "", odd: "HTTP/1.1 400 Bad Request\r\n\r\n" };
  for (const [name, text] of Object.entries(replies)) {
    const broken = net.createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", () => socket.end(text));
    });
    await new Promise((resolve) => broken.listen(0, "127.0.0.1", resolve));
    const error = await failure(() => connect(`redis://127.0.0.1:${broken.address().port}`, { connectTimeout: 500 }));
    assert.ok(["Connect", "Protocol", "Handshake", "Timeout"].includes(error.kind), `${name}: ${error}`);
    broken.close();
  }
});

test("a lost connection is dialled again, and a command that may have run says so", async () => {
  const other = await server();
  const client = await connect(other.url, { commandTimeout: 1000 });
  await client.set("a", "1");
  const lost = client.blpop("nothing", 0).catch((error) => error);
  await until("BLPOP waits", () => /cmd=blpop/.test(cli(other, "CLIENT", "LIST")));
  other.kill();
  assert.equal((await lost).delivery, "Unknown");
  await failure(() => client.get("a"));
  other.start();
  await until("the server is back", () => client.set("a", "2").catch(() => false));
  assert.equal(await client.get("a"), "2");
  client.close();
  await other.stop();
});

test("memory does not grow with calls, clients, subscriptions and aborted calls", async () => {
  const round = async () => {
    const client = await connect(one.url);
    const control = new AbortController();
    const view = client.with({ signal: control.signal });
    const subscription = await client.subscribe("a").ready();
    await Promise.all(Array.from({ length: 200 }, (_, at) => client.set(`k${at}`, "v".repeat(1000))));
    await Promise.all(Array.from({ length: 200 }, (_, at) => client.get(`k${at}`)));
    await client.pipeline().get("k1").incr("k1").exec();
    const waiting = view.blpop("nothing", 0).catch(() => {});
    control.abort();
    await waiting;
    await subscription.return();
    client.close();
  };
  const used = () => {
    globalThis.gc();
    const { heapUsed, external, arrayBuffers } = process.memoryUsage();
    return heapUsed + external + arrayBuffers;
  };
  for (let at = 0; at < 40; at++) await round();
  const start = used();
  for (let at = 0; at < 160; at++) await round();
  // What a closed socket still holds goes when the host has ended it.
  let grown;
  await until("memory is as before", () => (grown = used() - start) < 2_000_000, 20_000).catch(() => {});
  assert.ok(grown < 2_000_000, `${grown} bytes more after 160 clients`);
});

/** Runs a script with the package as `slotcar`; its exit code and output. */
function script(text) {
  const file = pathToFileURL(path.join(packageFolder, "lib/node.js")).href;
  const child = spawn(process.execPath, ["--input-type=module", "-e", text.replace("SLOTCAR", file)]);
  return new Promise((resolve) => {
    let output = "";
    child.stdout.on("data", (bytes) => { output += bytes; });
    child.stderr.on("data", (bytes) => { output += bytes; });
    child.on("exit", (code) => resolve({ code, output }));
  });
}

test("the process ends right after close, whatever was in flight", async () => {
  // What kept the process alive would do so in each run; a busy machine is late in some.
  const times = [];
  while (times.length < 10 && !times.some((took) => took < 50)) {
    const { code, output } = await script(`
      import { connect } from "SLOTCAR";
      const client = await connect("${one.url}");
      const waiting = client.blpop("nothing", 0).catch(() => {});
      const subscription = await client.subscribe("a").ready();
      const next = subscription.next();
      await client.get("a");
      let at;
      process.on("exit", () => console.log("ended after", performance.now() - at));
      at = performance.now();
      client.close();
    `);
    assert.equal(code, 0, output);
    times.push(Number(/ended after ([\d.]+)/.exec(output)[1]));
  }
  assert.ok(times.some((took) => took < 50), `${times.join(", ")} ms from close to the exit`);
});

test("a rejected call that a program does handle leaves no unhandled rejection behind", async () => {
  const { code, output } = await script(`
    import { connect } from "SLOTCAR";
    const client = await connect("${one.url}");
    for (const call of [() => client.get(null), () => client.incr("x", "y"), () => client.pipeline().get(null).exec()]) {
      try { await call(); } catch {}
    }
    await client.subscribe("a").ready({ timeout: 0 }).catch(() => {});
    client.close();
    await client.get("a").catch(() => {});
  `);
  assert.equal(code, 0, output);
});
