// The runtime directory belongs to one supervisor of one user: what others have put there is refused in words and nothing
// behind it changes; what was swept is made again; who ends removes what is its own.
import assert from "node:assert/strict";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { build, buildForEverybody } from "./build.mjs";
import { Cluster } from "./cluster.mjs";
import { asUser, run, within } from "./process.mjs";

const isRoot = process.getuid() === 0;
/// Root has /run/limpet: the fallback is that of an ordinary user.
const user = isRoot ? 61234 : process.getuid();

describe("a runtime directory that nobody named", () => {
  let directory;
  let runtime;
  beforeEach(() => {
    directory = buildForEverybody("limpet-runtime-");
    runtime = path.join(directory, "limpet-of-user", "limpet");
    fs.mkdirSync(path.dirname(runtime));
    fs.chmodSync(path.dirname(runtime), 0o777);
  });
  afterEach(() => fs.rmSync(directory, { recursive: true, force: true }));

  const limpet = (...words) => {
    const [command, ...rest] = [...asUser(user), path.join(directory, "limpet"), ...words];
    return run(command, rest, { env: { XDG_RUNTIME_DIR: path.dirname(runtime) }, cwd: directory, deadlineMs: 20_000 });
  };

  /// Neither `serve` nor `ctl` goes in.
  async function refused(why) {
    for (const words of [["serve", "./probe_app", "--listen", "tcp://127.0.0.1:0"], ["ctl", "status"]]) {
      const { code, text } = await limpet(...words);
      assert.equal(code, 1, text);
      assert.match(text, why);
      assert.ok(text.includes(runtime), text);
      assert.doesNotMatch(text, /serving/);
    }
  }

  /// A folder with a file of each name that the supervisor uses, and the proof that they stay as they are.
  function precious() {
    const folder = path.join(directory, "precious");
    fs.mkdirSync(folder);
    for (const name of ["lock", "control"]) fs.writeFileSync(path.join(folder, name), "dear to somebody");
    if (isRoot) for (const name of ["", "lock", "control"]) fs.chownSync(path.join(folder, name), user, user);
    return {
      folder,
      assertUnchanged() {
        assert.deepEqual(fs.readdirSync(folder).sort(), ["control", "lock"]);
        for (const name of ["lock", "control"]) assert.equal(fs.readFileSync(path.join(folder, name), "utf8"), "dear to somebody");
      },
    };
  }

  test("is refused if it is a symlink, and nothing behind it changes", async () => {
    const { folder, assertUnchanged } = precious();
    fs.symlinkSync(folder, runtime);
    await refused(/is a symlink; remove it, or name another with --runtime-dir/);
    assertUnchanged();
  });

  test("is refused if others can look into it", async () => {
    fs.mkdirSync(runtime);
    if (isRoot) fs.chownSync(runtime, user, user);
    fs.chmodSync(runtime, 0o750);
    await refused(/is open to others \(mode 0750; 0700 is right\)/);
    assert.deepEqual(fs.readdirSync(runtime), []);
  });

  test("is refused if it is a file", async () => {
    fs.writeFileSync(runtime, "dear to somebody");
    await refused(/is no directory/);
    assert.equal(fs.readFileSync(runtime, "utf8"), "dear to somebody");
  });

  // Who is not root can make nothing that belongs to another; there tests/supervisor/system/runtime_dir_test.cpp shows the rule.
  if (isRoot) {
    test("is refused if another user made it", async () => {
      fs.mkdirSync(runtime);
      fs.chownSync(runtime, user + 1, user + 1);
      fs.chmodSync(runtime, 0o777);
      await refused(new RegExp(`belongs to user ${user + 1}, this is user ${user}`));
      assert.deepEqual(fs.readdirSync(runtime), []);
    });
  }

  test("may have no lock that leads elsewhere, by a symlink or a second name", async () => {
    const { folder, assertUnchanged } = precious();
    fs.mkdirSync(runtime, { mode: 0o700 });
    if (isRoot) fs.chownSync(runtime, user, user);
    const lock = path.join(runtime, "lock");
    for (const [make, why] of [
      [fs.symlinkSync, /lock: is a symlink; remove it/],
      [fs.linkSync, /lock: is no lock file of ours .*nothing was written to it/],
    ]) {
      make(path.join(folder, "lock"), lock);
      const { code, text } = await limpet("serve", "./probe_app", "--listen", "tcp://127.0.0.1:0");
      assert.equal(code, 1, text);
      assert.match(text, why);
      fs.unlinkSync(lock);
    }
    assertUnchanged();
  });
});

describe("a runtime directory that was named", () => {
  let cluster;
  afterEach(() => cluster?.close());

  test("may be looked into by others, as systemd makes it, and be reached through a symlink", async () => {
    const place = fs.mkdtempSync(path.join(os.tmpdir(), "limpet-named-"));
    try {
      fs.mkdirSync(path.join(place, "shared"), { mode: 0o755 });
      fs.symlinkSync("shared", path.join(place, "run"));
      const words = ["serve", build("probe_app"), "--listen", "tcp://127.0.0.1:0", "--workers", "1", "--runtime-dir"];
      cluster = Object.assign(new Cluster(), { directory: place, runtime: path.join(place, "run"), workers: 1, limpet: build("limpet") });
      cluster.launchAs(cluster.limpet, [...words, "run"], { cwd: place, env: { PWD: place } });
      await cluster.ready();
      assert.equal((await cluster.status()).runtime_dir, cluster.runtime);
      fs.chmodSync(cluster.runtime, 0o777);
      const second = await run(build("limpet"), [...words, cluster.runtime]);
      assert.equal(second.code, 1, second.text);
      assert.match(second.text, /others may write there \(mode 0777/);
    } finally {
      await cluster?.close();
      cluster = undefined;
      fs.rmSync(place, { recursive: true, force: true });
    }
  });
});

/// One HTTP connection that stays.
class Connection {
  static async to(file) {
    const connection = new Connection();
    connection.socket = net.connect(file);
    await within(new Promise((resolve, reject) => connection.socket.once("connect", resolve).once("error", reject)), `a connection to ${file}`);
    return connection;
  }
  /// The answer's JSON.
  async who() {
    this.socket.write("GET /who HTTP/1.1\r\nHost: x\r\n\r\n");
    let text = "";
    await within(
      new Promise((resolve, reject) => {
        this.socket.once("close", () => reject(new Error(`closed after: ${text}`)));
        this.socket.on("data", (data) => (text += data).endsWith("}") && resolve());
      }),
      "an answer",
    );
    this.socket.removeAllListeners("data").removeAllListeners("close");
    return JSON.parse(text.slice(text.indexOf("{")));
  }
}

describe("a swept runtime directory", () => {
  let cluster;
  let file;
  beforeEach(async () => {
    file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "limpet-swept-")), "socket");
    cluster = await Cluster.start({ workers: 2, listen: ["tcp://127.0.0.1:0", `unix://${file}`] });
  });
  afterEach(async () => {
    await cluster.close();
    fs.rmSync(path.dirname(file), { recursive: true, force: true });
  });

  const sweep = () => {
    fs.rmSync(cluster.runtime, { recursive: true });
    for (const each of [file, `${file}.lock`]) fs.unlinkSync(each);
  };
  const socketFiles = () => fs.readdirSync(path.dirname(file));

  test("is made again at SIGHUP and told; who was connected stays connected; nothing is left at the end", async () => {
    const client = await Connection.to(file);
    const first = await client.who();
    sweep();
    assert.equal((await cluster.ctl("status")).code, 3);
    const mark = cluster.mark();
    cluster.process.signal("SIGHUP");
    for (const what of ["lock", "control"]) await cluster.line(new RegExp(`runtime directory .*/run: ${what}: was not there, and is made again`), { from: mark });
    await cluster.line(/listener: unix:.*\/socket: was swept, and is made again/, { from: mark });
    await cluster.line(/reload done/, { from: mark });
    assert.equal((await cluster.ctl("status")).code, 0);
    assert.notEqual((await client.who()).pid, first.pid, "the same connection, at the successor");
    client.socket.destroy();
    const late = await Connection.to(file);
    assert.ok((await late.who()).pid);
    late.socket.destroy();
    // An upgrade carries the new ones over.
    assert.equal((await cluster.ctl("upgrade")).code, 0);
    assert.equal((await cluster.ctl("status")).code, 0);
    const mark2 = cluster.mark();
    cluster.process.signal("SIGHUP");
    await cluster.line(/reload done/, { from: mark2 });
    assert.ok(!cluster.process.lines.slice(mark2).some((line) => /was swept|was not there/.test(line)), cluster.process.tail());
    await cluster.stop();
    assert.deepEqual(socketFiles(), []);
  });

  test("with a second supervisor in it is that one's: the first neither takes nor removes anything there", async () => {
    sweep();
    const second = Object.assign(new Cluster(), { directory: cluster.directory, runtime: cluster.runtime, workers: 1, limpet: cluster.limpet });
    second.launchAs(second.limpet, ["serve", build("probe_app"), "--listen", "tcp://127.0.0.1:0", "--listen", `unix://${file}`, "--workers", "1", "--runtime-dir", second.runtime], {});
    try {
      await second.ready();
      const mark = cluster.mark();
      cluster.process.signal("SIGHUP");
      await cluster.line(new RegExp(`runtime directory .*supervisor ${second.pid} runs here`), { from: mark });
      await cluster.line(new RegExp(`listener: .*cannot be made again: .*supervisor ${second.pid} serves it`), { from: mark });
      await cluster.line(/reload done/, { from: mark });
      cluster.process.signal("SIGTERM");
      assert.equal((await within(cluster.process.exited, "the end of the first", 20_000)).code, 0);
      assert.equal((await second.status()).pid, second.pid);
      assert.deepEqual(socketFiles(), ["socket", "socket.lock"]);
      const client = await Connection.to(file);
      assert.ok((await client.who()).pid);
      client.socket.destroy();
      await second.stop();
      assert.deepEqual(socketFiles(), []);
    } finally {
      await second.process.destroy();
    }
  });
});
