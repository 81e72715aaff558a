// What a program in TypeScript writes; compiled by `tsc --strict`, never run. A line with
// `@ts-expect-error` must not compile.

import { connect, SlotcarError, withClient } from "slotcar";
import type { Client, Delivery, ErrorKind, Topology, Update } from "slotcar";
import { withClient as withClientOfRequest } from "slotcar/workers";
import { connect as connectOfDeno } from "slotcar/deno";

export async function commands(): Promise<void> {
  await using redis = await connect("redis://localhost", { commandTimeout: "1s", ca: "pem" });
  const set: string | null = await redis.set("k", 1, "EX", 10n);
  const name: string | null = await redis.get("k");
  const bytes: Buffer | null = await redis.getBuffer(Buffer.from("k"));
  const text: string | undefined = bytes?.toString("hex");
  const hash: Record<string, string> = await redis.hgetall("h");
  const fields: number = await redis.hset("h", { a: 1, b: "two" }, new Map([["c", 3]]));
  const rawHash: Record<string, Buffer> = await redis.hgetallBuffer("h");
  const many: (string | null)[] = await redis.mget(["a", "b"], "c");
  const count: number | bigint = await redis.incr("n");
  const score: number | null = await redis.zscore("z", "m");
  const anything = await redis.call("JSON.GET", "k", new Uint8Array([1]));
  const lag = await redis.xinfo("STREAM", "s");
  console.log(set, name, text, hash, fields, rawHash, many, count, score, anything, lag);

  // @ts-expect-error a key is no boolean
  await redis.get(true);
  // @ts-expect-error GET has one key
  await redis.get("a", "b");
  // @ts-expect-error undefined is no argument
  await redis.set("k", undefined);
  // @ts-expect-error null is no argument
  await redis.call("SET", "k", null);
  // @ts-expect-error a date is no argument
  await redis.rpush("k", new Date());
  // @ts-expect-error at least one key
  await redis.del();
  // @ts-expect-error no such command
  await redis.gett("k");
  // @ts-expect-error a string is no number
  const wrong: number = await redis.get("k");
  console.log(wrong);
}

export async function together(redis: Client): Promise<void> {
  const results = await redis.pipeline().get("a").incr("b").hset("h", { a: 1 }).call("ECHO", "x").exec();
  for (const [error, reply] of results) {
    if (error) console.log(error.kind, error.code);
    else console.log(reply);
  }
  const atomic = redis.multi().set("{k}a", 1).getBuffer("{k}b");
  const length: number = atomic.length;
  console.log(length, await atomic.exec());
  atomic.discard();
  // @ts-expect-error a pipeline has no subscriptions
  redis.pipeline().subscribe("a");
}

export async function messages(redis: Client): Promise<void> {
  const subscription = await redis.ssubscribe("a", ["b"]).ready({ timeout: 1000 });
  subscription.psubscribe("p*").unsubscribe("a");
  for await (const update of subscription) {
    switch (update.type) {
      case "message": {
        const message: string = update.message;
        console.log(update.channel, message, update.pattern);
        break;
      }
      case "gap":
        console.log(update.channel, update.cause, update.since);
        break;
      case "moved":
        console.log(update.from, update.to);
        break;
      case "lagged":
        console.log(update.dropped);
        break;
      case "refused":
        console.log(update.error.code);
        break;
    }
    // @ts-expect-error not every update has a message
    console.log(update.message);
  }
  for await (const update of redis.subscribeBuffer("a")) {
    if (update.type === "message") console.log(update.message.readInt8(0));
  }
  const text: Update = { type: "lagged", dropped: 1 };
  console.log(text);
}

export async function lives(signal: AbortSignal): Promise<Topology> {
  const redis = await connect(new URL("redis-cluster://a,b"), {
    signal,
    readFrom: "round_robin:replicas",
    maxStaleness: "off",
    replyBytesMax: "64KiB",
    replicas: ["h:1"],
    zones: { "h:1": "z" },
    connect: async ({ hostname, port }, { secureTransport }) => {
      throw new Error(`${hostname}:${port} ${secureTransport}`);
    },
  });
  const view: Client = redis.with({ timeout: 50, signal, readFrom: "zone:here" });
  await view.ping();
  const topology = redis.topology();
  redis.close();
  const closed: boolean = redis.closed;
  console.log(closed);
  const pong: string = await withClient("redis://h", { topology }, (client) => client.ping());
  const two: number = await withClient("redis://h", async () => 2);
  console.log(pong, two);

  // @ts-expect-error unknown option
  await connect("redis://h", { command_timeout: 5 });
  // @ts-expect-error a unit is needed
  await connect("redis://h", { commandTimeout: "5" });
  // @ts-expect-error no such policy
  await connect("redis://h", { readFrom: "anywhere" });
  // @ts-expect-error a view has no retries
  redis.with({ attemptsMax: 1 });
  // @ts-expect-error Workers take no authority
  await withClientOfRequest("redis://h", { ca: "pem" }, () => 1);
  await connectOfDeno("rediss://h", { caCerts: ["pem"] });
  // @ts-expect-error a topology is what `topology()` returned
  await connect("redis://h", { topology: 7 });
  return topology;
}

export function failures(error: unknown): string {
  if (!(error instanceof SlotcarError)) throw error;
  const kind: ErrorKind = error.kind;
  const delivery: Delivery = error.delivery;
  const code: string | undefined = error.code;
  // @ts-expect-error no such kind
  if (error.kind === "Wrong") return "";
  return `${kind} ${delivery} ${code} ${error.command} ${error.endpoint} ${error.attempts} ${error.cause}`;
}
