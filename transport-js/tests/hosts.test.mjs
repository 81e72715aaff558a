// The same program in Node, Bun, Deno and workerd, each with the sockets that the door chooses there.
//
// `SLOTCAR_JS_HOSTS` is a `node_modules` with the packages `deno`, `bun` and `workerd`; their install
// scripts need not have run. Without the variable only Node is tested.
// `SLOTCAR_JS_GUEST_WEB` is the module under test in the form `web`, for workerd.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { certificates, freePort, redis } from './servers.mjs';

const hosts = process.env.SLOTCAR_JS_HOSTS;
const skip = hosts ? false : 'SLOTCAR_JS_HOSTS is not set';
const here = dirname(fileURLToPath(import.meta.url));
let ports;
let certs;

/** The program of a host: the packages that hold it are named after the machine. */
function program(scope, name) {
  for (const folder of readdirSync(join(hosts, scope))) {
    for (const path of [join(hosts, scope, folder, 'bin', name), join(hosts, scope, folder, name)]) {
      if (existsSync(path)) return path;
    }
  }
  throw new Error(`${hosts}/${scope} has no ${name}`);
}

before(async () => {
  certs = certificates('hosts', 'DNS:localhost,IP:127.0.0.1');
  const files = ['--tls-cert-file', certs.cert, '--tls-key-file', certs.key, '--tls-ca-cert-file', certs.ca];
  const plain = await redis((port) => ['--port', port]);
  const secure = await redis((port) => ['--port', '0', '--tls-port', port, ...files, '--tls-auth-clients', 'no']);
  ports = { plain, secure, refused: await freePort() };
});

/** What every host sees, apart from the texts and kinds of its own. */
function check(seen, { refused, unknown, untrusted }) {
  assert.equal(seen.get, '300000,true');
  assert.equal(seen.subscribe, 'hello');
  assert.match(seen.refused, refused);
  assert.match(seen.unknown, unknown);
  assert.match(seen.untrusted, untrusted);
}

// Trusts one more authority, with the option that the host has for it.
const script = `
  import process from 'node:process';
  import { readFileSync } from 'node:fs';
  const [guest, smoke, sockets, option, file, ports] = process.argv.slice(2);
  const { run } = await import(smoke);
  const { connect } = await import(sockets);
  const more = { [option]: [readFileSync(file, 'utf8')] };
  const trusting = (address, options) => connect(address, { ...options, ...more });
  console.log(JSON.stringify(await run(await import(guest), JSON.parse(ports), trusting)));
`;

const programs = [
  ['node', () => process.execPath, [], 'ca'],
  ['bun', () => program('@oven', 'bun'), [], 'ca'],
  ['deno', () => program('@deno', 'deno'), ['run', '-A'], 'caCerts'],
];
for (const [name, path, words, option] of programs) {
  const skipped = { skip: name !== 'node' && skip };
  test(`${name} gets, subscribes, and tells what failed; and the program ends`, skipped, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'slotcar-host-'));
    after(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, 'smoke.mjs');
    writeFileSync(file, script);
    const sockets = join(here, '../js', name === 'deno' ? 'deno.js' : 'node.js');
    const places = [process.env.SLOTCAR_JS_GUEST, join(here, 'smoke.mjs'), sockets];
    const all = [...words, file, ...places, option, certs.ca, JSON.stringify(ports)];
    const { stdout } = await promisify(execFile)(path(), all);
    const seen = JSON.parse(stdout);
    check(seen, {
      refused: /^Connect\/NotSent.*refused/i,
      unknown: /^Connect\/NotSent.*(lookup|ENOTFOUND)/,
      untrusted: /^Handshake\/NotSent.*certificate/,
    });
    assert.equal(seen.trusted, 'PONG');
  });
}

const worker = `
  import wasm from './guest_bg.wasm';
  import * as guest from './guest.js';
  import { run } from './smoke.mjs';
  import { connect } from 'cloudflare:sockets';
  let ready;
  export default {
    async fetch(request) {
      ready ??= guest.initSync({ module: wasm });
      const ports = Object.fromEntries(new URL(request.url).searchParams);
      return Response.json(await run(guest, ports, connect));
    },
  };
`;

/** The configuration of workerd for these modules. */
function configuration(folder, port, network) {
  const files = readdirSync(folder, { recursive: true }).filter((file) => /\.(js|mjs|wasm)$/.test(file));
  files.sort((a) => (a === 'worker.mjs' ? -1 : 0));
  const modules = files.map((file) => `(name = "${file}", ${file.endsWith('wasm') ? 'wasm' : 'esModule'} = embed "${file}")`);
  return `using Workerd = import "/workerd/workerd.capnp";
    const config :Workerd.Config = (
      services = [
        (name = "main", worker = (compatibilityDate = "2025-01-01", modules = [${modules.join(', ')}])),
        (name = "internet", network = (allow = ["private", "local", "public"], tlsOptions = (${network}))),
      ],
      sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
    );`;
}

test('workerd gets, subscribes, trusts whom it is told to, and tells what failed', { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'slotcar-workerd-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(dirname(process.env.SLOTCAR_JS_GUEST_WEB), folder, { recursive: true });
  cpSync(join(here, 'smoke.mjs'), join(folder, 'smoke.mjs'));
  writeFileSync(join(folder, 'worker.mjs'), worker);
  const trusted = JSON.stringify(readFileSync(certs.ca, 'utf8'));
  for (const network of ['trustBrowserCas = true', `trustedCertificates = [${trusted}]`]) {
    const port = await freePort();
    writeFileSync(join(folder, 'config.capnp'), configuration(folder, port, network));
    const child = spawn(program('@cloudflare', 'workerd'), ['serve', 'config.capnp'], { cwd: folder, stdio: 'ignore' });
    // It answers SIGTERM by waiting for requests.
    after(() => child.kill('SIGKILL'));
    const seen = await answer(`http://127.0.0.1:${port}/?${new URLSearchParams(ports)}`, child);
    const told = /^Connect\/NotSent.*do not trust/;
    const isTrusted = network.startsWith('trusted');
    check(seen, { refused: told, unknown: told, untrusted: isTrusted ? /object/ : told });
    assert.match(seen.trusted, isTrusted ? /^PONG$/ : told);
    child.kill('SIGKILL');
  }
});

/** Asks a server that is still starting, until it has ended or answers. */
async function answer(url, child) {
  for (;;) {
    try {
      return await (await fetch(url)).json();
    } catch (error) {
      assert.equal(child.exitCode, null, 'workerd has ended');
      assert.equal(error.cause?.code, 'ECONNREFUSED', String(error));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
