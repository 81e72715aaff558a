// Starts workerd with a Worker over the package: that of `worker/worker.js`, or an example.
//
// workerd waits for requests that hang when it gets SIGTERM, so it is ended by SIGKILL, by its id.

import { spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { children, freePort, packageFolder, until } from "./servers.mjs";

/** The Worker of the tests. */
const OWN = path.join(import.meta.dirname, "worker/worker.js");

/** The binary; the package's own start script only looks for it. */
function binary() {
  const require = createRequire(import.meta.url);
  const platform = `${process.platform}-${process.arch}`.replace("x64", "64");
  return require.resolve(`@cloudflare/workerd-${platform}/bin/workerd`);
}

/**
 * Starts it. `trusted` are certificates in PEM that its sockets trust; `script` is the Worker, which
 * imports the package by its name; `variables` are what it gets as its environment.
 */
export async function workerd({ trusted = [], script = OWN, variables = {} } = {}) {
  const folder = mkdtempSync(path.join(tmpdir(), "slotcar-workerd-"));
  cpSync(packageFolder, folder, { recursive: true });
  mkdirSync(path.join(folder, "worker"));
  // workerd finds modules by their files; a bundler would find the package by its name.
  const text = readFileSync(script, "utf8").replace('"slotcar/workers"', '"../lib/workers.js"');
  writeFileSync(path.join(folder, "worker/worker.js"), text);
  const port = await freePort("127.0.0.1");
  const scripts = ["lib", "hosts", "wasm"].flatMap((name) =>
    readdirSync(path.join(folder, name))
      .filter((file) => file.endsWith(".js"))
      .filter((file) => !["lib/node.js", "lib/deno.js"].includes(`${name}/${file}`))
      .map((file) => `${name}/${file}`),
  );
  const module = (file) => `(name = "${file}", esModule = embed "${file}")`;
  const modules = ["worker/worker.js", ...scripts].map(module);
  modules.push('(name = "wasm/slotcar_bg.wasm", wasm = embed "wasm/slotcar_bg.wasm")');
  const bindings = Object.entries(variables).map(
    ([name, value]) => `(name = ${JSON.stringify(name)}, text = ${JSON.stringify(value)})`,
  );
  const authorities = trusted.map((pem) => JSON.stringify(pem)).join(", ");
  writeFileSync(
    path.join(folder, "config.capnp"),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", network = (
      allow = ["public", "private", "local"],
      tlsOptions = (trustBrowserCas = false, trustedCertificates = [${authorities}])
    )),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [
    ${modules.join(",\n    ")}
  ],
  bindings = [${bindings.join(", ")}],
  compatibilityDate = "2026-01-01",
);
`,
  );
  const child = spawn(binary(), ["serve", path.join(folder, "config.capnp")], { stdio: ["ignore", "pipe", "pipe"] });
  children.add(child);
  child.once("exit", () => children.delete(child));
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (bytes) => {
      output += bytes;
    });
  }
  const url = `http://127.0.0.1:${port}/`;
  const running = {
    process: child,
    url,
    output: () => output,
    async ask(scene, parameters = {}) {
      const response = await fetch(url, { method: "POST", body: JSON.stringify({ scene, ...parameters }) });
      const text = await response.text();
      if (response.status !== 200) throw new Error(`workerd: ${response.status} ${text}\n${output}`);
      return JSON.parse(text);
    },
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        const ended = new Promise((resolve) => child.once("exit", resolve));
        child.kill("SIGKILL");
        await ended;
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await until("workerd listens", async () => {
    if (child.exitCode !== null) throw new Error(`workerd ended:\n${output}`);
    const probe = { method: "POST", body: '{ "scene": "none" }' };
    return fetch(url, probe).then(() => true, () => false);
  });
  return running;
}
