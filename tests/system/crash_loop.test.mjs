// Workers that cannot start, or die at once: started again ever more slowly, visible, and back by themselves.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { Wire, request } from "../client/raw.mjs";
import { Cluster, addresses } from "./cluster.mjs";
import { Fleet } from "./fleet.mjs";

describe("a crash loop", () => {
  let cluster;
  let broken;
  before(async () => {
    cluster = await Cluster.start({ workers: 2, settings: { "supervision.boot_deadline": "1s" } });
    broken = path.join(cluster.directory, "broken");
    cluster.write({ "supervision.boot_deadline": "1s", "reload.drain_window": "0s", "app.broken": broken });
    assert.equal((await cluster.ctl("reload")).code, 0);
    await cluster.allServe();
  });
  afterEach(async () => {
    fs.rmSync(broken, { force: true });
    await cluster.allServe();
  });
  after(() => cluster?.close());

  test("starts are spaced further and further, status says back-off, the other slot takes over, and it recovers by itself", { timeout: 40_000 }, async () => {
    const from = addresses(30, 45);
    const fleet = await Fleet.connect(cluster.url, from.slice(0, 4));
    const mine = await cluster.who(from[0]);
    const mark = cluster.mark();
    fs.writeFileSync(broken, "exit");
    process.kill(mine.pid, "SIGKILL");
    const status = await cluster.until(({ slots }) => slots[mine.slot].state === "back-off" && slots[mine.slot].deaths >= 4, "back-off", 20_000);
    assert.ok(status.slots[mine.slot].next_start_ms > 0);
    assert.match(status.slots[mine.slot].last_obituary, /7/);
    assert.equal(status.slots[1 - mine.slot].state, "serving");

    // Its addresses are served elsewhere meanwhile.
    for (const address of from) assert.equal((await cluster.who(address)).slot, 1 - mine.slot);
    await fleet.connected();
    await fleet.chat(2);
    fleet.leave();

    const before = cluster.process.lines.slice(mark).filter((line) => /pid \d+: spawned/.test(line)).length;
    assert.ok(before <= 8, `${before} starts`);
    fs.rmSync(broken);
    await cluster.allServe();
    assert.equal((await cluster.who(from[0])).slot, mine.slot);
  });

  for (const [how, obituary] of [["throw", /told to be broken|status 1/], ["crash", /ABRT|signal 6/], ["hang", /boot|ready/i]]) {
    test(`an application whose start ends by ${how} is told in the obituary, and a reload is refused`, { timeout: 40_000 }, async () => {
      const before = (await cluster.seated()).map((worker) => worker.generation);
      fs.writeFileSync(broken, how);
      const refused = await cluster.ctl("reload");
      assert.equal(refused.code, 1, refused.text);
      assert.match(refused.text + cluster.process.tail(20), obituary);
      assert.deepEqual((await cluster.seated()).map((worker) => worker.generation), before, "the old workers went away");
      fs.rmSync(broken);
      assert.equal((await cluster.ctl("reload")).code, 0, "the next good reload");
      await cluster.allServe({ after: before });
    });
  }

  test("a request that crashes a worker costs its own connections only", { timeout: 20_000 }, async () => {
    const from = addresses(20, 46);
    const who = await Promise.all(from.map((address) => cluster.who(address)));
    const victim = who[0];
    const other = from.find((_, i) => who[i].slot !== victim.slot);
    const kept = new Wire(cluster.port, { from: other });
    await kept.connected;
    await assert.rejects(request(cluster.port, { path: "/crash", from: from[0] }));
    const status = await cluster.allServe({ after: [victim.generation] });
    assert.match(status.slots[victim.slot].last_obituary, /ABRT|signal 6/);
    kept.write("GET /worker HTTP/1.1\r\nHost: x\r\n\r\n");
    assert.equal((await kept.response()).status, 200);
    kept.destroy();
  });

  test("a request handler that throws is answered with 500, and the worker lives", async () => {
    const mine = await cluster.who("127.0.0.1");
    assert.equal((await request(cluster.port, { path: "/throw" })).status, 500);
    assert.equal((await cluster.who("127.0.0.1")).pid, mine.pid);
  });
});
