// Which worker a new connection reaches: decided by the client's address alone, evenly.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Cluster, addresses } from "./cluster.mjs";

/// Answers of /who for each address, at most 100 requests at a time.
async function whoAll(cluster, from, options) {
  const answers = [];
  for (let i = 0; i < from.length; i += 100) answers.push(...(await Promise.all(from.slice(i, i + 100).map((address) => cluster.who(address, options)))));
  return answers;
}

function countBySlot(answers, slots) {
  const counts = Array(slots).fill(0);
  for (const { slot } of answers) counts[slot] += 1;
  return counts;
}

describe("a client's address decides its worker", () => {
  let cluster;
  const workers = 4;
  before(async () => {
    cluster = await Cluster.start({ workers, listen: ["tcp://127.0.0.1:0", "tcp://[::1]:0", "tcp://*:0"] });
  });
  after(() => cluster?.close());

  test("1,000 connections from one address reach one slot, and its counter says so", async () => {
    const before = (await cluster.stats()).connections_accepted.by_slot;
    const answers = await whoAll(cluster, Array(1_000).fill("127.77.7.7"));
    const counts = countBySlot(answers, workers);
    assert.deepEqual([...counts].sort((a, b) => a - b), [0, 0, 0, 1_000]);
    const after_ = (await cluster.stats()).connections_accepted.by_slot;
    assert.deepEqual(after_.map((count, slot) => count - before[slot]), counts);
  });

  const patterns = [
    ["neighbours", addresses(1_000)],
    ["one of each /24 network", Array.from({ length: 1_000 }, (_, i) => `127.${i >> 8}.${i & 255}.9`)],
    ["one of each /16 network, and more", Array.from({ length: 1_000 }, (_, i) => `127.${(i * 7) % 251}.${i % 4}.1`)],
    ["multiples of 8", Array.from({ length: 1_000 }, (_, i) => `127.3.${(i * 8) >> 8}.${(i * 8) & 255}`).map((address) => address.replace(/\.0$/, ".1"))],
  ];
  for (const [what, from] of patterns) {
    test(`1,000 connections from ${what} spread within a factor 1.3 of even`, async () => {
      const counts = countBySlot(await whoAll(cluster, from), workers);
      for (const count of counts) assert.ok(count <= (1.3 * 1_000) / workers && count >= 1_000 / workers / 1.3, `${counts}`);
    });
  }

  test("the same address reaches the same slot on every listening address, IPv4 or IPv4 in IPv6", async () => {
    const from = addresses(60, 9);
    const first = (await whoAll(cluster, from)).map((answer) => answer.slot);
    const again = (await whoAll(cluster, from)).map((answer) => answer.slot);
    const mapped = (await whoAll(cluster, from, { port: cluster.ports[2] })).map((answer) => answer.slot);
    assert.deepEqual(again, first);
    assert.deepEqual(mapped, first);
  });

  test("an IPv6 client reaches one slot, on every listening address", async () => {
    const answers = await whoAll(cluster, Array(100).fill("::1"), { host: "::1", port: cluster.ports[1] });
    const others = await whoAll(cluster, Array(100).fill("::1"), { host: "::1", port: cluster.ports[2] });
    assert.equal(new Set([...answers, ...others].map((answer) => answer.slot)).size, 1);
    assert.equal(answers[0].address, "::1");
  });

  test("a client's address is shown as IPv4 even when it came in over IPv6", async () => {
    assert.equal((await cluster.who("127.4.5.6", { port: cluster.ports[2] })).address, "127.4.5.6");
  });

  test("a reload and a kill -9 move nobody to another slot", async () => {
    const from = addresses(40, 11);
    const before = (await whoAll(cluster, from)).map((answer) => answer.slot);
    const seated = await cluster.seated();
    assert.equal((await cluster.ctl("reload")).code, 0);
    const successors = await cluster.allServe({ after: seated.map((worker) => worker.generation) });
    assert.deepEqual((await whoAll(cluster, from)).map((answer) => answer.slot), before);
    const [victim] = successors.slots[2].workers;
    process.kill(victim.pid, "SIGKILL");
    await cluster.allServe({ after: [victim.generation] });
    assert.deepEqual((await whoAll(cluster, from)).map((answer) => answer.slot), before);
  });

  test("a second server on the same address is refused, and says so", async () => {
    const second = await Cluster.start({ workers: 1, listen: [`tcp://127.0.0.1:${cluster.port}`], ready: false });
    try {
      const exit = await second.process.exited;
      assert.equal(exit.code, 1, second.process.tail());
      assert.match(second.process.tail(), /in use/i);
      second.assertNothingLeft();
    } finally {
      await second.destroy();
    }
  });
});
