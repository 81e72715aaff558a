// The package as its users get it: packed, installed into an empty project, used, and its types.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { packageFolder, server } from "./servers.mjs";

const source = path.resolve(import.meta.dirname, "..");
const npm = (cwd, ...words) => execFileSync("npm", words, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

let project;
let one;
before(async () => {
  one = await server();
  project = mkdtempSync(path.join(tmpdir(), "slotcar-project-"));
  const [packed] = JSON.parse(npm(packageFolder, "pack", "--json", "--pack-destination", project));
  writeFileSync(path.join(project, "package.json"), '{ "name": "empty", "private": true, "type": "module" }\n');
  npm(project, "install", "--no-audit", "--no-fund", "--offline", path.join(project, packed.filename));
});
after(async () => {
  rmSync(project, { recursive: true, force: true });
  await one?.stop();
});

test("the archive holds the entry points, the module, the types and the licences, and no more", () => {
  const folder = path.join(project, "node_modules/slotcar");
  const top = readdirSync(folder).sort();
  assert.deepEqual(top, ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "hosts", "lib", "package.json", "wasm"]);
  assert.deepEqual(readdirSync(path.join(folder, "wasm")).sort(), ["slotcar.js", "slotcar_bg.wasm"]);
  assert.deepEqual(readdirSync(path.join(folder, "hosts")).sort(), ["deno.js", "node.js", "workers.js"]);
  const manifest = JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8"));
  assert.equal(manifest.devDependencies, undefined);
  assert.equal(manifest.dependencies, undefined);
  for (const entry of Object.values(manifest.exports)) {
    for (const file of typeof entry === "string" ? [entry] : Object.values(entry)) {
      readFileSync(path.join(folder, file));
    }
  }
});

test("the module names no folder of the machine that built it", () => {
  const module = readFileSync(path.join(project, "node_modules/slotcar/wasm/slotcar_bg.wasm"), "latin1");
  for (const folder of [source, homedir(), ".cargo/registry"]) assert.ok(!module.includes(folder), folder);
});

test("an empty project imports it by its name and uses it", () => {
  const file = path.join(project, "use.mjs");
  writeFileSync(
    file,
    `import { connect, withClient, SlotcarError } from "slotcar";
     const redis = await connect(process.argv[2]);
     await redis.set("k", "from a project");
     console.log(await redis.get("k"));
     redis.close();
     console.log(await withClient(process.argv[2], (client) => client.strlen("k")));
     await redis.get("k").catch((error) => console.log(error instanceof SlotcarError, error.kind));
    `,
  );
  const run = spawnSync(process.execPath, [file, one.url], { encoding: "utf8" });
  assert.equal(run.stderr, "");
  assert.equal(run.stdout, "from a project\n14\ntrue Closed\n");
  assert.equal(run.status, 0);
});

test("the types hold under tsc --strict, and refuse what they should", () => {
  mkdirSync(path.join(project, "node_modules/@types"), { recursive: true });
  for (const types of ["@types/node", "undici-types"]) {
    cpSync(path.join(source, "node_modules", types), path.join(project, "node_modules", types), { recursive: true });
  }
  cpSync(path.join(import.meta.dirname, "types/uses.ts"), path.join(project, "uses.ts"));
  const options = {
    strict: true,
    noEmit: true,
    exactOptionalPropertyTypes: false,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    target: "es2022",
    lib: ["es2023", "esnext.disposable"],
    module: "nodenext",
    types: ["node"],
  };
  writeFileSync(path.join(project, "tsconfig.json"), JSON.stringify({ compilerOptions: options, files: ["uses.ts"] }));
  const tsc = path.join(source, "node_modules/typescript/bin/tsc");
  const run = spawnSync(process.execPath, [tsc, "-p", project], { encoding: "utf8" });
  assert.equal(run.stdout, "");
  assert.equal(run.status, 0);
});

test("the types need neither those of Node nor newer libraries than es2022", () => {
  writeFileSync(
    path.join(project, "plain.ts"),
    `import { withClient } from "slotcar/workers";
     import { connect } from "slotcar";
     export const one: Promise<string> = withClient("redis://h", (redis) => redis.ping());
     export async function two(): Promise<Uint8Array | null> {
       return (await connect("redis://h")).getBuffer("k");
     }
    `,
  );
  const options = {
    strict: true,
    noEmit: true,
    skipLibCheck: false,
    target: "es2022",
    lib: ["es2022", "webworker"],
    module: "nodenext",
    types: [],
  };
  writeFileSync(path.join(project, "tsconfig.json"), JSON.stringify({ compilerOptions: options, files: ["plain.ts"] }));
  const tsc = path.join(source, "node_modules/typescript/bin/tsc");
  const run = spawnSync(process.execPath, [tsc, "-p", project], { encoding: "utf8" });
  assert.equal(run.stdout, "");
  assert.equal(run.status, 0);
});
