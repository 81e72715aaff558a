// Builds what the tests of this transport need and runs them: `node transport-js/tests/run.mjs
// [FILE..]`, where a file is the name of one without `.test.mjs`.
//
// Used by: `cargo xtask js test`. Variables that name what is there already:
// - `SLOTCAR_JS_BINDGEN`: the program of `tests/js-bindgen`;
// - `SLOTCAR_SERVERS`: the folder of `cargo xtask servers`, by default `.servers`;
// - `SLOTCAR_JS_HOSTS`: a `node_modules` with `deno`, `bun` and `workerd`, by default that of `js`;
//   where there is none, the tests of these hosts are skipped.
// Invariant: the exit code is that of the tests, or 1 if the build failed.
// Limit: Node 20.16 or newer, and `openssl` for certificates.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(dirname(here));
const cargo = process.env.CARGO ?? 'cargo';
const target = process.env.CARGO_TARGET_DIR ?? join(root, 'target');
const bare = 'wasm32-unknown-unknown';

/** Runs a program to its end; ends this one if it fails. */
function run(program, words, env = {}) {
  const options = { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } };
  const { status, error } = spawnSync(program, words, options);
  if (error) console.error(`${program}: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

/** The program that makes a module for JavaScript. */
function bindgen() {
  if (process.env.SLOTCAR_JS_BINDGEN) return process.env.SLOTCAR_JS_BINDGEN;
  const folder = join(root, 'tests/js-bindgen');
  const words = ['build', '--quiet', '--locked', '--target-dir', join(folder, 'target')];
  run(cargo, [...words, '--manifest-path', join(folder, 'Cargo.toml')]);
  return join(folder, 'target/debug/slotcar-js-bindgen');
}

const example = ['build', '--package', 'slotcar-js', '--features', 'this-host', '--example', 'guest'];
run(cargo, [...example, '--target', bare], { CARGO_PROFILE_DEV_DEBUG: '0' });
const guest = join(target, bare, 'debug/examples/guest.wasm');
const made = (form) => join(target, 'js', `transport-${form}`);
for (const form of ['node', 'web']) run(bindgen(), [guest, made(form), form]);

const chosen = process.argv.slice(2).map((name) => `${name}.test.mjs`);
const all = readdirSync(here).filter((name) => name.endsWith('.test.mjs'));
const files = (chosen.length > 0 ? chosen : all).map((name) => join(here, name));
const hosts = process.env.SLOTCAR_JS_HOSTS ?? join(root, 'js/node_modules');
run(process.execPath, ['--test', '--test-concurrency=1', '--test-reporter=spec', ...files], {
  SLOTCAR_JS_GUEST: join(made('node'), 'guest.js'),
  SLOTCAR_JS_GUEST_WEB: join(made('web'), 'guest.js'),
  SLOTCAR_JS_HOSTS: existsSync(hosts) ? hosts : '',
  SLOTCAR_SERVERS: process.env.SLOTCAR_SERVERS ?? join(root, '.servers'),
});
