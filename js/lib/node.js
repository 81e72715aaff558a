// The entry point `slotcar`: Node, and Bun, which has the same modules.

import { readFile } from "node:fs/promises";
import { connect as dial } from "../hosts/node.js";
import * as glue from "../wasm/slotcar.js";
import { door } from "./door.js";

async function load() {
  const bytes = await readFile(new URL("../wasm/slotcar_bg.wasm", import.meta.url));
  await glue.default({ module_or_path: bytes });
}

export const { connect, withClient } = door({
  glue,
  load,
  dial,
  // Those of `tls.connect` that say whom to trust and who the client is; verification stays on.
  tls: ["ca", "cert", "key", "passphrase", "pfx"],
  toBytes: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
});

export { Client } from "./client.js";
export { SlotcarError } from "./errors.js";
export { Pipeline } from "./pipeline.js";
export { Subscription } from "./subscription.js";
