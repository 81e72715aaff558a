// One pass over the package in a host: `ENTRY SERVER CLUSTER NOWHERE` as URLs. Prints one line of
// JSON; `hosts.test.mjs` compares it.

const args = globalThis.Deno?.args ?? process.argv.slice(2);
const [entry, url, clusterUrl, nowhere, secureUrl, authority] = args;
const { connect, withClient, SlotcarError } = await import(entry);

globalThis.addEventListener?.("unhandledrejection", (event) => {
  console.log(`unhandled: ${event.reason}`);
});

const seen = {};
const redis = await connect(url);
seen.set = await redis.set("k", "v", "EX", 100);
seen.get = await redis.get("k");
seen.bytes = [...(await redis.getBuffer("k"))];
seen.piped = await redis.pipeline().get("k").hset("h", { a: 1 }).hgetall("h").exec();
const wrong = await redis.lpush("k", "x").catch((error) => error);
seen.wrong = [wrong instanceof SlotcarError, wrong.kind, wrong.code];
const subscription = await redis.subscribe("news").ready();
await redis.publish("news", "hello");
for await (const update of subscription) {
  if (update.type !== "message") continue;
  seen.message = update.message;
  break;
}
const late = await redis.with({ timeout: 50 }).blpop("nothing", 0).catch((error) => error);
seen.late = late.kind;
redis.close();
seen.closed = (await redis.get("k").catch((error) => error)).kind;
seen.cluster = await withClient(clusterUrl, async (client) => {
  await client.mset({ "{a}k": 1, "{b}k": 2, "{c}k": 3 });
  return client.mget("{a}k", "{b}k", "{c}k");
});
seen.refused = (await connect(nowhere).catch((error) => error)).kind;
const trusted = globalThis.Deno && entry.endsWith("deno.js") ? { caCerts: [authority] } : { ca: authority };
seen.secure = await withClient(secureUrl, trusted, (client) => client.ping());
const untrusted = await connect(secureUrl, { connectTimeout: 1500 }).catch((error) => error);
seen.untrusted = untrusted.kind;
console.log(JSON.stringify(seen));
