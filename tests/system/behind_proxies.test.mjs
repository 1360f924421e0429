// Clients behind proxies that know nothing of sessions: Debian's nginx, whose pool of connections carries everybody's
// requests to whichever worker, and HAProxy with the PROXY protocol. Nothing fails, nobody is disconnected, and every
// client is seen with its own address.
// LIMPET_PROXY_CLIENTS, LIMPET_PROXY_ROUNDS: the long form (500 clients, 60 s); LIMPET_PROXY_RELOAD=1: a reload in the
// middle.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { describe, test } from "node:test";
import { ask } from "../client/official.mjs";
import { Cluster, addresses } from "./cluster.mjs";
import { HAProxy, Nginx } from "./proxies.mjs";
import { Rooms } from "./rooms.mjs";

const clients = Number(process.env.LIMPET_PROXY_CLIENTS ?? 60);
const rounds = Number(process.env.LIMPET_PROXY_ROUNDS ?? 30);
const reload = process.env.LIMPET_PROXY_RELOAD === "1";
const workers = 4;

describe(`${clients} official clients in rooms of 10`, () => {
  const cases = [
    ["nginx over TCP", (cluster) => Nginx.start(`127.0.0.1:${cluster.port}`)],
    ["nginx over a Unix socket", (cluster, unix) => Nginx.start(`unix:${unix}`)],
    ["HAProxy, PROXY protocol 1", (cluster) => HAProxy.start(`127.0.0.1:${cluster.ports[2]}`, { version: 1 })],
    ["HAProxy, PROXY protocol 2", (cluster) => HAProxy.start(`127.0.0.1:${cluster.ports[2]}`, { version: 2 })],
  ];
  for (const [name, startProxy] of cases) {
    test(`behind ${name}: no HTTP error, no disconnect, every word once and in order`, async () => {
      const directory = fs.mkdtempSync(path.join(os.tmpdir(), "limpet-behind-"));
      const unix = path.join(directory, "limpet.sock");
      const listen = [
        { address: "tcp://127.0.0.1:0", trusted: ["127.0.0.1"] },
        { address: `unix://${unix}`, trusted: ["unix"] },
        { address: "tcp://127.0.0.1:0", proxy_protocol: true },
      ];
      const cluster = await Cluster.start({ workers, listen: [], settings: { listen } });
      let proxy;
      let rooms;
      try {
        proxy = await startProxy(cluster, unix);
        rooms = await Rooms.connect(proxy.url, addresses(clients, 90));
        for (let round = 0; round < rounds; round += 1) {
          const between = reload && round === Math.floor(rounds / 2) ? cluster.ctl("reload") : undefined;
          await rooms.talk();
          if (between) assert.equal((await between).code, 0);
        }
        rooms.assertNoMistakes();
        assert.deepEqual(proxy.errors(), []);
        const seen = await Promise.all(rooms.talkers.map(async ({ socket }) => ask(socket, "whoami")));
        assert.deepEqual(seen.map(({ address }) => address), rooms.talkers.map(({ from }) => from));
        const stats = await cluster.stats();
        for (const slot of stats.sessions_open.by_slot) assert.ok(slot >= clients / workers / 3, `sessions ${stats.sessions_open.by_slot}`);
        for (const counter of ["http_errors", "handovers_failed", "requests_unowned", "sessions_dropped", "connections_timed_out"]) assert.equal(stats[counter].total, 0, counter);
      } finally {
        rooms?.leave();
        await proxy?.close();
        try {
          await cluster.close();
        } finally {
          fs.rmSync(directory, { recursive: true, force: true });
        }
      }
    });
  }
});
