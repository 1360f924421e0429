// Where the kernel sends an address: by a hash that each cluster has seeded for itself, and keeps as long as it serves.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Cluster, addresses } from "./cluster.mjs";

describe("the seed of the placement", () => {
  let cluster;
  let other;
  const from = addresses(100, 76);
  const slotsOf = async (which) => (await Promise.all(from.map((address) => which.who(address)))).map(({ slot }) => slot);
  before(async () => ([cluster, other] = await Promise.all([Cluster.start({ workers: 4 }), Cluster.start({ workers: 4 })])));
  after(async () => {
    await cluster?.close();
    await other?.close();
  });

  test("is each cluster's own", { timeout: 30_000 }, async () => {
    const [here, there] = [await slotsOf(cluster), await slotsOf(other)];
    const same = here.filter((slot, i) => slot === there[i]).length;
    assert.ok(same < 60, `${same} of 100 addresses are placed alike; 25 are by chance`);
  });

  test("outlives a reload and an upgrade: nobody is placed elsewhere", { timeout: 60_000 }, async () => {
    const first = await slotsOf(cluster);
    for (const verb of ["reload", "upgrade"]) {
      const { code, text } = await cluster.ctl(verb);
      assert.equal(code, 0, text);
      assert.deepEqual(await slotsOf(cluster), first, verb);
    }
  });
});
