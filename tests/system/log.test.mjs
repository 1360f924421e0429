// A log never holds anything up: whoever has stderr and stdout of a cluster, and does not read them.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { Cluster, addresses } from "./cluster.mjs";
import { Fleet } from "./fleet.mjs";
import { until } from "./process.mjs";

/// A pipe whose reader is this test, if it likes.
class Pipe {
  constructor() {
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), "limpet-log-"));
    const name = path.join(this.directory, "pipe");
    execFileSync("mkfifo", [name]);
    this.own = fs.openSync(name, fs.constants.O_RDWR | fs.constants.O_NONBLOCK);
    // A description of its own, which blocks: as a shell makes it.
    this.theirs = fs.openSync(name, fs.constants.O_WRONLY);
  }

  /// Until not one byte more fits.
  fill() {
    for (let size = 4096; size >= 1; ) {
      try {
        fs.writeSync(this.own, "#".repeat(size));
      } catch (error) {
        assert.equal(error.code, "EAGAIN");
        size = Math.floor(size / 2);
      }
    }
  }

  /// What has come by now.
  take() {
    let text = "";
    const buffer = Buffer.alloc(65536);
    for (;;) {
      try {
        text += buffer.toString("utf8", 0, fs.readSync(this.own, buffer));
      } catch (error) {
        assert.equal(error.code, "EAGAIN");
        return text;
      }
    }
  }

  close() {
    fs.closeSync(this.own);
    fs.closeSync(this.theirs);
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

const dropped = /^limpet\[(\d+)\] (?:slot \d+ gen \d+ )?warning: log: (\d+) lines of this log were dropped: nobody took them$/gm;
const exceptions = async (cluster) => (await cluster.stats()).handler_exceptions.total;

/// Each member's handler throws `times` times; done when the workers have counted it.
async function throwing(cluster, fleet, times) {
  const before = await exceptions(cluster);
  for (const { socket } of fleet.members) for (let i = 0; i < times; i += 1) socket.emit("throw");
  const all = before + times * fleet.members.length;
  await until(async () => (await exceptions(cluster)) === all, `${all} exceptions`);
}

describe("stderr and stdout are a pipe that nobody reads", () => {
  const pipe = new Pipe();
  let cluster;
  let fleet;
  before(async () => {
    pipe.fill();
    cluster = await Cluster.start({ workers: 2, output: pipe.theirs, ready: false });
    await cluster.readyUnseen();
    fleet = await Fleet.connect(cluster.url, addresses(24, 61));
  });
  after(async () => {
    fleet?.leave();
    try {
      await cluster?.destroy();
    } finally {
      pipe.close();
    }
  });

  test("handlers that throw, chat, status and stats go on, and what is dropped is counted", async () => {
    await throwing(cluster, fleet, 50);
    await fleet.chat(5);
    const { log_lines_dropped } = await cluster.stats();
    // Left out by the limit, or not taken.
    assert.ok(log_lines_dropped.total >= 400, JSON.stringify(log_lines_dropped));
    assert.ok(log_lines_dropped.by_slot.every((count) => count > 0), JSON.stringify(log_lines_dropped));
    for (const pid of [cluster.pid, ...(await cluster.seated()).map((worker) => worker.pid)]) {
      const [, flags] = fs.readFileSync(`/proc/${pid}/fdinfo/2`, "utf8").match(/flags:\s+(\d+)/);
      assert.equal(Number.parseInt(flags, 8) & fs.constants.O_NONBLOCK, 0, "what a shell shares blocks as before");
    }
    assert.match(pipe.take(), /^#+$/, "nothing came between");
  });

  test("when it is read again each process tells how many lines it has lost", async () => {
    const pids = [cluster.pid, ...(await cluster.seated()).map((worker) => worker.pid)];
    let text = "";
    let told = [];
    await until(async () => {
      for (const { socket } of fleet.members) socket.emit("throw");
      await cluster.ctl("scale", "256"); // is refused, which the supervisor logs
      text += pipe.take();
      told = [...text.matchAll(dropped)];
      return pids.every((pid) => told.some((line) => Number(line[1]) === pid));
    }, "a line of each process").catch((error) => assert.fail(`${error.message}:\n${text}`));
    assert.ok(told.every((line) => Number(line[2]) > 0));
    assert.equal(told.length, pids.length, `once each:\n${text}`);
    for (const line of text.trimEnd().split("\n")) assert.match(line, /^limpet\[\d+\] /, "a whole line");
  });

  test("nor does a full pipe hold up a reload", async () => {
    pipe.fill();
    const before = (await cluster.seated()).map((worker) => worker.generation);
    const reloaded = await cluster.ctl("reload");
    assert.equal(reloaded.code, 0, reloaded.text);
    await cluster.allServe({ after: before });
    await fleet.chat(5);
    fleet.assertNobodyDisconnected();
  });

  test("nor an upgrade", async () => {
    const upgraded = await cluster.ctl("upgrade");
    assert.equal(upgraded.code, 0, upgraded.text);
    await fleet.chat(5);
    fleet.assertNobodyDisconnected();
  });

  test("nor the end: TERM is heard", async () => {
    await throwing(cluster, fleet, 10);
    fleet.leave();
    await cluster.stop();
    assert.match(pipe.take(), /^#+$/, "nothing came between");
  });
});

for (const [what, redirection] of [["closed", "2>&-"], ["a full device", "2>/dev/full"]]) {
  describe(`stderr is ${what}`, () => {
    let cluster;
    let fleet;
    before(async () => {
      cluster = await Cluster.start({ workers: 2, through: ["sh", "-c", `exec "$@" ${redirection}`, "sh"] });
      fleet = await Fleet.connect(cluster.url, addresses(4, 62));
    });
    after(async () => {
      fleet?.leave();
      await cluster?.close();
    });

    test("every line is dropped and counted, and all goes on", async () => {
      await throwing(cluster, fleet, 5);
      await fleet.chat(5);
      assert.ok((await cluster.stats()).log_lines_dropped.total >= 20);
      assert.match(fs.readlinkSync(`/proc/${cluster.pid}/fd/2`), /^\/dev\/(null|full)$/, "no file of ours has its number");
      const reloaded = await cluster.ctl("reload");
      assert.equal(reloaded.code, 0, reloaded.text);
      fleet.assertNobodyDisconnected();
    });
  });
}

test("what the limit has left out is told at the end", async () => {
  const cluster = await Cluster.start({ workers: 1 });
  let fleet;
  try {
    fleet = await Fleet.connect(cluster.url, addresses(4, 63));
    await throwing(cluster, fleet, 50);
    const ids = fleet.members.map((member) => member.socket.id);
    fleet.leave();
    await cluster.stop();
    const thrown = cluster.process.lines.filter((line) => line.includes("handler of throw"));
    for (const line of thrown) {
      const [, id] = line.match(/warning: handler of throw, client (\S+): a handler's mistake/);
      assert.ok(ids.includes(id), line);
    }
    const said = (pattern) => cluster.process.lines.map((line) => Number(line.match(pattern)?.[1] ?? 0)).reduce((sum, count) => sum + count, 0);
    const before = said(/ \((\d+) lines like this one were left out before it\)$/);
    const end = said(/ slot 0 gen \d+ warning: log: (\d+) lines were left out at the end/);
    assert.ok(end > 0, cluster.process.tail());
    assert.equal(thrown.length + before + end, 200);
  } finally {
    fleet?.leave();
    await cluster.destroy();
  }
});
