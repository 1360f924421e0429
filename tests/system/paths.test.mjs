// A deployment switches the symlink `current` from one release to the next. However the server was started there, a reload
// and an upgrade follow the names that it was started with, and every verdict says which file runs now, and whether it is
// another one than before.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { build } from "./build.mjs";
import { Cluster } from "./cluster.mjs";

const link = (file) => fs.readlinkSync(file);
const settings = (more = "") => `workers = 1\n${more}[reload]\ndrain_window = "200ms"\ndrain_deadline = "5s"\nprobation = "50ms"\n`;

/// releases/6, releases/7, and `current`, which leads to one of them.
class Deployment {
  constructor() {
    this.directory = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "limpet-paths-")));
    this.current = path.join(this.directory, "current");
    for (const number of [6, 7]) this.#release(number);
    this.switch(6);
  }

  release(number, ...names) {
    return path.join(this.directory, "releases", String(number), ...names);
  }

  #release(number) {
    fs.mkdirSync(this.release(number), { recursive: true });
    fs.copyFileSync(build("limpet"), this.release(number, "limpet"));
    fs.copyFileSync(build("probe_app"), this.release(number, "app"));
    fs.writeFileSync(this.release(number, "limpet.toml"), settings());
  }

  /// As deployment tools do it: a new link, renamed over the old one.
  switch(number) {
    fs.symlinkSync(path.join("releases", String(number)), `${this.current}.new`);
    fs.renameSync(`${this.current}.new`, this.current);
  }

  destroy() {
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

describe("a switched symlink", () => {
  let deployment;
  let cluster;
  beforeEach(() => (deployment = new Deployment()));
  afterEach(async () => {
    await cluster?.close();
    cluster = undefined;
    deployment.destroy();
  });

  /// `limpet` and `app` in the words of whoever starts them, in `cwd`; `env` may say PWD, as a shell does.
  async function start({ limpet, app, cwd, env, configuration = "limpet.toml" }) {
    cluster = new Cluster();
    Object.assign(cluster, { directory: deployment.directory, runtime: path.join(deployment.directory, "run"), workers: 1, limpet: build("limpet") });
    cluster.launchAs(limpet, ["serve", app, "-c", configuration, "--listen", "tcp://127.0.0.1:0", "--runtime-dir", cluster.runtime], { cwd, env });
    await cluster.ready();
  }

  const worker = async () => (await cluster.seated())[0].pid;
  const runs = async () => ({ app: link(`/proc/${await worker()}/exe`), directory: link(`/proc/${await worker()}/cwd`), limpet: link(`/proc/${cluster.pid}/exe`) });

  /// The names that start with `app` and `limpet` are followed by both, and both say so.
  async function follows({ app, limpet, directory }) {
    const before = { app: deployment.release(6, "app"), limpet: deployment.release(6, "limpet"), directory: directory(6) };
    assert.deepEqual(await runs(), before);
    deployment.switch(7);
    const reload = await cluster.ctl("reload");
    assert.equal(reload.code, 0, reload.text);
    assert.ok(reload.text.includes(`; ${app} -> ${deployment.release(7, "app")} (another file than before runs)`), reload.text);
    assert.deepEqual(await runs(), { ...before, app: deployment.release(7, "app"), directory: directory(7) });
    const again = await cluster.ctl("reload");
    assert.ok(again.text.includes(`${deployment.release(7, "app")} (the same file as before runs)`), again.text);
    const upgrade = await cluster.ctl("upgrade");
    assert.equal(upgrade.code, 0, upgrade.text);
    assert.ok(upgrade.text.includes(`; limpet ${limpet} -> ${deployment.release(7, "limpet")} (another file than before runs)`), upgrade.text);
    assert.ok(upgrade.text.includes(`; application ${app} -> ${deployment.release(7, "app")} (the same file as before runs)`), upgrade.text);
    assert.deepEqual(await runs(), { app: deployment.release(7, "app"), limpet: deployment.release(7, "limpet"), directory: directory(7) });
    // What an upgrade carried over is followed as well.
    deployment.switch(6);
    const back = await cluster.ctl("upgrade");
    assert.ok(back.text.includes(`${deployment.release(6, "limpet")} (another file than before runs)`), back.text);
    assert.deepEqual(await runs(), before);
    const status = await cluster.status();
    assert.equal(status.binary, `${limpet} -> ${deployment.release(6, "limpet")}`);
    assert.equal(status.application, `${app} -> ${deployment.release(6, "app")}`);
  }

  const inCurrent = (name) => path.join(deployment.current, name);
  const of = (number) => deployment.release(number);

  test("is followed by a server that was started in it, by relative paths", async () => {
    await start({ limpet: "./limpet", app: "./app", cwd: deployment.current, env: { PWD: deployment.current } });
    await follows({ app: inCurrent("app"), limpet: inCurrent("limpet"), directory: of });
  });

  test("is followed by a server that was started through it, from elsewhere", async () => {
    await start({ limpet: inCurrent("limpet"), app: "current/app", configuration: "current/limpet.toml", cwd: deployment.directory, env: { PWD: deployment.directory } });
    await follows({ app: inCurrent("app"), limpet: inCurrent("limpet"), directory: () => deployment.directory });
  });

  test("is followed by a server that was found along PATH", async () => {
    const env = { PATH: `${deployment.current}:${process.env.PATH}`, PWD: deployment.current };
    await start({ limpet: "limpet", app: "app", cwd: deployment.current, env });
    await follows({ app: inCurrent("app"), limpet: inCurrent("limpet"), directory: of });
  });

  test("is not followed through a $PWD of another directory, and the verdict says that the same file runs", async () => {
    await start({ limpet: "./limpet", app: "./app", cwd: deployment.release(6), env: { PWD: deployment.release(7) } });
    deployment.switch(7);
    const reload = await cluster.ctl("reload");
    assert.equal(reload.code, 0, reload.text);
    assert.ok(reload.text.includes(`; ${deployment.release(6, "app")} (the same file as before runs)`), reload.text);
    const upgrade = await cluster.ctl("upgrade");
    assert.ok(upgrade.text.includes(`; limpet ${deployment.release(6, "limpet")} (the same file as before runs)`), upgrade.text);
    assert.deepEqual(await runs(), { app: deployment.release(6, "app"), limpet: deployment.release(6, "limpet"), directory: of(6) });
  });

  test("has the configuration read in the new place; a mistake there changes nothing, and the file that goes on is named", async () => {
    await start({ limpet: "./limpet", app: "./app", cwd: deployment.current, env: { PWD: deployment.current } });
    fs.writeFileSync(deployment.release(7, "limpet.toml"), settings("nonsense = 1\n"));
    deployment.switch(7);
    for (const verb of ["reload", "upgrade"]) {
      const { code, text } = await cluster.ctl(verb);
      assert.equal(code, 1, text);
      assert.ok(text.includes(`${inCurrent("limpet.toml")}:2: unknown key 'nonsense'`), text);
      assert.ok(text.includes(`${inCurrent("app")} -> ${deployment.release(6, "app")}`), text);
    }
    assert.equal((await runs()).directory, of(6));
    // One that died is replaced by what it was, where it was.
    const [dead] = await cluster.seated();
    process.kill(dead.pid, "SIGKILL");
    await cluster.allServe({ after: [dead.generation] });
    assert.deepEqual(await runs(), { app: deployment.release(6, "app"), limpet: deployment.release(6, "limpet"), directory: of(6) });
  });

  test("that leads nowhere is refused in words", async () => {
    await start({ limpet: "./limpet", app: "./app", cwd: deployment.current, env: { PWD: deployment.current } });
    fs.unlinkSync(deployment.current);
    const mark = cluster.mark();
    for (const verb of ["reload", "upgrade"]) {
      const { code, text } = await cluster.ctl(verb);
      assert.equal(code, 1, text);
      assert.ok(text.includes(`${deployment.current}`) && text.includes("No such file or directory") && text.includes("nothing changes"), text);
    }
    assert.equal((await runs()).app, deployment.release(6, "app"));
    assert.ok(!cluster.process.lines.slice(mark).some((line) => line.includes("-> dead")), cluster.process.tail());
  });
});
