// A reload whose new program is bad, in each of its ways: it is withdrawn, or the rollout stops, and nobody is disconnected
// but who was inside a process that died.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { build } from "./build.mjs";
import { Cluster, addresses } from "./cluster.mjs";
import { Fleet } from "./fleet.mjs";

describe("a bad successor", () => {
  let cluster;
  let fleet;
  let directory;
  let broken;
  before(async () => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), "limpet-broken-"));
    broken = path.join(directory, "how");
    cluster = await Cluster.start({ workers: 2, settings: { "app.broken": broken, "supervision.boot_deadline": "1s", "reload.probation": "600ms" } });
    fleet = await Fleet.connect(cluster.url, addresses(40));
  });
  after(async () => {
    fleet?.leave();
    await cluster?.close();
    fs.rmSync(directory, { recursive: true, force: true });
  });

  const disconnected = () => fleet.members.filter(({ reasons }) => reasons.length > 0);

  for (const [how, what] of [
    ["exit", "exits at once"],
    ["hang", "hangs before it is ready"],
    ["later", "dies in its probation"],
  ]) {
    test(`that ${what} is withdrawn, and the old workers go on`, { timeout: 30_000 }, async () => {
      const pids = (await cluster.seated()).map(({ pid }) => pid);
      fs.writeFileSync(broken, how);
      const { code, text } = await cluster.ctl("reload");
      fs.rmSync(broken);
      assert.equal(code, 1, text);
      assert.match(text, /reload failed: .*the old workers go on/);
      assert.deepEqual((await cluster.seated()).map(({ pid }) => pid), pids);
      await fleet.chat(3);
      assert.deepEqual(disconnected(), []);
    });
  }

  test("that dies as sessions arrive stops the rollout; who was not taken goes on", { timeout: 40_000 }, async () => {
    fs.writeFileSync(broken, "arrival");
    const { code, text } = await cluster.ctl("reload");
    assert.equal(code, 1, `${text}\n${cluster.process.tail()}`);
    await cluster.allServe();
    await fleet.connected();
    // The first batch at most was inside the dead process.
    assert.ok(disconnected().length <= 32, `${disconnected().length} were disconnected`);
    assert.ok(disconnected().length < fleet.members.length);
    await fleet.chat(3);
  });

  test("the next good reload works, and moves all", { timeout: 30_000 }, async () => {
    const before = fleet.members.map(({ reasons }) => reasons.length);
    const generations = (await cluster.seated()).map(({ generation }) => generation);
    const { code, text } = await cluster.ctl("reload");
    assert.equal(code, 0, text);
    await cluster.allServe({ after: generations });
    await fleet.chat(3);
    assert.deepEqual(fleet.members.map(({ reasons }) => reasons.length), before);
  });
});

describe("a successor of an older version", () => {
  test("that cannot read what sessions say leaves with its reason, and nobody is disconnected", { timeout: 40_000 }, async () => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), "limpet-older-"));
    const app = path.join(directory, "app");
    const install = (program) => {
      fs.copyFileSync(build(program), `${app}.new`);
      fs.renameSync(`${app}.new`, app);
    };
    install("next_probe_app");
    let cluster;
    let fleet;
    try {
      cluster = await Cluster.start({ app, workers: 2 });
      fleet = await Fleet.connect(cluster.url, addresses(40));
      install("probe_app");
      const { code, text } = await cluster.ctl("reload");
      assert.equal(code, 1, text);
      assert.match(text, /reload failed: .*sessions of version 2; this build reads them up to version 1/);
      await cluster.allServe();
      await fleet.chat(3);
      install("next_probe_app");
      assert.equal((await cluster.ctl("reload")).code, 0);
      await cluster.allServe();
      await fleet.chat(3);
      fleet.assertNobodyDisconnected();
      assert.equal((await cluster.stats()).sessions_drained.total, 0);
    } finally {
      fleet?.leave();
      await cluster?.close();
      fs.rmSync(directory, { recursive: true, force: true });
    }
  });
});
