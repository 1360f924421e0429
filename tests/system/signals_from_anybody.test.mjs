// Signals from anybody: to a worker alone, to all processes in any order, of a kind that nobody meant (docs/operations.md,
// "How it may be started"). Nobody who is connected notices, or all are drained, as the supervisor says.
import assert from "node:assert/strict";
import fs from "node:fs";
import { afterEach, describe, test } from "node:test";
import { Cluster, addresses } from "./cluster.mjs";
import { Fleet } from "./fleet.mjs";
import { until, within, zombiesOf } from "./process.mjs";

/// The signals that /proc says of a process: SigCgt, SigIgn, SigBlk, as a set of numbers.
function signalsOf(pid, which) {
  const [, hex] = fs.readFileSync(`/proc/${pid}/status`, "latin1").match(new RegExp(`${which}:\\s+([0-9a-f]+)`));
  const bits = BigInt(`0x${hex}`);
  return Array.from({ length: 64 }, (_, i) => i + 1).filter((number) => (bits >> BigInt(number - 1)) & 1n);
}

const kHup = 1;
const kUsr1 = 10;
const kPipe = 13;
const kTtou = 22;

describe("signals from anybody", () => {
  let cluster;
  let fleet;
  afterEach(async () => {
    fleet?.leave();
    await cluster?.destroy();
    [cluster, fleet] = [];
  });

  async function start(settings = {}, options = {}) {
    cluster = await Cluster.start({ workers: 2, settings, ...options });
    fleet = await Fleet.connect(cluster.url, addresses(12, 48));
  }
  /// What each client will be closed with, if by a close frame; undefined for one that polls.
  const closeCodes = () => fleet.members.map(({ socket }) => new Promise((resolve) => socket.once("disconnect", (_, details) => resolve(details?.context?.code))));
  const pids = async () => (await cluster.seated()).map(({ pid }) => pid);
  const kill = (pid, signal) => process.kill(pid, signal);

  test("SIGTERM to one worker: its sessions move to another, and nobody notices", { timeout: 60_000 }, async () => {
    await start();
    const before = await cluster.seated();
    const mark = cluster.mark();
    kill(before[0].pid, "SIGTERM");
    await cluster.line(/replacement done: 1 workers replaced; \d+ sessions moved, 0 drained/, { from: mark });
    const now = await cluster.seated();
    assert.notEqual(now[0].pid, before[0].pid);
    assert.equal(now[1].pid, before[1].pid);
    await fleet.chat(2);
    fleet.assertNobodyNoticed();
    assert.equal((await cluster.stats()).workers_left.total, 1);
  });

  test("SIGTERM to both workers, again and again, while a reload is under way: one after the other is replaced", { timeout: 60_000 }, async () => {
    await start();
    const [{ generation }] = await cluster.seated();
    const mark = cluster.mark();
    const reload = cluster.ctl("reload");
    for (const pid of await pids()) for (let i = 0; i < 5; i += 1) kill(pid, "SIGTERM");
    assert.equal((await reload).code, 0);
    await until(async () => (await cluster.status()).operation === "", "no operation", 30_000);
    await cluster.allServe({ after: [generation] });
    await fleet.chat(2);
    fleet.assertNobodyNoticed();
    assert.deepEqual(cluster.process.lines.slice(mark).filter((line) => /died|killed/.test(line)), []);
  });

  for (const [who, order] of [
    ["the supervisor first", ([supervisor, ...workers]) => [supervisor, ...workers]],
    ["the workers first", ([supervisor, ...workers]) => [...workers, supervisor]],
  ]) {
    test(`SIGTERM to all, ${who}: everybody is drained over the window`, { timeout: 60_000 }, async () => {
      await start({ "reload.drain_window": "2s", "reload.drain_deadline": "10s" });
      const codes = closeCodes();
      const begun = performance.now();
      for (const pid of order([cluster.pid, ...(await pids())])) kill(pid, "SIGTERM");
      const exit = await within(cluster.process.exited, "the end", 15_000);
      assert.equal(exit.code, 0);
      const websockets = (await Promise.all(codes)).filter((code) => typeof code === "number");
      assert.ok(websockets.length > 0);
      assert.deepEqual(websockets.filter((code) => code !== 1012), [], "who is cut off without a close frame sees 1006");
      assert.ok(performance.now() - begun > 1_000, "they were not spread");
      cluster.assertNothingLeft();
    });
  }

  test("SIGTERM to a worker whose supervisor is stopped: it drains by itself, and another follows", { timeout: 60_000 }, async () => {
    await start();
    const slots = await fleet.slots();
    const theirs = fleet.members.filter((_, i) => slots[i] === 0);
    const [{ pid }] = await cluster.seated();
    const mark = cluster.mark();
    kill(cluster.pid, "SIGSTOP");
    try {
      kill(pid, "SIGTERM");
      await cluster.line(/SIGTERM: the supervisor does not answer; draining/, { from: mark });
    } finally {
      kill(cluster.pid, "SIGCONT");
    }
    await cluster.line(new RegExp(`pid ${pid}: left: exit status 0`), { from: mark });
    await cluster.allServe();
    await fleet.connected(2, theirs); // who is away hears nothing
    await fleet.chat(2);
    assert.deepEqual(cluster.process.lines.slice(mark).filter((line) => /died|killed/.test(line)), []);
  });

  test("HUP, USR1, USR2, QUIT, TTIN, TTOU, INT, PIPE and WINCH to the workers mean nothing", { timeout: 60_000 }, async () => {
    await start();
    const before = await pids();
    for (const pid of before) for (const signal of ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGTTIN", "SIGTTOU", "SIGINT", "SIGPIPE", "SIGWINCH"]) kill(pid, signal);
    await fleet.chat(2);
    assert.deepEqual(await pids(), before);
    for (const pid of before) {
      assert.ok(signalsOf(pid, "SigCgt").includes(kHup), "caught");
      assert.deepEqual(signalsOf(pid, "SigIgn"), [kTtou], "what is ignored is handed on to every program that the application starts");
      assert.deepEqual(signalsOf(pid, "SigBlk"), []);
    }
    fleet.assertNobodyNoticed();
  });

  test("HUP to all processes is one reload", { timeout: 60_000 }, async () => {
    await start();
    const mark = cluster.mark();
    for (const pid of [cluster.pid, ...(await pids())]) kill(pid, "SIGHUP");
    await cluster.line(/reload done: 2 workers replaced/, { from: mark });
    await fleet.chat(2);
    fleet.assertNobodyNoticed();
  });

  test("USR1 to the supervisor says that there is nothing to open again", { timeout: 30_000 }, async () => {
    await start();
    const mark = cluster.mark();
    cluster.process.signal("SIGUSR1");
    await cluster.line(/supervisor: signal USR1/, { from: mark });
    await cluster.line(/nothing is open that could be opened again/, { from: mark });
    await fleet.chat(1);
    fleet.assertNobodyNoticed();
  });

  test("SIGINT twice at once is one stop", { timeout: 30_000 }, async () => {
    await start({ "reload.drain_window": "1s" });
    const codes = closeCodes();
    cluster.process.signal("SIGINT");
    cluster.process.signal("SIGINT");
    assert.equal((await within(cluster.process.exited, "the end", 15_000)).code, 0);
    assert.deepEqual((await Promise.all(codes)).filter((code) => typeof code === "number" && code !== 1012), []);
  });

  // What a shell, a service manager or another server may hand on.
  for (const [what, through] of [
    ["SIGCHLD, SIGHUP and SIGPIPE ignored", ["env", "--ignore-signal=CHLD,HUP,PIPE"]],
    ["all signals blocked", ["env", "--block-signal"]],
    ["SIGTERM ignored", ["env", "--ignore-signal=TERM"]],
  ]) {
    test(`started with ${what}: serves, reloads, replaces who dies, stops`, { timeout: 60_000 }, async () => {
      await start({}, { through });
      assert.ok(signalsOf(cluster.pid, "SigCgt").includes(kUsr1));
      assert.deepEqual(signalsOf(cluster.pid, "SigIgn"), []);
      assert.deepEqual(signalsOf(cluster.pid, "SigBlk"), [kTtou]);
      const mark = cluster.mark();
      cluster.process.signal("SIGHUP");
      await cluster.line(/reload done/, { from: mark });
      fleet.assertNobodyNoticed();
      kill((await pids())[0], "SIGKILL");
      await cluster.line(/died: signal 9/, { from: mark });
      await cluster.allServe();
      assert.ok(!signalsOf((await pids())[0], "SigIgn").includes(kPipe));
      cluster.process.signal("SIGTERM");
      assert.equal((await within(cluster.process.exited, "the end", 15_000)).code, 0);
      cluster.assertNothingLeft();
    });
  }

  test("children that a shell had started before it became limpet are reaped", { timeout: 60_000 }, async () => {
    await start({}, { through: ["sh", "-c", 'true & true & true & exec "$0" "$@"'] });
    await until(() => zombiesOf(cluster.pid).length === 0, "no zombie", 10_000);
    assert.equal((await cluster.ctl("reload")).code, 0);
    await until(() => zombiesOf(cluster.pid).length === 0, "no zombie", 10_000);
  });
});
