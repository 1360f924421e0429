// The end of a cluster, by signal and by ctl.
import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { request } from "../client/raw.mjs";
import { Cluster, addresses } from "./cluster.mjs";
import { Fleet } from "./fleet.mjs";
import { within } from "./process.mjs";

describe("the end of a cluster", () => {
  let cluster;
  let fleet;
  afterEach(async () => {
    fleet?.leave();
    await cluster?.destroy();
  });

  async function start(settings = {}) {
    cluster = await Cluster.start({ workers: 2, settings });
    fleet = await Fleet.connect(cluster.url, addresses(8, 48), () => ({ reconnection: false }));
  }
  const disconnects = () => Promise.all(fleet.members.map((member) => within(new Promise((resolve) => member.socket.once("disconnect", resolve)), "a disconnect", 20_000)));

  for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"]) {
    test(`${signal}: the clients' transports close, exit code 0, nothing is left`, { timeout: 30_000 }, async () => {
      await start();
      const gone = disconnects();
      cluster.process.signal(signal);
      const exit = await within(cluster.process.exited, "the end", 15_000);
      assert.deepEqual({ code: exit.code, signal: exit.signal }, { code: 0, signal: null });
      for (const reason of await gone) assert.match(reason, /^transport (close|error)$/, "a DISCONNECT would keep them away");
      cluster.assertNothingLeft();
      await assert.rejects(request(cluster.port, { path: "/worker" }));
    });
  }

  test("ctl stop waits for the end and exits with 0", { timeout: 30_000 }, async () => {
    await start();
    const stop = await cluster.ctl("stop");
    assert.equal(stop.code, 0, stop.text);
    await within(cluster.process.exited, "the end", 2_000);
    cluster.assertNothingLeft();
    assert.equal((await cluster.ctl("status")).code, 3);
  });

  test("the window of a drain spreads the closes, and a second SIGTERM ends it at once", { timeout: 30_000 }, async () => {
    await start({ "reload.drain_window": "20s", "reload.drain_deadline": "60s" });
    cluster.process.signal("SIGTERM");
    await within(Promise.race(fleet.members.map((member) => member.until(() => member.reasons.length > 0, () => "the first close", 15_000))), "the first close", 15_000);
    assert.equal(cluster.process.exit, undefined);
    assert.ok(fleet.members.some((member) => member.socket.connected), "all were closed at once");
    const start_ = performance.now();
    const knocks = setInterval(() => cluster.process.signal("SIGTERM"), 250); // one within a second of the first is that one
    const exit = await within(cluster.process.exited, "the end", 5_000).finally(() => clearInterval(knocks));
    assert.ok(performance.now() - start_ < 3_000);
    assert.equal(exit.signal, null);
    cluster.assertNothingLeft();
  });

  test("a worker that hangs does not hold up a stop for longer than the deadline", { timeout: 30_000 }, async () => {
    await start({ "reload.drain_deadline": "1s" });
    const [first] = await cluster.seated();
    process.kill(first.pid, "SIGSTOP");
    cluster.process.signal("SIGTERM");
    await within(cluster.process.exited, "the end", 10_000);
    cluster.assertNothingLeft();
  });

  test("a storm of signals ends in one defined state", { timeout: 60_000 }, async () => {
    await start();
    for (let i = 0; i < 300; i += 1) process.kill(cluster.pid, i % 3 ? "SIGHUP" : "SIGCHLD");
    await cluster.until((status) => status.operation === "" && status.slots.every((slot) => slot.state === "serving" && slot.workers.length === 1), "the reloads are over", 40_000);
    assert.deepEqual((await cluster.status()).slots.map((slot) => slot.deaths), [0, 0]);
    await cluster.stop();
  });

  test("SIGTERM in the middle of a reload stops everything", { timeout: 30_000 }, async () => {
    await start();
    const mark = cluster.mark();
    cluster.process.signal("SIGHUP");
    await cluster.line(/spawned/, { from: mark });
    await cluster.stop();
  });

  test("SIGTERM while the first workers start stops everything", { timeout: 30_000 }, async () => {
    fleet = undefined;
    cluster = await Cluster.start({ workers: 2, ready: false });
    await cluster.line(/spawned/);
    await cluster.stop();
  });
});
