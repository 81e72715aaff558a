// TLS by Node's own sockets: an authority of one's own, and servers that prove nothing.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { authority } from "./authority.mjs";
import { failure } from "./failure.mjs";
import { entry, server } from "./servers.mjs";

const { connect } = await entry("node.js");

let right;
let other;
let ca;
let plain;

before(async () => {
  const trusted = authority();
  ca = trusted.pem;
  const host = `127.3.${(process.pid % 200) + 2}.1`;
  right = await server({ host, tls: trusted.certificate("right", `IP:${host}`) });
  other = await server({ tls: trusted.certificate("other", "DNS:other.example") });
  plain = await server();
});
after(async () => {
  for (const one of [right, other, plain]) await one?.stop();
});

/** The typed error of a connect. */
function refusal(url, options) {
  return failure(async () => {
    const client = await connect(url, { connectTimeout: 10_000, ...options });
    client.close();
  });
}

test("a server whose certificate an own authority signed is trusted", async () => {
  for (const authority of [ca, [ca], Buffer.from(ca)]) {
    const client = await connect(right.url, { ca: authority });
    assert.equal(await client.set("k", "v".repeat(200_000)), "OK");
    assert.equal((await client.get("k")).length, 200_000);
    client.close();
  }
});

test("a certificate that nobody trusts, or for another name, is refused as such", async () => {
  const untrusted = await refusal(right.url, {});
  assert.equal(untrusted.kind, "Handshake", `${untrusted}`);
  assert.equal(untrusted.delivery, "NotSent");
  const misnamed = await refusal(other.url, { ca });
  assert.equal(misnamed.kind, "Handshake", `${misnamed}`);
});

test("TLS is not given up: neither by an option nor with a server that speaks none", async () => {
  const off = await refusal(right.url, { rejectUnauthorized: false });
  assert.match(off.message, /unknown option "rejectUnauthorized"/);
  const error = await refusal(plain.url.replace("redis:", "rediss:"), { ca });
  assert.ok(["Handshake", "Connect", "Timeout"].includes(error.kind), `${error}`);
  const wrong = await refusal(right.url, { ca: "no certificate" });
  assert.ok(["Handshake", "Connect", "Config"].includes(wrong.kind), `${wrong}`);
});
