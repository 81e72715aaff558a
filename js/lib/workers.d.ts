/**
 * slotcar in Workers. A client belongs to the request that made it: use `withClient` in each request.
 *
 * @module
 */

import type { Door } from "./types.js";

export * from "./types.js";


type HostDoor = Door<Uint8Array, {}>;

/** Connects to the servers that a URL names. Rejects with a `SlotcarError` if none can be reached. */
export const connect: HostDoor["connect"];
/** Connects, runs a function with the client, and closes it, also after an error. */
export const withClient: HostDoor["withClient"];
