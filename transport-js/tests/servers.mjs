// Servers of the tests: a real one on a free loopback port, certificates, and plain listeners.
//
// `SLOTCAR_SERVERS` is the folder of `cargo xtask servers`. `openssl` makes the certificates; a test
// that needs it fails without.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';

const folder = mkdtempSync(join(tmpdir(), 'slotcar-js-'));
/** What ends with the tests: one hook, since a hook made in another ends with that. */
const endings = [];
after(() => {
  endings.forEach((end) => end());
  rmSync(folder, { recursive: true, force: true });
});

/** A listener on a free port; `serve` gets each connection. */
export async function listen(serve, host = '127.0.0.1') {
  const server = net.createServer(serve);
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, host, resolve));
  endings.push(() => server.close());
  return server;
}

/** A port of loopback on which nothing listens. */
export async function freePort() {
  const server = await listen(() => {});
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** An authority and a certificate that it signed for `names`, as paths. */
export function certificates(name, names) {
  const path = (file) => join(folder, `${name}-${file}`);
  const openssl = (...all) => execFileSync('openssl', all, { stdio: ['ignore', 'ignore', 'pipe'] });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  openssl('req', '-x509', ...key, '-subj', `/CN=${name} authority`, '-keyout', path('ca.key'), '-out', path('ca.pem'),
    '-addext', 'keyUsage=critical,keyCertSign', '-addext', 'basicConstraints=critical,CA:TRUE');
  openssl('req', '-x509', ...key, '-subj', `/CN=${name}`, '-keyout', path('key.pem'), '-out', path('cert.pem'),
    '-CA', path('ca.pem'), '-CAkey', path('ca.key'), '-addext', `subjectAltName=${names}`,
    '-addext', 'basicConstraints=critical,CA:FALSE');
  return { ca: path('ca.pem'), cert: path('cert.pem'), key: path('key.pem') };
}

/**
 * Starts a server on a free port, with the arguments that `options` returns for it; it ends with the
 * tests. Resolves to the port when it takes connections. Another program may take the port before
 * the server does: then it is another one.
 */
export async function redis(options) {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const said = await start(options(String(port)));
    if (said === null) return port;
    if (attempt === 5 || !said.includes('Address already in use')) throw new Error(`the server ended: ${said}`);
  }
}

/** Starts a server; resolves to `null`, or to what it said before it ended. */
async function start(options) {
  assert.ok(process.env.SLOTCAR_SERVERS, 'SLOTCAR_SERVERS is not set: run `node transport-js/tests/run.mjs`');
  const program = join(process.env.SLOTCAR_SERVERS, 'redis-7.0/bin/redis-server');
  const common = ['--save', '', '--maxmemory', '200mb', '--bind', '127.0.0.1', '--dir', folder];
  const child = spawn(program, [...common, ...options], { stdio: ['ignore', 'pipe', 'inherit'] });
  endings.push(() => child.kill('SIGKILL'));
  let said = '';
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', () => resolve(said));
    child.stdout.on('data', (part) => {
      said += part;
      if (said.includes('Ready to accept connections')) resolve(null);
    });
  });
}
