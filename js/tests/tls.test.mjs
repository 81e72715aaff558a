// TLS by Node's own sockets: an authority of one's own, and servers that prove nothing.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { entry, server } from "./servers.mjs";

const { connect, SlotcarError } = await entry("node.js");

let folder;
let right;
let expired;
let ca;
let plain;

const openssl = (...words) => execFileSync("openssl", words, { cwd: folder, stdio: "ignore" });

/** A certificate for these names, signed by the test's authority. */
function certificate(name, names, ...how) {
  openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
  writeFileSync(path.join(folder, `${name}.ext`), `subjectAltName=${names}\n`);
  openssl("x509", "-req", "-in", `${name}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", `${name}.pem`, "-extfile", `${name}.ext`, ...how);
  const file = (end) => path.join(folder, `${name}.${end}`);
  return { certFile: file("pem"), keyFile: file("key"), caFile: path.join(folder, "ca.pem") };
}

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "slotcar-tls-"));
  openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority of the test", "-days", "2");
  ca = readFileSync(path.join(folder, "ca.pem"), "utf8");
  const host = `127.3.${(process.pid % 200) + 2}.1`;
  right = await server({ host, tls: certificate("right", `IP:${host}`, "-days", "1") });
  expired = await server({ tls: certificate("old", "DNS:other.example", "-days", "1") });
  plain = await server();
});
after(async () => {
  for (const one of [right, expired, plain]) await one?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function failure(url, options) {
  try {
    const client = await connect(url, { connectTimeout: 1500, ...options });
    client.close();
  } catch (error) {
    assert.ok(error instanceof SlotcarError, `${error}`);
    return error;
  }
  assert.fail("it connected");
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
  const untrusted = await failure(right.url, {});
  assert.equal(untrusted.kind, "Handshake", `${untrusted}`);
  assert.equal(untrusted.delivery, "NotSent");
  const other = await failure(expired.url, { ca });
  assert.equal(other.kind, "Handshake", `${other}`);
});

test("TLS is not given up: neither by an option nor with a server that speaks none", async () => {
  const off = await failure(right.url, { rejectUnauthorized: false });
  assert.match(off.message, /unknown option "rejectUnauthorized"/);
  const error = await failure(plain.url.replace("redis:", "rediss:"), { ca });
  assert.ok(["Handshake", "Connect", "Timeout"].includes(error.kind), `${error}`);
  const wrong = await failure(right.url, { ca: "no certificate" });
  assert.ok(["Handshake", "Connect", "Config"].includes(wrong.kind), `${wrong}`);
});
