// Starts real servers for the tests: one, or clusters of three primaries and three replicas.
//
// Every server has an address of its own, a folder of its own that is removed at its end, and
// `maxmemory`, so that no test can stop the machine. What a test starts ends with it.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";

const folder = process.env.SLOTCAR_SERVERS ?? path.resolve(import.meta.dirname, "../../.servers");
const packageFolder =
  process.env.SLOTCAR_JS_PACKAGE ?? path.resolve(import.meta.dirname, "../../target/js/package");

/** The package that is tested, by the entry point's file. */
export const entry = (file) => import(pathToFileURL(path.join(packageFolder, "lib", file)).href);
export { packageFolder };

// A promise that nobody handles fails the run, whatever test it belongs to.
process.on("unhandledRejection", (reason) => {
  console.error("unhandled rejection:", reason);
  process.exit(70);
});

/** What this process has started, and ends with it, also when it is stopped from outside. */
export const children = new Set();
process.on("exit", () => children.forEach((child) => child.kill("SIGKILL")));
process.on("SIGTERM", () => process.exit(143));
process.on("SIGINT", () => process.exit(130));

/** Waits until `check` returns something; the deadline is generous and only for failures. */
export async function until(what, check, timeout = 60_000) {
  const end = Date.now() + timeout;
  for (;;) {
    const found = await check();
    if (found) return found;
    assert.ok(Date.now() < end, `not within ${timeout} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A port of this address that is free. */
export function freePort(host) {
  return new Promise((resolve, reject) => {
    const probe = net.createServer().on("error", reject);
    probe.listen(0, host, () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/** One command over a connection of its own; the reply as the server's command line prints it. */
export function cli(server, ...words) {
  const { binaries, host, port } = server;
  const program = path.join(binaries, "redis-cli");
  return execFileSync(program, ["-h", host, "-p", String(port), ...words.map(String)], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  }).trim();
}

let last = 1;

/** An address that no other server of this process has. */
function address() {
  last += 1;
  return `127.0.${(process.pid % 200) + 2}.${last}`;
}

/** Starts a server and waits until it answers. `lines` are added to its configuration. */
export async function server({ version = "valkey-9.1", lines = [], host = address(), port, tls } = {}) {
  const binaries = path.join(folder, version, "bin");
  const home = mkdtempSync(path.join(tmpdir(), "slotcar-js-"));
  const given = port ?? (await freePort(host));
  const config = [
    `bind ${host}`,
    `dir ${home}`,
    "maxmemory 200mb",
    'save ""',
    "appendonly no",
    "protected-mode no",
    "daemonize no",
    ...(tls === undefined
      ? [`port ${given}`]
      : [
          "port 0",
          `tls-port ${given}`,
          `tls-cert-file ${tls.certFile}`,
          `tls-key-file ${tls.keyFile}`,
          `tls-ca-cert-file ${tls.caFile}`,
          "tls-auth-clients no",
        ]),
    ...lines,
  ];
  const file = path.join(home, "server.conf");
  writeFileSync(file, config.join("\n") + "\n");
  const family = version.split("-")[0];
  const started = {
    binaries,
    host,
    port: given,
    home,
    url: `${tls === undefined ? "redis" : "rediss"}://${host}:${given}`,
    process: undefined,
    start() {
      const child = spawn(path.join(binaries, `${family}-server`), [file], { stdio: "ignore" });
      children.add(child);
      child.once("exit", () => children.delete(child));
      started.process = child;
    },
    kill(signal = "SIGKILL") {
      started.process?.kill(signal);
    },
    async stop() {
      const child = started.process;
      if (child !== undefined && child.exitCode === null && child.signalCode === null) {
        const ended = new Promise((resolve) => child.once("exit", resolve));
        child.kill("SIGKILL");
        await ended;
      }
      rmSync(home, { recursive: true, force: true });
    },
  };
  started.start();
  await until(`${version} at ${host}:${given} answers`, () => answers(host, given, tls !== undefined));
  return started;
}

function answers(host, port, isTls) {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port });
    socket.on("error", () => resolve(false));
    socket.on("connect", () => {
      if (isTls) {
        socket.destroy();
        resolve(true);
        return;
      }
      socket.write("PING\r\n");
    });
    socket.on("data", (bytes) => {
      socket.destroy();
      resolve(bytes.toString().startsWith("+PONG"));
    });
  });
}

/** Starts a cluster of three primaries, each with a replica. */
export async function cluster({ version = "valkey-9.1" } = {}) {
  const lines = ["cluster-enabled yes", "cluster-node-timeout 1000", "cluster-replica-validity-factor 0"];
  const nodes = [];
  for (let at = 0; at < 6; at++) {
    const host = address();
    const port = await freePort(host);
    const bus = await freePort(host);
    nodes.push(await server({ version, lines: [...lines, `cluster-port ${bus}`, `cluster-announce-ip ${host}`], host, port }));
  }
  const list = nodes.map(({ host, port }) => `${host}:${port}`);
  const words = ["--cluster", "create", ...list, "--cluster-replicas", "1", "--cluster-yes"];
  await until("the cluster is made", () => {
    try {
      execFileSync(path.join(nodes[0].binaries, "redis-cli"), words, { stdio: "ignore" });
      return true;
    } catch {
      return false;
    }
  });
  const isWhole = (node) => {
    const nodesKnown = cli(node, "CLUSTER", "NODES");
    return (
      /cluster_state:ok/.test(cli(node, "CLUSTER", "INFO")) &&
      (nodesKnown.match(/slave /g) ?? []).length === 3
    );
  };
  await until("every node knows three primaries and three replicas", () => nodes.every(isWhole));
  return {
    nodes,
    url: `redis-cluster://${list.slice(0, 3).join(",")}`,
    /** The node that takes writes for this key's slot. */
    owner(key) {
      const slot = Number(cli(nodes.find((node) => node.process.exitCode === null), "CLUSTER", "KEYSLOT", key));
      return nodes.find((node) => {
        if (node.process.exitCode !== null || node.process.signalCode !== null) return false;
        const own = cli(node, "CLUSTER", "NODES").split("\n").find((line) => line.includes("myself"));
        return own.split(" ").slice(8).some((range) => {
          const [from, to = from] = range.split("-").map(Number);
          return from <= slot && slot <= to;
        });
      });
    },
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}
