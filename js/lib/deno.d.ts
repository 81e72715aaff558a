/**
 * slotcar in Deno.
 *
 * @module
 */

import type { Door } from "./types.js";

export * from "./types.js";

/** The options of `Deno.connectTls` that say whom to trust and who the client is. */
export interface TlsOptions {
  /** Authorities to trust beside Deno's own, in PEM. */
  caCerts?: string[];
  /** The client's certificate, in PEM. */
  cert?: string;
  /** The client's private key, in PEM. */
  key?: string;
}

type HostDoor = Door<Uint8Array, TlsOptions>;

/** Connects to the servers that a URL names. Rejects with a `SlotcarError` if none can be reached. */
export const connect: HostDoor["connect"];
/** Connects, runs a function with the client, and closes it, also after an error. */
export const withClient: HostDoor["withClient"];
