// 40 official clients from 40 addresses chat over 4 workers, through everything that happens to those.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Cluster, addresses } from "./cluster.mjs";
import { Fleet } from "./fleet.mjs";

describe("40 clients on two transports chat through 4 workers", () => {
  let cluster;
  let fleet;
  const from = addresses(40);
  before(async () => {
    cluster = await Cluster.start({ workers: 4 });
    fleet = await Fleet.connect(cluster.url, from);
  });
  after(async () => {
    fleet?.leave();
    await cluster?.close();
  });

  test("each line reaches every other client exactly once, in order per sender", async () => {
    await fleet.chat(20);
    await fleet.chat(1);
  });

  test("the clients are spread over all workers", async () => {
    const { slots } = await cluster.status();
    const sessions = slots.map((slot) => slot.workers[0].sessions);
    assert.equal(sessions.reduce((sum, count) => sum + count), 40, `${sessions}`);
    assert.ok(Math.min(...sessions) >= 2, `${sessions}`);
  });

  test("the same after ctl reload, which replaces every worker and disconnects nobody", async () => {
    const generations = (await cluster.seated()).map((worker) => worker.generation);
    const reload = await cluster.ctl("reload");
    assert.equal(reload.code, 0, reload.text);
    await cluster.allServe({ after: generations });
    await fleet.chat(20);
    await fleet.chat(1);
  });

  test("the same after kill -9 of each worker in turn: its clients come back by themselves", async () => {
    for (let slot = 0; slot < 4; slot += 1) {
      const worker = (await cluster.seated())[slot];
      const slots = await fleet.slots();
      const hit = fleet.members.filter((_, i) => slots[i] === slot);
      const before = hit.map((member) => member.connects);
      assert.ok(hit.length > 0, `nobody is on slot ${slot}`);
      process.kill(worker.pid, "SIGKILL");
      await Promise.all(hit.map((member, i) => fleet.connected(before[i] + 1, [member])));
      await cluster.allServe({ after: [worker.generation] });
      await fleet.connected();
      await fleet.chat(5);
    }
    await fleet.chat(1);
  });

  test("nobody else was disconnected by those kills, and every death has its obituary", async () => {
    // By the own worker's end; the reload has disconnected nobody.
    assert.deepEqual(fleet.members.filter((member) => member.connects !== 2).map((member) => `${member.name}: ${member.connects}`), []);
    const { slots } = await cluster.status();
    for (const slot of slots) assert.match(slot.last_obituary, /kill|signal 9/i);
    assert.deepEqual(slots.map((slot) => slot.deaths), [1, 1, 1, 1]);
  });
});
