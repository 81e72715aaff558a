// The sockets of Node: against listeners that do what a network does, and a real server.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { before, test } from 'node:test';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { connect } from '../js/node.js';
import { bytes, failure, guest, settleable, settled, text } from './support.mjs';
import { certificates, freePort, listen, redis } from './servers.mjs';

const dial = (port, host = '127.0.0.1', tls = false, use = connect) => guest.dial(use, host, port, tls);

/** The ports of two servers. */
let plain;
let secure;
let certs;
let other;

before(async () => {
  plain = await redis((port) => ['--port', port]);
  certs = certificates('mine', 'DNS:localhost,IP:127.0.0.1');
  other = certificates('other', 'DNS:redis.example');
  const files = ['--tls-cert-file', certs.cert, '--tls-key-file', certs.key, '--tls-ca-cert-file', certs.ca];
  secure = await redis((port) => ['--port', '0', '--tls-port', port, ...files, '--tls-auth-clients', 'no']);
});

const trusting = (files) => (address, options) => connect(address, { ...options, ca: readFileSync(files.ca) });

test('a refused port, an unknown name and a silent address have their kinds', async () => {
  assert.equal((await failure(dial(await freePort()))).kind, 'ConnectionRefused');
  assert.equal((await failure(dial(1, 'no-such-name.invalid'))).kind, 'NotFound');
  assert.equal((await failure(dial(await freePort(), 'localhost'))).kind, 'ConnectionRefused');
});

test('bytes go both ways, in large amounts at once', async () => {
  const server = await listen((socket) => socket.pipe(socket));
  const stream = await dial(server.address().port);
  const sent = Uint8Array.from({ length: 5_000_000 }, (_, i) => (i * 7) % 249);
  const written = stream.write(sent);
  const got = [];
  for (let length = 0; length < sent.length; length += got.at(-1).length) got.push(await stream.read(100_000));
  await written;
  assert.ok(Buffer.concat(got).equals(sent));
  stream.end(false);
});

test('a reader that does not read holds the server back', async () => {
  let written = 0;
  const server = await listen((socket) => {
    socket.on('error', () => {});
    const chunk = Buffer.alloc(64 * 1024);
    const more = () => {
      while (socket.write(chunk)) written += chunk.length;
      written += chunk.length;
    };
    socket.on('drain', more);
    more();
  });
  const stream = await dial(server.address().port);
  await stream.read(1);
  // The server is held back when its kernel and ours are full.
  let before;
  do {
    before = written;
    await new Promise((resolve) => setTimeout(resolve, 100));
  } while (written > before);
  assert.ok(written < 50_000_000, `${written} bytes`);
  for (let left = written; left > 0; ) left -= (await stream.read(1_000_000)).length;
  stream.end(true);
});

test('a connection that ends in the middle is an end, and a reset is an error', async () => {
  const server = await listen((socket) => socket.end('abc'));
  const stream = await dial(server.address().port);
  assert.equal(text(await stream.read(9)), 'abc');
  assert.equal((await stream.read(9)).length, 0);
  const resetting = await listen((socket) => socket.once('data', () => socket.resetAndDestroy()));
  const other = await dial(resetting.address().port);
  await other.write(bytes('x'));
  assert.equal((await failure(other.read(9))).kind, 'ConnectionReset');
});

test('a write after the end fails, also one that waits for room', async () => {
  const server = await listen((socket) => socket.end('abc'));
  const stream = await dial(server.address().port);
  while ((await stream.read(9)).length > 0);
  await failure((async () => { for (;;) await stream.write(bytes('x')); })());
  assert.match((await failure(stream.write(bytes('x')))).kind, /^(ConnectionReset|BrokenPipe)$/);
  // A server that reads nothing, and hangs up once nothing more can be written.
  const accepted = settleable();
  const silent = await listen((socket) => {
    socket.pause();
    socket.on('error', () => {});
    accepted.resolve(socket);
  });
  const other = await dial(silent.address().port);
  const large = new Uint8Array(1_000_000);
  while (other.poll_write(large) !== undefined) await settled();
  (await accepted.promise).destroy();
  const failed = await failure((async () => { for (;;) await other.write(large); })());
  assert.match(failed.kind, /^(ConnectionReset|BrokenPipe)$/);
});

for (const secured of [false, true]) {
  const what = secured ? 'an encrypted' : 'a plain';
  test(`dropping ${what} stream sends what was written; with its flag set it resets`, async () => {
    for (const abort of [false, true]) {
      const ended = settleable();
      const serve = (socket) => {
        let got = 0;
        socket.on('data', (part) => {
          got += part.length;
          if (got === 1000) socket.write('!');
        });
        socket.on('end', () => ended.resolve(`end after ${got}`));
        socket.on('error', (error) => ended.resolve(error.code));
      };
      let server;
      if (secured) {
        const options = { cert: readFileSync(certs.cert), key: readFileSync(certs.key) };
        const secureServer = tls.createServer(options, serve);
        // A reset is seen below TLS.
        secureServer.on('connection', (socket) => socket.on('error', (error) => ended.resolve(error.code)));
        secureServer.on('tlsClientError', () => {});
        server = secureServer.listen(0, '127.0.0.1');
        await once(server, 'listening');
      } else {
        server = await listen(serve);
      }
      const stream = await dial(server.address().port, '127.0.0.1', secured, trusting(certs));
      await stream.write(new Uint8Array(1000));
      // The server has read it all: with something left to read, Node calls a reset an end.
      await stream.read(1);
      if (!abort) assert.equal(stream.poll_write(new Uint8Array(1000)), 1000);
      stream.end(abort);
      assert.equal(await ended.promise, abort ? 'ECONNRESET' : 'end after 2000');
      server.close();
    }
  });
}

test('a name with several addresses is dialled until one accepts', async () => {
  const server = await listen((socket) => socket.end('hi'), '127.0.0.1');
  // `localhost` may be ::1 first, on which nothing listens.
  const stream = await dial(server.address().port, 'localhost');
  assert.equal(text(await stream.read(9)), 'hi');
});

test('TLS verifies the dialled name or address against the authorities that are trusted', async () => {
  for (const host of ['localhost', '127.0.0.1']) {
    const stream = await dial(secure, host, true, trusting(certs));
    await stream.write(bytes('PING\r\n'));
    assert.equal(text(await stream.read(99)), '+PONG\r\n');
    stream.end(false);
    // Nobody trusts it without; and another authority is not enough.
    for (const use of [connect, trusting(other)]) {
      const { kind, text } = await failure(dial(secure, host, true, use));
      assert.equal(kind, 'InvalidData', text);
    }
  }
  // A certificate for other names.
  const options = { cert: readFileSync(other.cert), key: readFileSync(other.key) };
  const server = tls.createServer(options, () => assert.fail('accepted')).listen(0, '127.0.0.1');
  server.on('tlsClientError', () => {});
  await once(server, 'listening');
  for (const host of ['localhost', '127.0.0.1']) {
    const { kind, text } = await failure(dial(server.address().port, host, true, trusting(other)));
    assert.equal(kind, 'InvalidData', text);
    assert.match(text, /altnames|IP/);
  }
  server.close();
  // A server that does not speak TLS.
  const clear = await listen((socket) => (socket.on('error', () => {}), socket.write('-ERR unknown command\r\n')));
  assert.equal((await failure(dial(clear.address().port, '127.0.0.1', true))).kind, 'InvalidData');
});

test('a server that refuses the client of a handshake is told as such', async () => {
  const ca = readFileSync(certs.ca);
  const options = { cert: readFileSync(certs.cert), key: readFileSync(certs.key), ca, requestCert: true, minVersion: 'TLSv1.3' };
  const server = tls.createServer(options, () => {}).listen(0, '127.0.0.1');
  server.on('tlsClientError', () => {});
  await once(server, 'listening');
  const stream = await dial(server.address().port, '127.0.0.1', true, trusting(certs));
  assert.equal((await failure(stream.read(9))).kind, 'ConnectionRefused');
  server.close();
});

test('a closed socket keeps no program running, whatever the server does', async () => {
  const script = `
    import { connect } from ${JSON.stringify(new URL('../js/node.js', import.meta.url).href)};
    import { readFileSync } from 'node:fs';
    const [port, secureTransport, ca] = process.argv.slice(1);
    const socket = connect({ hostname: '127.0.0.1', port: Number(port) }, { secureTransport, ca: readFileSync(ca) });
    await socket.opened;
    socket.readable.getReader().read();
    socket.writable.getWriter().write(new Uint8Array(30_000_000));
    socket.close();
  `;
  const hold = (socket) => (socket.on('error', () => {}), socket.pause());
  const options = { cert: readFileSync(certs.cert), key: readFileSync(certs.key) };
  const encrypted = tls.createServer(options, hold).listen(0, '127.0.0.1');
  await once(encrypted, 'listening');
  for (const [server, secured] of [[await listen(hold), 'off'], [encrypted, 'on']]) {
    const words = ['--input-type=module', '-e', script, String(server.address().port), secured, certs.ca];
    await promisify(execFile)(process.execPath, words);
  }
  encrypted.close();
});

test('a dial that is given up leaves no socket behind', async () => {
  // A server that accepts and says nothing: the handshake of TLS never ends.
  const accepted = settleable();
  const server = await listen((socket) => {
    socket.on('error', () => {});
    accepted.resolve(once(socket, 'close'));
    socket.resume();
  });
  const use = (address, options) => connect({ hostname: '127.0.0.1', port: server.address().port }, { ...options, secureTransport: 'on' });
  assert.equal((await failure(guest.dial_within(use, 200))).kind, 'Late');
  await (await accepted.promise);
});

test('a client gets, sets and subscribes', async () => {
  for (const url of [`redis://127.0.0.1:${plain}`, `rediss://localhost:${secure}`]) {
    const clients = [await guest.client(trusting(certs), url), await guest.client(trusting(certs), url)];
    assert.equal(await clients[0].call(['SET', 'k', 'v'.repeat(100_000)]), 'OK');
    assert.equal((await clients[0].call(['GET', 'k'])).length, 100_000);
    assert.equal(await clients[0].call(['GET', 'none']), undefined);
    const many = Array.from({ length: 500 }, () => clients[0].call(['INCR', 'n']));
    const last = (await Promise.all(many)).map(Number).sort((a, b) => b - a)[0];
    assert.equal(last % 500, 0);
    const channel = await clients[0].subscribe('news');
    const updates = [];
    while (!updates.at(-1)?.startsWith('Subscribed')) updates.push(await channel.next());
    assert.equal(await clients[1].call(['PUBLISH', 'news', 'hello']), '1');
    assert.equal(await channel.next(), 'hello');
    clients.forEach((client) => client.close());
  }
});

test('the door chooses the sockets of this host, with its TLS', async () => {
  const client = await guest.door(`redis://127.0.0.1:${plain}`);
  assert.equal(await client.call(['PING']), 'PONG');
  client.close();
  // Nobody here trusts the authority, and nothing was built with the feature `tls`.
  const { kind, text } = await failure(guest.door(`rediss://localhost:${secure}`));
  assert.equal(kind, 'Handshake/NotSent', text);
  assert.match((await failure(guest.door(`redis://127.0.0.1:${await freePort()}`))).kind, /^Connect/);
  assert.match((await failure(guest.door('redis://no-such-name.invalid:1'))).text, /no-such-name/);
});

test('the door makes clients of a cluster: at once, lazily, and from a topology that was kept', async () => {
  const port = await redis((port) => ['--port', port, '--cluster-enabled', 'yes', '--cluster-config-file', `nodes-${port}`]);
  const single = await guest.client(connect, `redis://127.0.0.1:${port}`);
  await single.call(['CLUSTER', 'ADDSLOTSRANGE', '0', '16383']);
  while (!(await single.call(['CLUSTER', 'INFO'])).includes('cluster_state:ok')) await settled();
  single.close();
  const url = `redis-cluster://127.0.0.1:${port}`;
  const first = await guest.door(url);
  const lazy = await guest.door_lazy(url);
  const again = await guest.door_again(first, url);
  for (const client of [first, lazy, again]) {
    assert.equal(await client.call(['SET', 'k', 'v']), 'OK');
    assert.equal(await client.call(['GET', 'k']), 'v');
    client.close();
  }
});
