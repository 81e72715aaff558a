// A function at the edge, as a Worker: a rate limit, a session, and a counter.
//
//   GET /limit    at most ten requests in ten seconds for each address, then 429
//   GET /session  what the session of the cookie `session` holds; begins one without
//   GET /hits     how many requests there were
//
// A connection belongs to one request, so each request has a client of its own; what it learned of
// the cluster is kept, so that the next one's first command goes to the right node at once.
// `REDIS_URL` is the cluster, for instance `rediss-cluster://h1,h2`.

import { SlotcarError, withClient } from "slotcar/workers";

const WINDOW_SECONDS = 10;
const REQUESTS_MAX = 10;
const SESSION_SECONDS = 3600;

let topology;

/** Counts in one slot, so that both commands run together. */
async function limit(redis, request) {
  const key = `limit:{${request.headers.get("cf-connecting-ip") ?? "local"}}`;
  const [[, count]] = await redis.multi().incr(key).expire(key, WINDOW_SECONDS, "NX").exec();
  return count > REQUESTS_MAX
    ? new Response("too many requests\n", { status: 429 })
    : new Response(`${count} of ${REQUESTS_MAX}\n`);
}

async function session(redis, request) {
  const id = /(?:^|; )session=([0-9a-f-]{36})/.exec(request.headers.get("cookie") ?? "")?.[1];
  const known = id === undefined ? {} : await redis.hgetall(`session:${id}`);
  if (Object.keys(known).length > 0) return Response.json(known);
  const made = crypto.randomUUID();
  const key = `session:${made}`;
  const begun = { began: new Date().toISOString() };
  await redis.multi().hset(key, begun).expire(key, SESSION_SECONDS).exec();
  const cookie = `session=${made}; HttpOnly; SameSite=Lax; Max-Age=${SESSION_SECONDS}`;
  return Response.json(begun, { headers: { "set-cookie": cookie } });
}

async function hits(redis) {
  return new Response(`${await redis.incr("hits")}\n`);
}

const ROUTES = { "/limit": limit, "/session": session, "/hits": hits };

export default {
  async fetch(request, env) {
    const answer = ROUTES[new URL(request.url).pathname];
    if (answer === undefined) return new Response("not found\n", { status: 404 });
    try {
      return await withClient(env.REDIS_URL, { topology, commandTimeout: "2s" }, async (redis) => {
        const response = await answer(redis, request);
        topology = redis.topology();
        return response;
      });
    } catch (error) {
      if (!(error instanceof SlotcarError)) throw error;
      // The text names hosts and commands, which are nobody's business out there.
      console.error(error.message);
      return new Response("the store cannot be reached\n", { status: 503 });
    }
  },
};
