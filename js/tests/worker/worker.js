// The Worker of the tests: each request names a scene and its parameters in JSON, and gets what the
// scene returns, or the error's fields.

import { connect, SlotcarError, withClient } from "slotcar/workers";

/** Kept between requests, as a Worker would. */
const kept = { topology: undefined, client: undefined, leaked: [] };

const scenes = {
  commands: ({ url }) =>
    withClient(url, async (redis) => {
      await redis.hset("hash", { a: 1, b: "ä" });
      return {
        set: await redis.set("k", "v"),
        get: await redis.get("k"),
        bytes: [...(await redis.getBuffer("k"))],
        isBytes: (await redis.getBuffer("k")) instanceof Uint8Array,
        hash: await redis.hgetall("hash"),
        piped: await redis.pipeline().get("k").incr("n").exec(),
        atomic: (await redis.multi().set("{m}a", 1).get("{m}a").exec()).map(([, reply]) => reply),
      };
    }),

  failure: ({ url, options }) => withClient(url, options, (redis) => redis.get("k")),

  wrongType: ({ url }) =>
    withClient(url, async (redis) => {
      await redis.set("text", "no list");
      await redis.lpush("text", "x");
    }),

  argument: ({ url }) => withClient(url, (redis) => redis.set("k", undefined)),

  unsettled: ({ url }) => withClient(url, { connect: () => new Promise(() => {}), connectTimeout: 100 }, () => 1),

  cancel: ({ url }) =>
    withClient(url, async (redis) => {
      const waiting = redis.with({ signal: AbortSignal.timeout(50) }).blpop("nothing", 0);
      const error = await waiting.catch((thrown) => thrown);
      return { kind: error.kind, name: error.name, delivery: error.delivery, after: await redis.ping() };
    }),

  keys: ({ url, keys }) =>
    withClient(url, async (redis) => {
      for (const key of keys) await redis.set(key, `of ${key}`);
      return redis.mget(keys);
    }),

  keep: ({ url }) =>
    withClient(url, async (redis) => {
      kept.topology = redis.topology();
      return kept.topology.shards.length;
    }),

  kept: ({ url, key }) => withClient(url, { topology: kept.topology }, (redis) => redis.get(key)),

  load: ({ url, keys, milliseconds }) =>
    withClient(url, { commandTimeout: "60s" }, async (redis) => {
      const end = Date.now() + milliseconds;
      let done = 0;
      const failed = [];
      while (Date.now() < end) {
        for (const key of keys) {
          try {
            await redis.set(key, String(done));
            done += 1;
          } catch (error) {
            failed.push(`${error.kind}/${error.delivery}`);
          }
        }
      }
      return { done, failed };
    }),

  subscribe: ({ url, channels, count }) =>
    withClient(url, async (redis) => {
      const subscription = await redis.ssubscribe(channels).ready({ timeout: 30_000 });
      await redis.set("ready", "yes");
      const messages = {};
      const gaps = {};
      for await (const update of subscription) {
        if (update.type === "message") (messages[update.channel] ??= []).push(update.message);
        if (update.type === "gap") gaps[update.channel] = update.cause;
        if (Object.values(messages).flat().length >= count) break;
      }
      return { messages, gaps };
    }),

  async leak({ url }) {
    const redis = await connect(url);
    const reply = await redis.set("leak", "1");
    kept.leaked.push(new WeakRef(redis));
    return reply;
  },

  none: () => "ready",

  async share({ url }) {
    kept.client ??= await connect(url);
    return kept.client.ping();
  },
};

function described(error) {
  if (!(error instanceof SlotcarError)) return { foreign: String(error?.stack ?? error) };
  const { name, kind, delivery, code, command, message } = error;
  return { name, kind, delivery, code, command, message };
}

export default {
  async fetch(request) {
    const { scene, ...parameters } = await request.json();
    try {
      return Response.json({ result: await scenes[scene](parameters) });
    } catch (error) {
      return Response.json({ error: described(error) });
    }
  },
};
