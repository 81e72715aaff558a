/**
 * slotcar in Node and Bun.
 *
 * ```js
 * import { connect } from "slotcar";
 *
 * const redis = await connect("redis://localhost:6379");
 * await redis.set("user:1", "Ada", "EX", 60);
 * console.log(await redis.get("user:1"));
 * redis.close();
 * ```
 *
 * @module
 */

import type { Client as AnyClient, Door, Pipeline as AnyPipeline } from "./types.js";

export * from "./types.js";

/** `Buffer` where its types are installed, otherwise `Uint8Array`. */
export type HostBytes = typeof globalThis extends {
  Buffer: { alloc(size: number, ...rest: never[]): infer Bytes extends Uint8Array };
}
  ? Bytes
  : Uint8Array;

type Pem = string | Uint8Array;

/** The options of `tls.connect` that say whom to trust and who the client is. */
export interface TlsOptions {
  /** The authorities to trust, in PEM, instead of Node's own. */
  ca?: Pem | Pem[];
  /** The client's certificate, in PEM. */
  cert?: Pem;
  /** The client's private key, in PEM. */
  key?: Pem;
  /** The password of `key` or `pfx`. */
  passphrase?: string;
  /** The client's certificate and key, in PKCS 12. */
  pfx?: Pem;
}

export type Client = AnyClient<HostBytes>;
export type Pipeline = AnyPipeline<HostBytes>;

type NodeDoor = Door<HostBytes, TlsOptions>;

/** Connects to the servers that a URL names. Rejects with a `SlotcarError` if none can be reached. */
export const connect: NodeDoor["connect"];
/** Connects, runs a function with the client, and closes it, also after an error. */
export const withClient: NodeDoor["withClient"];
