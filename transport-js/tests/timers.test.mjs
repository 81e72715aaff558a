// Timers, clock, chance and background tasks of the host.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failure, fake, guest, settleable, settled } from './support.mjs';

/** Runs `body` with another function in place of a global one. */
async function instead(object, name, value, body) {
  const before = Object.getOwnPropertyDescriptor(object, name);
  Object.defineProperty(object, name, { value, configurable: true, writable: true });
  try {
    return await body();
  } finally {
    if (before) Object.defineProperty(object, name, before);
    else delete object[name];
  }
}

test('a timer does not end before its deadline', async () => {
  for (const millis of [0, 0.2, 1, 1.7, 10, 33.3]) {
    const [early, polls] = await guest.sleep(millis);
    assert.equal(early, 0, millis);
    assert.ok(polls <= 2, `${polls} polls`);
  }
});

test('a host whose timers are early is asked again, and wakes nobody before the deadline', async () => {
  const real = globalThis.setTimeout;
  const asked = [];
  const early = (run, millis) => (asked.push(millis), real(run, millis / 4));
  const slept = await instead(globalThis, 'setTimeout', early, () => guest.sleep(40));
  assert.deepEqual([...slept], [0, 2]);
  assert.ok(asked.length > 1, 'more than one timer');
  assert.ok(asked.every((millis) => Number.isInteger(millis) && millis >= 0), `whole milliseconds: ${asked}`);
});

test('a call with a deadline ends in a host whose timers are early', async () => {
  const real = globalThis.setTimeout;
  const early = (run, millis) => real(run, Math.max(1, millis - 3));
  await instead(globalThis, 'setTimeout', early, async () => {
    const silent = guest.client(() => fake().socket, 'redis://h:1?connect_timeout=40ms');
    assert.match((await failure(silent)).kind, /^(Connect|Timeout)/);
  });
});

test('a timer that was early and is dropped then is cleared', async () => {
  const set = [];
  const cleared = [];
  await instead(globalThis, 'setTimeout', (run) => set.push(run), () =>
    instead(globalThis, 'clearTimeout', (id) => cleared.push(id), async () => {
      const opened = settleable();
      const { socket } = fake({ opened: opened.promise });
      const dialled = failure(guest.dial_within(() => socket, 60_000));
      await settled();
      set[0]();
      assert.equal(set.length, 2, 'it was set again');
      opened.reject(new Error('no'));
      await dialled;
    }));
  assert.deepEqual(cleared, [2]);

});

test('a far deadline is waited for in parts that a host can take', async () => {
  const asked = [];
  const note = (run, millis) => (asked.push(millis), 0);
  await instead(globalThis, 'setTimeout', note, async () => guest.sleep_dropped(1e12));
  assert.deepEqual(asked, [2 ** 31 - 1]);
});

test('no deadline is no timer', async () => {
  const none = () => assert.fail('a timer');
  await instead(globalThis, 'setTimeout', none, async () => guest.sleep_dropped(-1));
});

test('a dropped timer is cleared', async () => {
  const set = [];
  const cleared = [];
  const real = { set: globalThis.setTimeout, clear: globalThis.clearTimeout };
  await instead(globalThis, 'setTimeout', (...all) => (set.push(real.set(...all)), set.at(-1)), () =>
    instead(globalThis, 'clearTimeout', (id) => (cleared.push(id), real.clear(id)), async () => {
      guest.sleep_dropped(60_000);
    }));
  assert.equal(set.length, 1);
  assert.deepEqual(cleared, set);
});

test('a timer that cannot be cleared may fire later', async () => {
  const real = globalThis.setTimeout;
  let fire;
  const refuse = () => { throw new Error('Disallowed operation called within global scope.'); };
  await instead(globalThis, 'setTimeout', (run) => ((fire = run), 1), () =>
    instead(globalThis, 'clearTimeout', refuse, async () => guest.sleep_dropped(5)));
  fire();
  fire();
  await new Promise((resolve) => real(resolve, 1));
});

test('a host that forbids timers leaves a sleep waiting and throws nothing', async () => {
  const refuse = () => { throw new Error('Disallowed operation called within global scope.'); };
  await instead(globalThis, 'setTimeout', refuse, async () => guest.sleep_dropped(5));
});

test('the clock never goes back, and never panics', async () => {
  const real = performance.now.bind(performance);
  let last = guest.now();
  assert.ok(Math.abs(last - real()) < 1000);
  for (const value of [real() + 5, real() - 1000, 0, -5, NaN, 'text', undefined]) {
    const now = await instead(performance, 'now', () => value, async () => guest.now());
    assert.ok(now >= last, `${value}: ${now} after ${last}`);
    last = now;
  }
  const refuse = () => { throw new Error('no clock'); };
  assert.ok(await instead(performance, 'now', refuse, async () => guest.now()) >= last);
});

test('seeds differ, also in a host without random values', async () => {
  const seeds = new Set(Array.from({ length: 20 }, () => guest.seed()));
  const refuse = () => { throw new Error('no random values here'); };
  await instead(globalThis, 'crypto', { getRandomValues: refuse }, async () => {
    for (let i = 0; i < 20; i++) seeds.add(guest.seed());
  });
  await instead(globalThis, 'crypto', undefined, async () => seeds.add(guest.seed()));
  assert.equal(seeds.size, 41);
});

test('a task in the background runs by itself, and later', async () => {
  let ran = 0;
  assert.equal(guest.background(() => ran++), true);
  assert.equal(ran, 0);
  await settled();
  assert.equal(ran, 1);
});
