// Streams over scripted sockets: every byte once and in order, whatever the host and the caller do.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytes, failure, fake, guest, over, settleable, settled, text } from './support.mjs';

test('chunks of any size are read at any size', async () => {
  const all = Uint8Array.from({ length: 1000 }, (_, i) => i % 251);
  for (const [sent, read] of [[1, 1], [1, 7], [7, 1], [13, 8], [1000, 1], [1000, 999], [500, 500], [3, 4096]]) {
    const reads = [];
    for (let at = 0; at < all.length; at += sent) reads.push(all.slice(at, at + sent));
    const { stream } = await over({ reads: [...reads, null] });
    const got = [];
    for (let part; (part = await stream.read(read)).length > 0; ) got.push(...part);
    assert.deepEqual(Uint8Array.from(got), all, `${sent} ${read}`);
    // The end stays the end.
    assert.equal((await stream.read(1)).length, 0);
  }
});

test('a view into a larger buffer is read, and nothing beside it', async () => {
  const whole = bytes('..abc..');
  const views = [whole.subarray(2, 5), Buffer.from(whole.buffer, 2, 3)];
  const { stream } = await over({ reads: views });
  assert.equal(text(await stream.read(99)), 'abc');
  assert.equal(text(await stream.read(99)), 'abc');
});

test('a read that is dropped loses nothing', async () => {
  const first = settleable();
  const { stream } = await over({ reads: [first.promise, bytes('def')] });
  for (let i = 0; i < 3; i++) assert.equal(stream.poll_read(9), undefined);
  first.resolve(bytes('abc'));
  await settled();
  assert.equal(text(stream.poll_read(2)), 'ab');
  assert.equal(text(stream.poll_read(2)), 'c');
  assert.equal(stream.poll_read(2), undefined);
  await settled();
  assert.equal(text(await stream.read(9)), 'def');
});

/** A reader whose reads are what these functions do with both functions of a `then`. */
function thenables(...thens) {
  const reader = { read: () => ({ then: thens.shift() ?? (() => {}) }), cancel: async () => {} };
  return {
    getReader(options) {
      if (options?.mode === 'byob') throw new TypeError('no stream of bytes');
      return reader;
    },
  };
}

test('a read that only has a then is a promise, whenever and however often it calls', async () => {
  const chunk = (value) => ({ value: bytes(value), done: false });
  let late;
  const readable = thenables(
    (resolve) => resolve(chunk('a')),
    (resolve, reject) => (resolve(chunk('b')), resolve(chunk('lost')), reject(new Error('lost'))),
    (resolve) => void setImmediate(resolve, chunk('c')),
    (resolve) => void (late = resolve),
    () => { throw Object.assign(new Error('gone'), { code: 'ECONNRESET' }); },
  );
  const { stream } = await over({ readable });
  assert.equal(text(stream.poll_read(9)), 'a');
  assert.equal(text(stream.poll_read(9)), 'b');
  assert.equal(text(await stream.read(9)), 'c');
  const read = stream.read(9);
  await settled();
  late(chunk('d'));
  assert.equal(text(await read), 'd');
  // A call for a chunk that was read changes nothing.
  late(chunk('lost'));
  assert.equal((await failure(stream.read(9))).kind, 'ConnectionReset');
});

test('a read that calls after its stream was dropped is nobody\'s', async () => {
  let call;
  const { stream } = await over({ readable: thenables((...both) => void (call = both)) });
  assert.equal(stream.poll_read(9), undefined);
  stream.free();
  call[1](new Error('too late'));
});

test('a future that wakes itself over and over leaves room for other microtasks', async () => {
  let [polls, done] = [0, false];
  guest.restless(() => ((polls += 1), done));
  await Promise.resolve().then(() => Promise.resolve());
  done = true;
  await settled();
  const ended = polls;
  await settled();
  assert.ok(ended > 1 && polls === ended, `${polls} polls, ${ended} before`);
});

test('one write is in progress at a time, and its bytes are a copy', async () => {
  const writes = [];
  const { stream, seen } = await over({ onWrite: () => (writes.push(settleable()), writes.at(-1).promise) });
  const mine = bytes('abc');
  assert.equal(stream.poll_write(mine), 3);
  mine.fill(0);
  // The second waits for the first, and a dropped one writes nothing.
  for (let i = 0; i < 3; i++) assert.equal(stream.poll_write(bytes('xyz')), undefined);
  assert.equal(seen.written.length, 1);
  writes[0].resolve();
  await settled();
  assert.equal(stream.poll_write(bytes('def')), 3);
  const flushed = stream.flush();
  writes[1].resolve();
  await flushed;
  assert.deepEqual(seen.written.map(text), ['abc', 'def']);
  assert.equal(seen.most, 1);
});

test('a large write arrives whole and in order', async () => {
  const { stream, seen } = await over({ onWrite: () => new Promise((resolve) => setImmediate(resolve)) });
  const large = Uint8Array.from({ length: 3_000_001 }, (_, i) => (i * 31) % 253);
  await stream.write(large);
  assert.ok(Buffer.concat(seen.written).equals(large));
  assert.ok(seen.written.every((chunk) => chunk.length <= 256 * 1024));
  assert.equal(seen.most, 1);
});

test('a write that is rejected fails the flush, and the next write', async () => {
  const { stream } = await over({ onWrite: async () => { throw Object.assign(new Error('gone'), { code: 'EPIPE' }); } });
  assert.equal((await failure(stream.write(bytes('a')))).kind, 'BrokenPipe');
  assert.equal((await failure(stream.write(bytes('b')))).kind, 'BrokenPipe');
});

test('a write that is rejected after the stream was dropped is nobody\'s', async () => {
  const write = settleable();
  const { stream, seen } = await over({ onWrite: () => write.promise });
  assert.equal(stream.poll_write(bytes('a')), 1);
  stream.end(false);
  assert.deepEqual([seen.closes, seen.cancels, seen.aborts], [1, 1, 0]);
  write.reject(new Error('late'));
  await settled();
});

test('a read that is rejected after the stream was dropped is nobody\'s', async () => {
  const read = settleable();
  const { stream } = await over({ reads: [read.promise] });
  assert.equal(stream.poll_read(1), undefined);
  stream.end(false);
  read.reject(new Error('late'));
  await settled();
});

test('what is no bytes is a typed error, once and for all', async () => {
  for (const odd of ['text', 7, {}, [1, 2], new ArrayBuffer(3), new Uint16Array(2), new DataView(new ArrayBuffer(2))]) {
    const { stream } = await over({ reads: [odd, bytes('later')] });
    assert.equal((await failure(stream.read(9))).kind, 'Unsupported');
    assert.equal((await failure(stream.read(9))).kind, 'ConnectionReset');
  }
});

test('a reader that gives no chunks is a typed error', async () => {
  const readers = [() => undefined, async () => undefined, async () => 7, () => { throw new Error('no'); },
    async () => { throw new Error('no'); }, async () => ({}), async () => ({ done: false, value: undefined }),
    async () => ({ get done() { throw new Error('no'); } }), async () => ({ done: false, get value() { throw new Error('no'); } })];
  for (const read of readers) {
    const { stream } = await over({ readable: { getReader: () => ({ read }) } });
    assert.match((await failure(stream.read(9))).kind, /^(Unsupported|Other)$/, String(read));
    stream.end(false);
  }
});

test('a host that gives empty chunks for ever is an error, and some are not', async () => {
  const { stream } = await over({ reads: [new Uint8Array(0), new Uint8Array(0), bytes('a')] });
  assert.equal(text(await stream.read(9)), 'a');
  const endless = { getReader: () => ({ read: async () => ({ value: new Uint8Array(0), done: false }) }) };
  const { stream: other } = await over({ readable: endless });
  assert.match((await failure(other.read(9))).text, /empty/);
});

test('a chunk whose buffer is taken away is an error', async () => {
  const chunk = bytes('abcdef');
  const { stream } = await over({ reads: [chunk] });
  assert.equal(text(await stream.read(2)), 'ab');
  structuredClone(chunk.buffer, { transfer: [chunk.buffer] });
  assert.equal(typeof (await failure(stream.read(2))).kind, 'string');
});

test('a dropped stream closes its socket; with its flag set it aborts what it can', async () => {
  let { stream, seen } = await over();
  stream.end(false);
  assert.deepEqual([seen.closes, seen.cancels, seen.aborts], [1, 1, 0]);
  ({ stream, seen } = await over());
  stream.end(true);
  assert.deepEqual([seen.closes, seen.aborts], [1, 1]);
  let resets = 0;
  ({ stream, seen } = await over({ abort: () => void resets++ }));
  stream.end(true);
  assert.deepEqual([resets, seen.aborts], [1, 0]);
  for (const abort of [() => { throw new Error('no'); }, async () => { throw new Error('no'); }, 7]) {
    ({ stream } = await over({ abort }));
    stream.end(true);
  }
  await settled();
});

test('the outgoing half closes once, after what was written', async () => {
  const done = [];
  const writer = { write: async () => void done.push('write'), close: async () => void done.push('close') };
  const { stream } = await over({ writable: { getWriter: () => writer } });
  await stream.write(bytes('a'));
  await stream.close();
  await stream.close();
  assert.deepEqual(done, ['write', 'close']);
});

test('web streams of bytes fill our buffer, and it comes back', async () => {
  const buffers = new Set();
  let sent = 0;
  const readable = new ReadableStream({
    type: 'bytes',
    pull(controller) {
      const request = controller.byobRequest;
      assert.ok(request, 'a read that brings its buffer');
      buffers.add(request.view.buffer.byteLength);
      if (sent === 50) {
        controller.close();
        request.respond(0);
        return;
      }
      request.view[0] = sent++;
      request.respond(1);
    },
  });
  const { stream } = await over({ readable });
  const got = [];
  for (let part; (part = await stream.read(10)).length > 0; ) got.push(...part);
  assert.deepEqual(got, Array.from({ length: 50 }, (_, i) => i));
  assert.deepEqual([...buffers], [64 * 1024]);
});

test('web streams of chunks, and web writers that fail, work as well', async () => {
  const readable = new ReadableStream({ start: (c) => (c.enqueue(bytes('abc')), c.error(new Error('Network connection lost.'))) });
  const writable = new WritableStream({ write: () => { throw new Error('Network connection lost.'); } });
  const { stream } = await over({ readable, writable });
  assert.equal((await failure(stream.read(9))).kind, 'ConnectionReset');
  assert.equal((await failure(stream.write(bytes('a')))).kind, 'ConnectionReset');
  stream.end(true);
  await settled();
});

test('only a server that refuses the client at the first read has processed nothing', async () => {
  const coded = (code) => Object.assign(new Error(code), { code });
  const required = coded('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED');
  const table = [
    [true, [required], 'ConnectionRefused'],
    [false, [required], 'InvalidData'],
    [true, [coded('ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR')], 'InvalidData'],
    [true, [bytes('a'), required], 'InvalidData'],
    // The core would send a command a second time.
    [true, [coded('ECONNREFUSED')], 'ConnectionReset'],
    [false, [bytes('a'), new Error('proxy request failed')], 'ConnectionReset'],
  ];
  for (const [tls, reads, kind] of table) {
    const stream = await guest.dial(() => fake({ reads }).socket, 'h', 1, tls);
    for (let i = 1; i < reads.length; i++) await stream.read(9);
    assert.equal((await failure(stream.read(9))).kind, kind, `${tls} ${reads.at(-1)}`);
  }
  const { stream } = await over({ onWrite: async () => { throw coded('ECONNREFUSED'); } });
  assert.equal((await failure(stream.write(bytes('a')))).kind, 'ConnectionReset');
});

test('streams, reads and timers that are dropped leave no memory behind', async () => {
  const round = async () => {
    for (let i = 0; i < 300; i++) {
      const read = settleable();
      const { stream } = await over({ reads: [bytes('abc'), read.promise] });
      assert.equal(text(await stream.read(2)), 'ab');
      stream.poll_write(new Uint8Array(1000));
      stream.poll_read(9);
      stream.poll_read(9);
      guest.sleep_dropped(60_000);
      stream.end(i % 2 === 0);
      stream.free();
      read.reject(new Error('late'));
    }
    await settled();
  };
  for (let i = 0; i < 3; i++) await round();
  const before = guest.pages();
  for (let i = 0; i < 10; i++) await round();
  assert.equal(guest.pages(), before);
});
