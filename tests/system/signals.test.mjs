// Signals that come too often, or at the worst moment: one defined end state, nobody lost without need, nothing left over.
import assert from "node:assert/strict";
import fs from "node:fs";
import { after, before, describe, test } from "node:test";
import { Cluster, addresses } from "./cluster.mjs";
import { Fleet } from "./fleet.mjs";
import { until, zombiesOf } from "./process.mjs";

const descriptors = (pid) => fs.readdirSync(`/proc/${pid}/fd`).length;

describe("a cluster under signals", () => {
  let cluster;
  let fleet;
  before(async () => {
    cluster = await Cluster.start({ workers: 2 });
    fleet = await Fleet.connect(cluster.url, addresses(20));
  });
  after(async () => {
    fleet?.leave();
    await cluster?.close();
  });

  /// No operation runs, and every slot has its one worker.
  async function settled() {
    await cluster.until(({ operation }) => operation === "", "no operation is under way", 30_000);
    await cluster.allServe();
    assert.deepEqual(zombiesOf(cluster.pid), []);
  }

  test("ten reloads leave no descriptor behind, at either end", { timeout: 60_000 }, async () => {
    assert.equal((await cluster.ctl("reload")).code, 0);
    await settled();
    const supervisor = descriptors(cluster.pid);
    const workers = (await cluster.seated()).map(({ pid }) => descriptors(pid));
    for (let i = 0; i < 10; i += 1) assert.equal((await cluster.ctl("reload")).code, 0);
    await settled();
    await until(() => descriptors(cluster.pid) <= supervisor, "the supervisor's descriptors are as many as before");
    const now = (await cluster.seated()).map(({ pid }) => descriptors(pid));
    // A poll in flight is a descriptor of its worker: as many more as there are polling clients, at most.
    now.forEach((count, slot) => assert.ok(count <= workers[slot] + 10, `slot ${slot}: ${workers[slot]} then, ${count} now`));
    fleet.assertNobodyDisconnected();
  });

  test("a thousand SIGHUPs are a few reloads", { timeout: 60_000 }, async () => {
    const [{ generation }] = await cluster.seated();
    for (let i = 0; i < 1000; i += 1) cluster.process.signal("SIGHUP");
    await settled();
    const after_ = (await cluster.seated())[0].generation;
    assert.ok(after_ > generation, "none at all");
    assert.ok(after_ - generation <= 20, `${after_ - generation} workers were started`);
    await fleet.chat(3);
    fleet.assertNobodyDisconnected();
  });

  test("SIGHUP in the middle of an upgrade", { timeout: 60_000 }, async () => {
    const mark = cluster.mark();
    cluster.process.signal("SIGUSR2");
    await cluster.line(/upgrade: trying/, { from: mark });
    for (let i = 0; i < 20; i += 1) cluster.process.signal("SIGHUP");
    await cluster.line(/upgrade done/, { from: mark, deadlineMs: 20_000 });
    await settled();
    await fleet.chat(3);
    fleet.assertNobodyDisconnected();
  });

  for (const which of ["old", "new"]) {
    test(`SIGKILL of the ${which} worker as its sessions begin to move`, { timeout: 60_000 }, async () => {
      const [{ pid: old }] = await cluster.seated();
      const mark = cluster.mark();
      const reload = cluster.ctl("reload");
      const [, successor] = await cluster.line(/slot 0: pid (\d+) is ready/, { from: mark });
      await cluster.line(/slot 0 gen \d+: serving -> draining/, { from: mark });
      try {
        process.kill(which === "old" ? old : Number(successor), "SIGKILL");
      } catch (error) {
        assert.equal(error.code, "ESRCH"); // so fast: it has moved all, and left
      }
      await reload;
      await settled();
      await fleet.connected();
      await fleet.chat(3);
      const next = await cluster.ctl("reload");
      assert.equal(next.code, 0, next.text);
      await settled();
      await fleet.chat(3);
    });
  }

  test("SIGTERM in the middle of a reload ends everything, and leaves nothing", { timeout: 60_000 }, async () => {
    const mark = cluster.mark();
    const reload = cluster.ctl("reload");
    await cluster.line(/serving -> draining/, { from: mark });
    fleet.leave();
    await cluster.stop();
    await reload;
  });
});
