// An authority of the tests, and certificates that it signs; made by openssl.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

const CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** A new authority, in a folder that is removed when this process ends. */
export function authority() {
  const folder = mkdtempSync(path.join(tmpdir(), "slotcar-tls-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const openssl = (...words) => execFileSync("openssl", words, { cwd: folder, stdio: "ignore" });
  const file = (name) => path.join(folder, name);
  const own = ["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority of the test"];
  openssl("req", "-x509", ...CURVE, ...own, "-days", "2");
  return {
    pem: readFileSync(file("ca.pem"), "utf8"),
    /** A certificate for these names, as `IP:127.0.0.1` or `DNS:host`. */
    certificate(name, names) {
      const request = ["-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`];
      openssl("req", ...CURVE, ...request);
      writeFileSync(file(`${name}.ext`), `subjectAltName=${names}\n`);
      const signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1"];
      openssl("x509", "-req", "-in", `${name}.csr`, ...signed, "-out", `${name}.pem`, "-extfile", `${name}.ext`);
      return { certFile: file(`${name}.pem`), keyFile: file(`${name}.key`), caFile: file("ca.pem") };
    },
  };
}
