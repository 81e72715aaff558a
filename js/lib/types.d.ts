// The types of every entry point. `Bytes` is the host's type of bytes: `Buffer` in Node.

import type { CommandName } from "./commands.js";

export type { CommandName };

/** A single argument of a command. Text is sent as UTF-8, numbers as decimal digits. */
export type Argument = string | number | bigint | ArrayBufferView | ArrayBuffer;

/** One argument, or several: lists and sets are flattened, objects and maps become key, value, ... */
export type Arguments =
  | Argument
  | readonly (Argument | readonly Argument[])[]
  | ReadonlySet<Argument>
  | ReadonlyMap<Argument, Argument>
  | { readonly [key: string]: Argument };

/** The reply to any command. An error inside of a reply is a `SlotcarError` in its place. */
export type Reply<Text = string> =
  | Text
  | number
  | bigint
  | boolean
  | null
  | SlotcarError
  | Reply<Text>[]
  | { [key: string]: Reply<Text> };

/** What kind of failure it is: what a program can act on. */
export type ErrorKind =
  /** The call was ended by its `AbortSignal`; the error's `name` is "AbortError". */
  | "Aborted"
  /** The client was closed, or belongs to another request of a Worker. */
  | "Closed"
  /** The options or the arguments are wrong: change the program. */
  | "Config"
  /** There is no connection to the node, or it was lost. */
  | "Connect"
  /** The reply does not fit. */
  | "Convert"
  /** The server or the client refused the connection: credentials, database, certificates. */
  | "Handshake"
  /** A limit of the options was reached. */
  | "Limit"
  /** The server sent what is no RESP. */
  | "Protocol"
  /** The server answered with an error; `code` says which. */
  | "Server"
  /** The deadline passed. */
  | "Timeout"
  /** No node can run the command. */
  | "Topology"
  | "Unknown";

/** Whether the server may have run the command. */
export type Delivery =
  /** It cannot have run: not all its bytes were written. */
  | "NotSent"
  /** The server answered that it did not run it. */
  | "Refused"
  /** It was written and no reply came: it may have run, once. */
  | "Unknown"
  /** It ran, and this error is its reply. */
  | "Answered";

/** Why a call failed. The only error that this package's promises are rejected with. */
export class SlotcarError extends Error {
  readonly kind: ErrorKind;
  /** A command that is "NotSent" or "Refused" can be sent again without harm. */
  readonly delivery: Delivery;
  /** The first word of the server's error, as "WRONGTYPE"; undefined if the server said none. */
  readonly code: string | undefined;
  /** The command's name in upper case. */
  readonly command: string | undefined;
  /** The node, as "host:port". */
  readonly endpoint: string | undefined;
  /** How often the command was tried; 0 for an error without a command. */
  readonly attempts: number;
}

/** A duration: milliseconds, or text with a unit: "500ms", "2s", "1m". */
export type Duration = number | `${number}${"ns" | "us" | "ms" | "s" | "m" | "h"}`;
/** A size: bytes, or text with a unit: "64KiB". */
export type Size = number | `${number}${"B" | "KiB" | "MiB" | "GiB"}`;

/** Which nodes reads go to. */
export type ReadFrom =
  | "primary"
  | "prefer_replica"
  | "replica"
  | `${"round_robin" | "random" | "nearest" | "least_loaded"}:${"replicas" | "all"}`
  | `zone:${string}`;

/** A socket of the WinterTC sockets API, as far as it is used. */
export interface Socket {
  readonly readable: unknown;
  readonly writable: unknown;
  readonly opened: Promise<unknown>;
  readonly closed: Promise<unknown>;
  close(): Promise<unknown>;
}

/** Opens a socket; with "on" only after the server has proven that it is `hostname`. */
export type Connect = (
  address: { hostname: string; port: number },
  options: { secureTransport: "on" | "off"; allowHalfOpen: boolean; [option: string]: unknown },
) => Socket | Promise<Socket>;

declare const topology: unique symbol;
/** What a client knew of its deployment. Plain data: it goes through `JSON.stringify` and back. */
export interface Topology {
  readonly [topology]?: never;
}

/** The options of `connect`: the keys of a URL's query in camelCase, and those of JavaScript. */
export interface Options {
  /** Dials these addresses instead of those that servers announce: `{"10.0.0.1:6379": "host:1"}`. */
  addressMap?: string | Record<string, string>;
  /** How often one command is tried at most. */
  attemptsMax?: number;
  /** The first pause between two dials of a node. */
  backoffBase?: Duration;
  /** The longest pause between two dials of a node. */
  backoffCap?: Duration;
  /** The name that connections show in CLIENT LIST. */
  clientName?: string;
  /** The longest that a call may take in all. Default: 5 seconds. */
  commandTimeout?: Duration;
  /** The longest that one dial may take. Default: 2 seconds. */
  connectTimeout?: Duration;
  /** Connections of the whole client, for hosts that allow few. Default: no limit. */
  connectionsMax?: number;
  /** Connections for commands, for each node. Default: 1. */
  connectionsPerNode?: number;
  /** Whether the client introduces itself. Default: true. */
  courtesies?: boolean;
  /** The database, for a unix socket; elsewhere it is written in the URL: "redis://host/1". */
  db?: number;
  dialsPerSecond?: number;
  /** Connections for blocking commands and the like, for each node. */
  exclusiveConnectionsMax?: number;
  /** The greatest lag of a replica that is read from. Default: any. */
  maxStaleness?: Duration | "off";
  /** Bytes in flight to a node. */
  nodeBytesMax?: Size;
  /** Commands of one pipeline or transaction. */
  pipelineCommandsMax?: number;
  primaryFallbackPercentMax?: number;
  probeInterval?: Duration | "off";
  progressTimeout?: Duration;
  /** Default: "resp3", and RESP2 with a server that does not know it. */
  protocol?: "resp2" | "resp3";
  /** Which nodes reads go to. Default: "primary". */
  readFrom?: ReadFrom;
  redirectsMax?: number;
  refreshInterval?: Duration | "off";
  refreshesPerSecond?: number;
  refusalWaitMax?: Duration | "off";
  /** The replicas of a standalone server. */
  replicas?: string | readonly string[];
  replyBytesMax?: Size;
  replyDepthMax?: number;
  /** Whether commands that may have run are sent again. Default: false. */
  retryUnknown?: boolean;
  sentinelInterval?: Duration;
  sentinelPassword?: string;
  sentinelTls?: boolean;
  sentinelUsername?: string;
  /** The name of the service that sentinels know. */
  service?: string;
  /** Bytes of messages that may wait for a slow reader. */
  subscriptionBytesMax?: Size;
  subscriptionConnection?: "own" | "shared";
  /** Messages that may wait for a slow reader. */
  subscriptionMessagesMax?: number;
  whenFull?: "wait" | "fail";
  whenLagging?: "drop_oldest" | "drop_newest" | "disconnect" | "pause_reading";
  /** Availability zones of nodes that do not report theirs. */
  zones?: string | Record<string, string>;

  /** The ACL user, instead of the URL's. Needs no percent-encoding. */
  username?: string;
  /** The password, instead of the URL's. Needs no percent-encoding. */
  password?: string;
  /** Opens sockets instead of the host's own function. */
  connect?: Connect;
  /** What an earlier client's `topology()` returned: the first command goes to its node at once. */
  topology?: Topology;
  /** Ends `connect` while it waits, and closes the client afterwards. */
  signal?: AbortSignal;
}

/** What a view of a client changes. */
export interface ViewOptions {
  /** The longest that a call of the view may take, in milliseconds; also for blocking commands. */
  timeout?: number;
  /** Which nodes its reads go to. */
  readFrom?: ReadFrom;
  /** The greatest lag of a replica that it reads from, in milliseconds. */
  maxStaleness?: number;
  /** Ends the view's calls and subscriptions, and nothing else. */
  signal?: AbortSignal;
}

/** The parameters of commands whose types are worth more than `Arguments`. */
interface Signatures<Text> {
  append(key: Argument, value: Argument): number;
  dbsize(): number;
  decr(key: Argument): number | bigint;
  decrby(key: Argument, by: Argument): number | bigint;
  del(...keys: [Arguments, ...Arguments[]]): number;
  exists(...keys: [Arguments, ...Arguments[]]): number;
  expire(key: Argument, seconds: Argument, mode?: "NX" | "XX" | "GT" | "LT"): number;
  get(key: Argument): Text | null;
  getdel(key: Argument): Text | null;
  getrange(key: Argument, start: Argument, end: Argument): Text;
  hdel(key: Argument, ...fields: [Arguments, ...Arguments[]]): number;
  hexists(key: Argument, field: Argument): number;
  hget(key: Argument, field: Argument): Text | null;
  hgetall(key: Argument): Record<string, Text>;
  hincrby(key: Argument, field: Argument, by: Argument): number | bigint;
  hkeys(key: Argument): Text[];
  hlen(key: Argument): number;
  hmget(key: Argument, ...fields: [Arguments, ...Arguments[]]): (Text | null)[];
  hset(key: Argument, ...fields: [Arguments, ...Arguments[]]): number;
  hvals(key: Argument): Text[];
  incr(key: Argument): number | bigint;
  incrby(key: Argument, by: Argument): number | bigint;
  keys(pattern: Argument): Text[];
  lindex(key: Argument, index: Argument): Text | null;
  llen(key: Argument): number;
  lpush(key: Argument, ...values: [Arguments, ...Arguments[]]): number;
  lrange(key: Argument, start: Argument, stop: Argument): Text[];
  mget(...keys: [Arguments, ...Arguments[]]): (Text | null)[];
  mset(...pairs: [Arguments, ...Arguments[]]): Text;
  persist(key: Argument): number;
  pexpire(key: Argument, milliseconds: Argument, mode?: "NX" | "XX" | "GT" | "LT"): number;
  ping(message?: Argument): Text;
  pttl(key: Argument): number;
  publish(channel: Argument, message: Argument): number;
  rpush(key: Argument, ...values: [Arguments, ...Arguments[]]): number;
  sadd(key: Argument, ...members: [Arguments, ...Arguments[]]): number;
  scard(key: Argument): number;
  set(key: Argument, value: Argument, ...options: Argument[]): Text | null;
  setnx(key: Argument, value: Argument): number;
  sismember(key: Argument, member: Argument): number;
  smembers(key: Argument): Text[];
  spublish(channel: Argument, message: Argument): number;
  srem(key: Argument, ...members: [Arguments, ...Arguments[]]): number;
  strlen(key: Argument): number;
  ttl(key: Argument): number;
  type(key: Argument): Text;
  unlink(...keys: [Arguments, ...Arguments[]]): number;
  xadd(key: Argument, ...fields: [Arguments, ...Arguments[]]): Text | null;
  xlen(key: Argument): number;
  zadd(key: Argument, ...members: [Arguments, ...Arguments[]]): number | null;
  zcard(key: Argument): number;
  zincrby(key: Argument, by: Argument, member: Argument): number;
  zrem(key: Argument, ...members: [Arguments, ...Arguments[]]): number;
  zscore(key: Argument, member: Argument): number | null;
}

/** Commands that the client has under their names, but that do something else or more. */
type OwnMethods = "multi" | "subscribe" | "psubscribe" | "ssubscribe";

type Plain<Text> = {
  [Name in Exclude<CommandName, OwnMethods>]: Name extends keyof Signatures<Text>
    ? Signatures<Text>[Name]
    : (...args: Arguments[]) => Reply<Text>;
};

/** The plain commands' functions with another type of result. */
type Returning<Functions, Result extends "promise" | "queue", Self> = {
  [Name in keyof Functions]: Functions[Name] extends (...args: infer Args) => infer Value
    ? (...args: Args) => Result extends "promise" ? Promise<Value> : Self
    : never;
};

type Renamed<Functions> = { [Name in keyof Functions as `${Name & string}Buffer`]: Functions[Name] };

/** Every command by its lower-case name, and each once more with replies of bytes. */
export type Commands<Bytes> = Returning<Plain<string> & Renamed<Plain<Bytes>>, "promise", never>;

/** Every command of a pipeline, which returns the pipeline. */
type Queued<Self> = Returning<Omit<Plain<string>, "exec" | "discard"> & Renamed<Plain<string>>, "queue", Self>;

/** The result of one command of a pipeline: an error or a reply, as of ioredis. */
export type Result<Bytes> = [SlotcarError, null] | [null, Reply<string | Bytes>];

/**
 * Commands that are collected and sent together.
 *
 * Of `pipeline()` other clients' commands may run between them; of `multi()` they run as one.
 */
export interface Pipeline<Bytes = Uint8Array> extends Queued<Pipeline<Bytes>> {
  /** Adds any command. */
  call(name: string, ...args: Arguments[]): this;
  /** Adds any command, whose strings come as bytes. */
  callBuffer(name: string, ...args: Arguments[]): this;
  /** How many commands there are. */
  readonly length: number;
  /**
   * Sends the commands and returns each one's result, in order.
   *
   * Rejects if nothing was sent, for instance because of an argument that cannot be sent, and, of
   * a transaction, if EXEC failed.
   */
  exec(): Promise<Result<Bytes>[]>;
  /** Forgets the commands. */
  discard(): void;
}

/** Why messages may be missing. */
export type GapCause = "ConnectionLost" | "NodeLeft" | "OwnerChanged" | "SlotMoved" | "Silent" | "Unknown";

/** Of which kind a channel is: by its name, a pattern, or sharded. */
export type ChannelKind = "channel" | "pattern" | "sharded";

/** One item of a subscription. */
export type Update<Text = string> =
  /** A message was published. `pattern` is there if it came for a pattern. */
  | { type: "message"; kind: ChannelKind; channel: string; message: Text; pattern?: string }
  /** The server confirmed the subscription. */
  | { type: "subscribed"; kind: ChannelKind; channel: string; endpoint: string }
  /** The channel was removed. */
  | { type: "unsubscribed"; kind: ChannelKind; channel: string }
  /** Another node sends the channel's messages now. Without a gap after it none is missing. */
  | { type: "moved"; kind: ChannelKind; channel: string; from: string; to: string }
  /** Messages may be missing. The subscription was known to work `since` milliseconds ago. */
  | { type: "gap"; kind: ChannelKind; channel: string; cause: GapCause; since: number }
  /** The reader was too slow: so many messages were dropped here. */
  | { type: "lagged"; dropped: number }
  /** The server refuses the channel; the client goes on asking. */
  | { type: "refused"; kind: ChannelKind; channel: string; error: SlotcarError }
  /** The subscription ended because its reader was too slow. */
  | { type: "disconnected"; error: SlotcarError }
  | { type: "other" };

/**
 * A subscription: an async iterator of updates. To leave a `for await` unsubscribes, as `return()`
 * and `close()` do. It ends when the client is closed.
 */
export interface Subscription<Text = string> extends AsyncIterableIterator<Update<Text>> {
  /** Waits until the servers have confirmed every channel; takes nothing out of the iterator. */
  ready(options?: { timeout?: number }): Promise<this>;
  subscribe(...channels: Arguments[]): this;
  psubscribe(...patterns: Arguments[]): this;
  ssubscribe(...channels: Arguments[]): this;
  unsubscribe(...channels: Arguments[]): this;
  punsubscribe(...patterns: Arguments[]): this;
  sunsubscribe(...channels: Arguments[]): this;
  next(): Promise<IteratorResult<Update<Text>, undefined>>;
  return(value?: unknown): Promise<IteratorResult<Update<Text>, undefined>>;
  throw(error?: unknown): Promise<IteratorResult<Update<Text>, undefined>>;
  close(): void;
  [Symbol.asyncIterator](): this;
}

/** A client of one server, a cluster, or servers behind sentinels. One is enough for a program. */
export interface Client<Bytes = Uint8Array> extends Commands<Bytes> {
  /** Sends any command, as `call("JSON.GET", "key")`. */
  call(name: string, ...args: Arguments[]): Promise<Reply>;
  /** Sends any command, and returns strings as bytes. */
  callBuffer(name: string, ...args: Arguments[]): Promise<Reply<Bytes>>;
  /** Collects commands that are sent in one write for each node. */
  pipeline(): Pipeline<Bytes>;
  /** Collects commands that run as one transaction; in a cluster, with keys in one slot. */
  multi(): Pipeline<Bytes>;
  /** Subscribes to channels by their names. */
  subscribe(...channels: Arguments[]): Subscription;
  /** Subscribes to patterns of channels. */
  psubscribe(...patterns: Arguments[]): Subscription;
  /** Subscribes to sharded channels, whose messages stay in one shard. */
  ssubscribe(...channels: Arguments[]): Subscription;
  subscribeBuffer(...channels: Arguments[]): Subscription<Bytes>;
  psubscribeBuffer(...patterns: Arguments[]): Subscription<Bytes>;
  ssubscribeBuffer(...channels: Arguments[]): Subscription<Bytes>;
  /** A client with another timeout, read policy or signal, over the same connections. */
  with(options: ViewOptions): Client<Bytes>;
  /** What the client knows of the deployment, for the next `connect`. Holds no connection. */
  topology(): Topology;
  /** Whether the client was closed. */
  readonly closed: boolean;
  /** Closes all connections and ends all subscriptions; calls in flight fail with "Closed". */
  close(): void;
}

/** For `await using`, where the compiler's library has it. */
export type Disposable_ = typeof Symbol extends { readonly asyncDispose: infer Key extends symbol }
  ? { [Dispose in Key]: () => Promise<void> }
  : unknown;

/** The functions of an entry point. `More` are the options that the host takes for TLS. */
export interface Door<Bytes, More> {
  connect(url: string | URL, options?: Options & More): Promise<Client<Bytes> & Disposable_>;
  withClient<T>(url: string | URL, work: (client: Client<Bytes>) => T | Promise<T>): Promise<T>;
  withClient<T>(
    url: string | URL,
    options: Options & More,
    work: (client: Client<Bytes>) => T | Promise<T>,
  ): Promise<T>;
}
