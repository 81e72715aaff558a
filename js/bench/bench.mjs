// The package beside ioredis in Node, and beside plain JavaScript in workerd: rates and processor
// time, as ratios.
//
// The two take turns, each in a process of its own, over one server; the best of some rounds counts,
// since a busy machine only ever makes a round slower. Prints a line for each workload:
// slotcar's rate, ioredis' rate and their ratio, and the same for processor time per command.

import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import path from "node:path";
import { entry, server } from "../tests/servers.mjs";
import { workerd } from "../tests/workerd.mjs";

const VALUE = "v".repeat(64);
const WORKLOADS = {
  "pipeline of 10,000": { size: 10_000, rounds: 12, run: piped },
  "pipeline of 100": { size: 100, rounds: 300, run: piped },
  "1,000 at once": { size: 1000, rounds: 60, run: atOnce },
  "one by one": { size: 1, rounds: 30_000, run: (client) => client.get("key:1") },
};

async function piped(client, size) {
  const pipeline = client.pipeline();
  for (let at = 0; at < size; at++) pipeline.get(`key:${at % 1000}`);
  const results = await pipeline.exec();
  if (results[size - 1][1] !== VALUE) throw new Error("a wrong reply");
}

async function atOnce(client, size) {
  const calls = new Array(size);
  for (let at = 0; at < size; at++) calls[at] = client.get(`key:${at}`);
  await Promise.all(calls);
}

/** Measures one client in this process and prints the result. */
async function measure(who, url) {
  let client;
  if (who === "slotcar") {
    client = await (await entry("node.js")).connect(url);
  } else {
    const { Redis } = createRequire(import.meta.url)("ioredis");
    client = new Redis(url);
  }
  const figures = {};
  for (const [name, { size, rounds, run }] of Object.entries(WORKLOADS)) {
    const warm = Math.ceil(rounds / 4);
    for (let at = 0; at < warm; at++) await run(client, size);
    const cpu = process.cpuUsage();
    const began = performance.now();
    for (let at = 0; at < rounds; at++) await run(client, size);
    const took = performance.now() - began;
    const { user, system } = process.cpuUsage(cpu);
    const commands = size * rounds;
    figures[name] = { rate: commands / took, cpu: (user + system) / commands };
  }
  console.log(JSON.stringify(figures));
  if (who === "slotcar") client.close();
  else client.disconnect();
}

function inProcess(who, url) {
  const words = [import.meta.filename, "measure", who, url];
  const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "inherit"] });
  return new Promise((resolve, reject) => {
    let output = "";
    child.stdout.on("data", (bytes) => {
      output += bytes;
    });
    child.on("exit", (code) => {
      if (code === 0) resolve(JSON.parse(output));
      else reject(new Error(`${who} ended with ${code}`));
    });
  });
}

/** Pipelined GETs in workerd: the best rate of each way. */
async function inWorkerd(one, rounds) {
  const host = await workerd({ script: path.join(import.meta.dirname, "worker.js") });
  const [size, repeats] = [10_000, 20];
  const replyBytes = `$${VALUE.length}\r\n${VALUE}\r\n`.length;
  const best = { raw: 0, slotcar: 0 };
  // The first round of each is that which compiles.
  for (let at = 0; at <= rounds; at++) {
    for (const way of Object.keys(best)) {
      const body = { way, host: one.host, port: one.port, size, rounds: repeats, replyBytes };
      const began = performance.now();
      const response = await fetch(host.url, { method: "POST", body: JSON.stringify(body) });
      if (response.status !== 200) throw new Error(`workerd: ${await response.text()} ${host.output()}`);
      best[way] = Math.max(best[way], (size * repeats) / (performance.now() - began));
    }
  }
  await host.stop();
  const rates = `${best.slotcar.toFixed(0)} k/s, plain JavaScript ${best.raw.toFixed(0)} k/s`;
  console.log(`workerd, pipelines   ${rates}: ${(best.slotcar / best.raw).toFixed(2)} times the rate`);
}

async function main(rounds) {
  const one = await server();
  const { connect } = await entry("node.js");
  const client = await connect(one.url);
  await Promise.all(Array.from({ length: 1000 }, (_, at) => client.set(`key:${at}`, VALUE)));
  client.close();
  const best = { slotcar: {}, ioredis: {} };
  for (let at = 0; at < rounds; at++) {
    for (const who of ["slotcar", "ioredis"]) {
      for (const [name, { rate, cpu }] of Object.entries(await inProcess(who, one.url))) {
        const old = best[who][name] ?? { rate: 0, cpu: Infinity };
        best[who][name] = { rate: Math.max(old.rate, rate), cpu: Math.min(old.cpu, cpu) };
      }
    }
  }
  await inWorkerd(one, rounds);
  await one.stop();
  for (const name of Object.keys(WORKLOADS)) {
    const [own, other] = [best.slotcar[name], best.ioredis[name]];
    const rates = `${own.rate.toFixed(0)} k/s, ioredis ${other.rate.toFixed(0)} k/s`;
    const times = `${own.cpu.toFixed(1)} us, ioredis ${other.cpu.toFixed(1)} us`;
    console.log(
      `${name.padEnd(19)} ${rates}: ${(own.rate / other.rate).toFixed(2)} times the rate; ` +
        `${times}: ${(own.cpu / other.cpu).toFixed(2)} of its processor time`,
    );
  }
}

const [word, ...rest] = process.argv.slice(2);
if (word === "measure") await measure(...rest);
else await main(Number(word ?? 3));
