// The entry point `slotcar/deno`: Deno's own sockets.

import { connect as dial } from "../hosts/deno.js";
import * as glue from "../wasm/slotcar.js";
import { door } from "./door.js";

async function load() {
  const bytes = await Deno.readFile(new URL("../wasm/slotcar_bg.wasm", import.meta.url));
  await glue.default({ module_or_path: bytes });
}

// Those of `Deno.connectTls`.
export const { connect, withClient } = door({ glue, load, dial, tls: ["caCerts", "cert", "key"] });

export { Client } from "./client.js";
export { SlotcarError } from "./errors.js";
export { Pipeline } from "./pipeline.js";
export { Subscription } from "./subscription.js";
