// What `ctl stats` counts is what the clients counted, whatever happens to the workers.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { request } from "../client/raw.mjs";
import { Cluster, addresses } from "./cluster.mjs";
import { Fleet } from "./fleet.mjs";
import { until } from "./process.mjs";

describe("stats", () => {
  let cluster;
  let fleet;
  const from = addresses(12, 49);
  before(async () => {
    cluster = await Cluster.start({ workers: 3 });
    fleet = await Fleet.connect(cluster.url, from);
  });
  after(async () => {
    fleet?.leave();
    await cluster?.close();
  });

  /// Waits until workers have told (counters are written as they go) what the clients know already.
  const counted = (name, total) =>
    until(async () => (await cluster.stats())[name].total === total, `${name} ${total}`, 5_000).catch(async (error) => {
      throw new Error(`${error.message}, but ${JSON.stringify((await cluster.stats())[name])}`);
    });

  test("sessions, sockets and polls are those that the clients have", async () => {
    await counted("sessions_open", 12);
    await counted("sessions_opened", 12);
    await counted("sockets_open", 12);
    await counted("sessions_polling", 6);
  });

  test("packets in and broadcasts are those that were sent", async () => {
    const before = await cluster.stats();
    await fleet.chat(10);
    await counted("packets_in", before.packets_in.total + 120);
    await counted("packets_out", before.packets_out.total + 120 * 11);
    await counted("broadcasts_published", before.broadcasts_published.total + 120);
    await counted("broadcasts_received", before.broadcasts_received.total + 120 * 2);
  });

  test("requests and their errors are counted", async () => {
    const before = await cluster.stats();
    for (const address of from) {
      assert.equal((await request(cluster.port, { path: "/worker", from: address })).status, 200);
      assert.equal((await request(cluster.port, { path: "/nothing", from: address })).status, 404);
    }
    // Engine.IO's own refusals are errors as well.
    assert.equal((await request(cluster.port, { path: "/socket.io/?EIO=4&transport=pigeon", from: from[0] })).status, 400);
    await counted("http_errors", before.http_errors.total + 13);
    const after_ = await cluster.stats();
    assert.ok(after_.http_requests.total >= before.http_requests.total + 24);
  });

  test("the sum over slots is the total, and of a peak the highest", async () => {
    for (const [name, { total, by_slot }] of Object.entries(await cluster.stats())) {
      if (name === "longest_turn") assert.equal(Math.max(...by_slot), total);
      else if (name.startsWith("broadcasts") || by_slot.length === 3) assert.equal(by_slot.reduce((sum, count) => sum + count, 0), total, name);
    }
  });

  test("totals never decrease through reload and kill -9, and end as the clients count", { timeout: 60_000 }, async () => {
    let last = await cluster.stats();
    let looking = true;
    const looks = (async () => {
      while (looking) {
        const now = await cluster.stats();
        for (const [name, counter] of Object.entries(now)) {
          if (counter.type === "counter") assert.ok(counter.total >= last[name].total, `${name} fell from ${last[name].total} to ${counter.total}`);
        }
        last = now;
      }
    })();
    looks.catch(() => {});

    const first = (await cluster.seated()).map((worker) => worker.generation);
    assert.equal((await cluster.ctl("reload")).code, 0);
    await cluster.allServe({ after: first });
    assert.ok(fleet.members.every(({ connects }) => connects === 1), "the reload has disconnected somebody");
    for (const slot of [0, 1, 2]) {
      const worker = (await cluster.seated())[slot];
      const slots = await fleet.slots();
      const hit = fleet.members.filter((_, i) => slots[i] === slot);
      const times = hit.map((member) => member.connects + 1);
      process.kill(worker.pid, "SIGKILL");
      await cluster.allServe({ after: [worker.generation] });
      await Promise.all(hit.map((member, i) => fleet.connected(times[i], [member])));
      await fleet.chat(2);
    }
    looking = false;
    await looks;
    const connects = fleet.members.reduce((sum, member) => sum + member.connects, 0);
    await counted("sessions_opened", connects);
    await counted("sessions_open", 12);
    await counted("deaths_signal", 3);
  });

  test("gauges fall to zero when everybody has left", async () => {
    fleet.leave();
    for (const gauge of ["sessions_open", "sockets_open", "sessions_polling", "connections_open"]) await counted(gauge, 0);
  });
});
