// Sockets of Node with the face of the WinterTC sockets API: `net.connect` and `tls.connect`.
//
// Used by: `Js::of_this_host` of this crate, and the entry point `slotcar`. Bun and Deno have the
// same modules.
// Options beside those of the standard are those of `tls.connect`: `ca`, `cert`, `key`, `pfx`.
// Invariants: the streams are no web streams, which are slow, but have what the transport uses of
// them, and a read has a `then` that is called once and calls when the chunk is there, instead of a
// promise; no promise of a socket rejects without a handler; a small write leaves at once; at most
// five chunks are kept, since Node's own `pause` and `resume` hold the server back.
// Limits: Node 20.16 or newer. What a closed socket has not handed to the kernel within a second is
// discarded: Node would keep the process running for as long as the server does not read.
// Source: https://nodejs.org/api/net.html, https://nodejs.org/api/tls.html

const CHUNKS_MAX = 4;
/** How long a closed socket may go on sending, in milliseconds. */
const LINGER = 1000;

const nothing = () => {};

function builtin(name) {
  const found = globalThis.process?.getBuiltinModule?.(name);
  if (found) return found;
  const error = new Error(`this host has no module ${name}: Node 20.16 or newer is needed`);
  throw Object.assign(error, { code: 'ENOTSUP' });
}

/** A promise from outside; nobody has to handle it. */
function settleable() {
  let resolve;
  let reject;
  const promise = new Promise((res, rej) => {
    resolve = res;
    reject = rej;
  });
  promise.catch(nothing);
  return { promise, resolve, reject };
}

/** Opens a socket. With TLS, `opened` resolves after the server has proven `hostname`. */
export function connect({ hostname, port }, options = {}) {
  const { secureTransport = 'off', allowHalfOpen, ...more } = options;
  const net = builtin('node:net');
  const tcp = net.connect({
    host: hostname,
    port,
    noDelay: true,
    autoSelectFamily: true,
    allowHalfOpen: false,
  });
  if (secureTransport !== 'on') return socketOf(tcp, tcp, 'connect', secureTransport);
  // A name is sent to the server, an address must not be; both are verified.
  const named = net.isIP(hostname) === 0 ? { servername: hostname } : {};
  const tls = builtin('node:tls');
  const secure = tls.connect({ ...named, ...more, host: hostname, socket: tcp });
  return socketOf(secure, tcp, 'secureConnect', secureTransport);
}

/** The socket over `stream`, whose bytes go through `tcp`; it is open when `event` comes. */
function socketOf(stream, tcp, event, secureTransport) {
  const opened = settleable();
  const closed = settleable();
  const chunks = [];
  let isOpen = false;
  let ended = false;
  let failure = null;
  let reads = [];
  let drained = null;

  const fail = (error) => {
    failure ??= error;
    opened.reject(failure);
    drained?.reject(failure);
    settle();
  };
  const settle = () => {
    while (reads.length > 0) {
      if (chunks.length > 0) {
        reads.shift().resolve({ value: chunks.shift(), done: false });
        if (chunks.length <= CHUNKS_MAX && stream.isPaused()) stream.resume();
      } else if (failure) {
        reads.shift().reject(failure);
      } else if (ended) {
        reads.shift().resolve({ value: undefined, done: true });
      } else {
        return;
      }
    }
  };

  stream.once(event, () => {
    isOpen = true;
    opened.resolve({ remoteAddress: stream.remoteAddress, localAddress: stream.localAddress });
  });
  stream.on('data', (bytes) => {
    if (ended) return;
    chunks.push(bytes);
    if (chunks.length > CHUNKS_MAX) stream.pause();
    settle();
  });
  stream.on('end', () => {
    ended = true;
    settle();
  });
  stream.on('drain', () => drained?.resolve());
  stream.on('error', fail);
  if (tcp !== stream) tcp.on('error', fail);
  const gone = () =>
    failure ?? Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' });
  stream.on('close', () => {
    ended = true;
    opened.reject(gone());
    drained?.reject(gone());
    if (failure) closed.reject(failure);
    else closed.resolve();
    settle();
  });

  const reading = {
    then(resolve, reject) {
      reads.push({ resolve, reject });
      settle();
    },
  };

  return {
    secureTransport,
    opened: opened.promise,
    closed: closed.promise,
    readable: {
      getReader(options) {
        if (options?.mode === 'byob') throw new TypeError('this is no stream of bytes');
        return {
          read: () => reading,
          async cancel() {
            chunks.length = 0;
            ended = true;
            settle();
          },
        };
      },
    },
    writable: {
      getWriter() {
        return {
          // Returns a promise only if Node wants no more for now; it resolves when Node does, not
          // when the bytes have left.
          write(bytes) {
            // A stream that has ended would say nothing more, not even that it has drained.
            if (!failure && stream.writable && stream.write(bytes)) return undefined;
            drained = settleable();
            if (failure || !stream.writable) drained.reject(gone());
            return drained.promise;
          },
          async close() {
            stream.end();
          },
          async abort() {
            stream.destroy();
          },
        };
      },
    },
    /** Sends what was written, for a second at most, and closes. */
    close() {
      if (!isOpen) {
        stream.destroy();
        tcp.destroy();
      } else if (!stream.destroyed) {
        stream.unref();
        stream.destroySoon();
        const late = setTimeout(() => (stream.destroy(), tcp.destroy()), LINGER);
        late.unref?.();
        stream.once('close', () => clearTimeout(late));
      }
      return closed.promise;
    },
    /** Discards what was written and not sent, and resets the connection. */
    abort() {
      if (isOpen && !tcp.destroyed) tcp.resetAndDestroy();
      tcp.destroy();
      stream.destroy();
    },
  };
}
