// Dials over hosts that misbehave: a typed failure, no hang, and no socket that stays open.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failure, fake, guest, settleable, settled } from './support.mjs';

const coded = (code, message = code, more = {}) => Object.assign(new Error(message), { code, ...more });
const named = (name, message) => Object.assign(new Error(message), { name });

test('a connect that returns no socket is an error that says so', async () => {
  const stream = fake().socket;
  const table = [
    ['nothing', () => undefined, 'returned undefined'],
    ['null', () => null, 'returned null'],
    ['a number', () => 7, 'returned 7'],
    ['a symbol', () => Symbol('s'), 'Symbol(s)'],
    ['an empty object', () => ({}), 'without `readable`'],
    ['half a socket', () => ({ ...stream, writable: undefined }), 'without `readable`'],
    ['a promise of nothing', async () => undefined, 'returned undefined'],
    ['streams without readers', () => ({ ...stream, readable: {} }), 'not a function'],
    ['a reader that is none', () => ({ ...stream, readable: { getReader: () => 1 } }), 'no reader'],
    ['a writer that is none', () => ({ ...stream, writable: { getWriter() {} } }), 'no writer'],
    ['an object without a text', () => Object.create(null), 'without `readable`'],
  ];
  for (const [what, connect, part] of table) {
    const { kind, text } = await failure(guest.dial(connect, 'h', 1, false));
    assert.ok(['Unsupported', 'Other'].includes(kind), `${what}: ${kind}`);
    assert.ok(text.includes(part), `${what}: ${text}`);
  }
});

test('a connect that is no function is an error that says so', async () => {
  for (const connect of [undefined, null, 7, {}, 'connect']) {
    const { kind, text } = await failure(guest.dial(connect, 'h', 1, false));
    assert.equal(kind, 'Unsupported');
    assert.match(text, /no function/);
  }
});

test('whatever a host throws or rejects with keeps its text and has a kind', async () => {
  const evil = new Proxy({}, { get: () => { throw new Error('no property'); } });
  const several = coded('ECONNREFUSED', '', {
    errors: [coded('ECONNREFUSED', 'connect ECONNREFUSED ::1:1'), coded('ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:1')],
  });
  const table = [
    [coded('ECONNREFUSED'), 'ConnectionRefused', 'ECONNREFUSED'],
    [several, 'ConnectionRefused', '127.0.0.1'],
    [coded('ENOTFOUND', 'getaddrinfo ENOTFOUND h'), 'NotFound', 'getaddrinfo'],
    [coded('ETIMEDOUT'), 'TimedOut', ''],
    [coded('ERR_ACCESS_DENIED'), 'PermissionDenied', ''],
    [coded('SELF_SIGNED_CERT_IN_CHAIN'), 'InvalidData', ''],
    [named('NotCapable', 'Requires net access'), 'PermissionDenied', 'net access'],
    [named('ConnectionRefused', 'os error 111'), 'ConnectionRefused', '111'],
    [new Error('outer', { cause: coded('ENOTFOUND', 'inner') }), 'NotFound', 'outer: inner'],
    [new Error('proxy request failed, cannot connect to the specified address'), 'ConnectionRefused', 'do not trust'],
    [new Error('Cannot perform I/O on behalf of a different request.'), 'PermissionDenied', 'different request'],
    ['a text', 'Other', 'a text'],
    [undefined, 'Other', 'undefined'],
    [Symbol('odd'), 'Other', 'odd'],
    [evil, 'Other', ''],
    [coded(7, ''), 'Other', 'Error'],
    [new Error('x'.repeat(100_000)), 'Other', 'xxx'],
  ];
  const circle = new Error('round');
  circle.cause = circle;
  table.push([circle, 'Other', 'round']);
  for (const [thrown, kind, part] of table) {
    const ways = {
      throws: () => { throw thrown; },
      rejects: async () => { throw thrown; },
      'opened rejects': () => fake({ opened: Promise.reject(thrown), closed: Promise.reject(thrown) }).socket,
    };
    for (const [way, connect] of Object.entries(ways)) {
      const error = await failure(guest.dial(connect, 'h', 1, false));
      const seen = `${way} ${String(thrown === evil ? 'evil' : thrown?.message).slice(0, 50)}: ${error.kind} ${error.text.slice(0, 99)}`;
      assert.equal(error.kind, kind, seen);
      assert.ok(error.text.includes(part) && error.text.length <= 1024, seen);
    }
  }
});

test('a socket whose properties throw fails the dial and is closed', async () => {
  for (const property of ['readable', 'writable', 'opened']) {
    const { socket, seen } = fake();
    Object.defineProperty(socket, property, { get() { throw new Error('no such luck'); } });
    await failure(guest.dial(() => socket, 'h', 1, false));
    assert.equal(seen.closes, 1, property);
  }
});

test('a socket whose close throws or rejects harms nobody', async () => {
  for (const close of [() => { throw new Error('no'); }, async () => { throw new Error('no'); }, undefined, 7]) {
    const { socket } = fake({ close });
    (await guest.dial(() => socket, 'h', 1, false)).end(false);
  }
  await settled();
});

test('a dial that is given up closes its socket, whenever it comes', async () => {
  // `opened` that settles never, later, or with an error later.
  for (const late of ['never', 'resolve', 'reject']) {
    const opened = settleable();
    const { socket, seen } = fake({ opened: opened.promise });
    assert.equal((await failure(guest.dial_within(() => socket, 5))).kind, 'Late');
    assert.equal(seen.closes, 1, late);
    if (late !== 'never') opened[late](new Error('too late'));
    await settled();
  }
  // A promise of a socket that settles never, later, with an error, or with no socket.
  for (const value of ['never', 'socket', 'reject', 'nothing']) {
    const promised = settleable();
    const { socket, seen } = fake();
    assert.equal((await failure(guest.dial_within(() => promised.promise, 5))).kind, 'Late');
    if (value === 'socket') promised.resolve(socket);
    if (value === 'reject') promised.reject(new Error('too late'));
    if (value === 'nothing') promised.resolve(undefined);
    await settled();
    assert.equal(seen.closes, value === 'socket' ? 1 : 0, value);
  }
});

test('connect is called as the standard says', async () => {
  for (const [tls, secureTransport] of [[false, 'off'], [true, 'on']]) {
    const calls = [];
    const connect = (...all) => (calls.push(all), fake({ secureTransport }).socket);
    await guest.dial(connect, '::1', 65535, tls);
    assert.deepEqual(calls, [[{ hostname: '::1', port: 65535 }, { secureTransport, allowHalfOpen: false }]]);
  }
});

test('a socket that says that it has no TLS is not used where TLS was asked for', async () => {
  for (const secureTransport of ['off', 'starttls']) {
    const { socket, seen } = fake({ secureTransport });
    const { kind, text } = await failure(guest.dial(() => socket, 'h', 1, true));
    assert.equal(kind, 'Unsupported');
    assert.match(text, /asked for TLS/);
    assert.deepEqual([seen.closes, seen.readers], [1, 0]);
  }
});

test('a socket without opened is an open one', async () => {
  const stream = await guest.dial(() => fake({ opened: undefined, reads: [new Uint8Array(3)] }).socket, 'h', 1, false);
  assert.equal((await stream.read(9)).length, 3);
});

test('unix sockets are refused', async () => {
  assert.equal((await failure(guest.dial_unix(() => fake().socket))).kind, 'Unsupported');
});

test('a host without timers or clock is refused before the dial', async () => {
  for (const name of ['setTimeout', 'clearTimeout', 'performance']) {
    const before = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value: undefined, configurable: true, writable: true });
    let error;
    try {
      error = await failure(guest.dial(() => assert.fail('called'), 'h', 1, false));
    } finally {
      Object.defineProperty(globalThis, name, before);
    }
    assert.equal(error.kind, 'Unsupported');
    assert.ok(error.text.includes(name), error.text);
  }
});

test('a client over each of these hosts fails with a typed error within its time', async () => {
  const hosts = {
    'throws': () => { throw new Error('no'); },
    'returns nothing': () => {},
    'never settles': () => new Promise(() => {}),
    'never opens': () => fake({ opened: new Promise(() => {}) }).socket,
    'never answers': () => fake().socket,
    'ends at once': () => fake({ reads: [null] }).socket,
    'ends in the middle of a reply': () => fake({ reads: [new TextEncoder().encode('%7\r\n$6\r\nser'), null] }).socket,
    'gives texts': () => fake({ reads: ['+OK\r\n'] }).socket,
    'never writes': () => fake({ onWrite: () => new Promise(() => {}) }).socket,
    'fails to write': () => fake({ onWrite: async () => { throw new Error('full'); } }).socket,
  };
  for (const [what, connect] of Object.entries(hosts)) {
    const dialled = guest.client(connect, 'redis://h:1?connect_timeout=50ms');
    const { kind } = await failure(dialled);
    assert.match(kind, /^(Connect|Handshake|Timeout|Protocol)\/(NotSent|Unknown)$/, what);
  }
});
