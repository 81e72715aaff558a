// Sockets of Deno with the face of the WinterTC sockets API: `Deno.connect` and `Deno.connectTls`.
//
// Used by: `Js::of_this_host` of this crate, and the entry point `slotcar/deno`.
// Options beside those of the standard are those of `Deno.connectTls`: `caCerts`, `cert`, `key`.
// Limits: `connect` returns a promise of a socket; Deno cannot reset a connection.
// Source: https://docs.deno.com/api/deno/network

/** Opens a socket. Resolves when it is connected and, with TLS, the server has proven its name. */
export async function connect({ hostname, port }, options = {}) {
  const { secureTransport = 'off', allowHalfOpen, ...more } = options;
  const secure = secureTransport === 'on';
  const conn = secure
    ? await Deno.connectTls({ ...more, hostname, port })
    : await Deno.connect({ hostname, port });
  let end;
  const closed = new Promise((resolve) => (end = resolve));
  try {
    // Where the handshake is not part of `connectTls`, it is awaited here.
    if (secure) await conn.handshake();
    conn.setNoDelay?.(true);
  } catch (error) {
    conn.close();
    throw error;
  }
  return {
    readable: conn.readable,
    writable: conn.writable,
    secureTransport,
    opened: Promise.resolve({}),
    closed,
    async close() {
      try {
        conn.close();
      } catch {
        // Closed already.
      }
      end();
    },
  };
}
