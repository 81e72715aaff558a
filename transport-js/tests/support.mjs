// What the tests of this transport share: the module under test, scripted sockets, and the check
// that no rejection is left unhandled.
//
// `SLOTCAR_JS_GUEST` is the module that `slotcar-js-bindgen` made of the example `guest`.
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { pathToFileURL } from 'node:url';

const place = process.env.SLOTCAR_JS_GUEST;
if (!place) throw new Error('SLOTCAR_JS_GUEST is not set: run `node transport-js/tests/run.mjs`');
export const guest = await import(pathToFileURL(place).href);

const unhandled = [];
process.on('unhandledRejection', (reason) => unhandled.push(reason));
process.on('uncaughtException', (reason) => unhandled.push(reason));

/** Lets all promises that can settle do so. */
export async function settled() {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

after(async () => {
  await settled();
  assert.deepEqual(unhandled, [], 'no rejection is left unhandled, and nothing throws');
});

/** The failure of a promise. */
export async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    assert.equal(typeof error.kind, 'string', `a typed failure, not ${error}`);
    return error;
  }
  return assert.fail('it did not fail');
}

/** A promise from outside. */
export function settleable() {
  let settle;
  const promise = new Promise((resolve, reject) => (settle = { resolve, reject }));
  return { promise, ...settle };
}

export const bytes = (text) => new TextEncoder().encode(text);
export const text = (array) => new TextDecoder().decode(array);

/**
 * A socket that does what the test says, and counts what is done to it. `reads` are what its reads
 * return, in turn: bytes, `null` for the end, an error, a function, or a promise of these; then
 * nothing more comes. `onWrite` returns what a write returns.
 */
export function fake({ reads = [], onWrite = async () => {}, ...more } = {}) {
  const seen = { closes: 0, aborts: 0, cancels: 0, written: [], writing: 0, most: 0, readers: 0 };
  const queue = [...reads];
  const bring = async (next) => {
    const value = await (typeof next === 'function' ? next() : next);
    if (value instanceof Error) throw value;
    return value === null ? { value: undefined, done: true } : { value, done: false };
  };
  const socket = {
    opened: Promise.resolve({}),
    closed: new Promise(() => {}),
    readable: {
      getReader(options) {
        if (options?.mode === 'byob') throw new TypeError('no byte stream');
        seen.readers++;
        return {
          read: () => (queue.length > 0 ? bring(queue.shift()) : new Promise(() => {})),
          cancel: async () => void seen.cancels++,
        };
      },
    },
    writable: {
      getWriter: () => ({
        async write(chunk) {
          seen.written.push(chunk);
          seen.most = Math.max(seen.most, ++seen.writing);
          try {
            return await onWrite(chunk);
          } finally {
            seen.writing--;
          }
        },
        close: async () => {},
        abort: async () => void seen.aborts++,
      }),
    },
    close: async () => void seen.closes++,
    ...more,
  };
  return { socket, seen };
}

/** A stream over a scripted socket. */
export async function over(script) {
  const { socket, seen } = fake(script);
  return { stream: await guest.dial(() => socket, 'h', 1, false), seen, socket };
}
