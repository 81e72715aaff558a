// The entry point `slotcar/workers`: Workers, whose bundler makes a compiled module of the import.

import { connect as dial } from "../hosts/workers.js";
import * as glue from "../wasm/slotcar.js";
import module from "../wasm/slotcar_bg.wasm";
import { door } from "./door.js";

async function load() {
  glue.initSync({ module });
}

// The host takes no options for TLS: it trusts the public authorities.
export const { connect, withClient } = door({ glue, load, dial, tls: [] });

export { Client } from "./client.js";
export { SlotcarError } from "./errors.js";
export { Pipeline } from "./pipeline.js";
export { Subscription } from "./subscription.js";
