// Sockets of Workers: `connect` of `cloudflare:sockets`, as it is.
//
// Used by: `Js::of_this_host` of this crate, and the entry point `slotcar/workers`.
// Limit: the module is loaded at the first call and not when this is imported, since other hosts
// import this file as well; so `connect` returns a promise of a socket.
// Source: https://developers.cloudflare.com/workers/runtime-apis/tcp-sockets/

const MODULE = 'cloudflare:sockets';

/** Opens a socket; takes the address and the options of the WinterTC sockets API. */
export async function connect(address, options) {
  let sockets;
  try {
    sockets = await import(MODULE);
  } catch (cause) {
    const error = new Error('this host has no sockets that slotcar knows', { cause });
    throw Object.assign(error, { code: 'ENOTSUP' });
  }
  return sockets.connect(address, options);
}
