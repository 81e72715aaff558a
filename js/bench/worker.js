// The Worker of the benchmark: pipelined GETs through the package, or by hand over the same sockets,
// which counts bytes and decodes nothing.

import { connect as open } from "cloudflare:sockets";
import { withClient } from "slotcar/workers";

const encoder = new TextEncoder();

/** Sends `size` GETs at once, `rounds` times, and waits for all bytes of the replies each time. */
async function raw({ host, port, size, rounds, replyBytes }) {
  const socket = open({ hostname: host, port });
  const reader = socket.readable.getReader({ mode: "byob" });
  const writer = socket.writable.getWriter();
  let buffer = new ArrayBuffer(65536);
  for (let round = 0; round < rounds; round++) {
    let text = "";
    for (let at = 0; at < size; at++) {
      const key = `key:${at % 1000}`;
      text += `*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`;
    }
    const written = writer.write(encoder.encode(text));
    for (let left = size * replyBytes; left > 0; ) {
      const { value } = await reader.read(new Uint8Array(buffer));
      left -= value.byteLength;
      buffer = value.buffer;
    }
    await written;
  }
  await socket.close();
}

/** The same with replies as strings. */
const slotcar = ({ host, port, size, rounds }) =>
  withClient(`redis://${host}:${port}`, async (redis) => {
    for (let round = 0; round < rounds; round++) {
      const pipeline = redis.pipeline();
      for (let at = 0; at < size; at++) pipeline.get(`key:${at % 1000}`);
      const results = await pipeline.exec();
      if (results[size - 1][0] !== null) throw results[size - 1][0];
    }
  });

const WAYS = { raw, slotcar };

export default {
  async fetch(request) {
    const { way, ...parameters } = await request.json();
    await WAYS[way]?.(parameters);
    return new Response("done");
  },
};
