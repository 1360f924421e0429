// Clients behind proxies that know nothing of sessions: Debian's nginx, whose pool of connections carries everybody's
// requests to whichever worker, and HAProxy with the PROXY protocol. Nothing fails, nobody is disconnected, and every
// client is seen with its own address, a reload in the middle or not. `scripts/soak --proxies` is the long form.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ask } from "../client/official.mjs";
import { behindProxy, kWays } from "./behind.mjs";
import { addresses } from "./cluster.mjs";
import { Rooms } from "./rooms.mjs";

const clients = 60;
const workers = 4;

describe(`${clients} official clients in rooms of 10`, () => {
  for (const way of kWays) {
    test(`behind ${way}: no HTTP error, no disconnect, every word once and in order`, () =>
      behindProxy(way, workers, async (proxy, cluster) => {
        const rooms = await Rooms.connect(proxy.url, addresses(clients, 90));
        try {
          await rooms.chat(1, async () => assert.equal((await cluster.ctl("reload")).code, 0));
          const { joined, rejoined, missing, disconnects, connect_errors, mistakes, examples } = rooms.report();
          const counts = { joined, rejoined, missing, disconnects, connect_errors, mistakes };
          assert.deepEqual(counts, { joined: clients, rejoined: 0, missing: 0, disconnects: 0, connect_errors: 0, mistakes: 0 }, examples.join("\n"));
          assert.deepEqual(proxy.errors(), []);
          const seen = await Promise.all(rooms.talkers.map(async ({ socket }) => ask(socket, "whoami")));
          assert.deepEqual(seen.map(({ address }) => address), rooms.talkers.map(({ from }) => from));
          const stats = await cluster.stats();
          for (const slot of stats.sessions_open.by_slot) assert.ok(slot >= clients / workers / 3, `sessions ${stats.sessions_open.by_slot}`);
          for (const counter of ["http_errors", "handovers_failed", "requests_unowned", "sessions_dropped", "connections_timed_out"]) assert.equal(stats[counter].total, 0, counter);
        } finally {
          rooms.leave();
        }
      }));
  }
});
