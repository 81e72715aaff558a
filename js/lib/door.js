// `connect` and `withClient` of a host, which gives its sockets and the module.

import { cancelWith } from "./cancelling.js";
import { Client } from "./client.js";
import { aborted, fromParts, nameOf, wrong } from "./errors.js";
import { readOptions } from "./options.js";

/**
 * The functions of a host.
 *
 * `glue` is the generated module; `load` makes it ready, once; `dial` is the host's `connect`;
 * `tls` names the options that `dial` takes for TLS; `toBytes` makes the host's own type of bytes
 * of a `Uint8Array`.
 */
export function door({ glue, load, dial, tls, toBytes }) {
  let ready;

  async function prepare() {
    await load(glue);
    glue.install(fromParts, toBytes);
  }

  async function connect(url, options = {}) {
    const read = readOptions(url, options, tls);
    const { signal } = read;
    if (signal?.aborted) throw aborted(signal);
    ready ??= prepare();
    try {
      await ready;
    } catch (error) {
      // A later call may find what was missing.
      ready = undefined;
      throw error;
    }
    if (signal?.aborted) throw aborted(signal);
    const own = read.connect ?? dial;
    const open = read.host === undefined ? own : (to, how) => own(to, { ...how, ...read.host });
    const opened = () => new Promise((yes, no) => glue.open(read.url, open, read.topology, yes, no));
    if (signal === undefined) {
      return Client.own(glue, await opened(), undefined);
    }
    const canceller = glue.Canceller.arm();
    const cancelled = cancelWith(signal, canceller);
    try {
      return Client.own(glue, await opened(), signal);
    } catch (error) {
      throw error?.kind === "Aborted" ? aborted(signal, error.delivery) : error;
    } finally {
      cancelled.end();
      canceller.free();
    }
  }

  async function withClient(url, options, work) {
    if (typeof options === "function") [options, work] = [{}, options];
    if (typeof work !== "function") throw wrong(`the last argument of withClient is ${nameOf(work)}: a function is needed`);
    const client = await connect(url, options);
    try {
      return await work(client);
    } finally {
      client.close();
    }
  }

  return { connect, withClient };
}
