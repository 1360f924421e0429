// The stage of an attack: two workers with their defaults, 20 official clients that chat with each other from both workers,
// the attacker in a process of its own, and what all of that looks like before and after.
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { request } from "../client/raw.mjs";
import { Cluster, addresses } from "../system/cluster.mjs";
import { Process, until, within } from "../system/process.mjs";
import { Crowd } from "./crowd.mjs";
import { kAttacks } from "./table.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const kMiB = 1024 * 1024;
const kTurnUs = 10_000;
const kGrowthMiB = 32; // 10 s after the attack
const kBystanders = 20;

const status = (pid, field) => Number(fs.readFileSync(`/proc/${pid}/status`, "latin1").match(new RegExp(`^${field}:\\s+(\\d+) kB`, "m"))[1]) / 1024;
/// µs that a process and its ended threads have had.
const cpuOf = (pid) => Number(fs.readFileSync(`/proc/${pid}/schedstat`, "latin1").split(" ")[0]) / 1_000;
const sum = (numbers) => numbers.reduce((all, each) => all + each, 0);

/// Of live processes; those that have gone meanwhile count nothing.
export function measured(pids) {
  const all = pids.flatMap((pid) => {
    try {
      return [{ rss: status(pid, "VmRSS"), peak: status(pid, "VmHWM"), cpu: cpuOf(pid) }];
    } catch {
      return [];
    }
  });
  return { rss: Math.max(0, ...all.map(({ rss }) => rss)), peak: Math.max(0, ...all.map(({ peak }) => peak)), cpu: sum(all.map(({ cpu }) => cpu)), alive: all.length };
}

/// The peaks of memory begin anew.
function forgetPeaks(pids) {
  for (const pid of pids) fs.writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

/// The attack of a row to its end, in a process of its own, with `through` before its command: {result} or {problem}.
export async function attack({ group, number, seconds = 60 }, fields, through = []) {
  const [command, ...args] = [...through, process.execPath, path.join(here, "attacker.mjs"), group, String(number), JSON.stringify(fields)];
  const attacker = new Process(command, args);
  try {
    await within(attacker.exited, "the attack's end", seconds * 1_000);
    const line = attacker.lines.find((each) => each.startsWith("result: "));
    return line ? { result: JSON.parse(line.slice(8)) } : { problem: `the attack failed: ${attacker.tail(8)}` };
  } catch (error) {
    return { problem: error.message };
  } finally {
    await attacker.destroy();
  }
}

/// Files of a chat's web page, as large as the attacks want them.
export function pages(directory) {
  fs.mkdirSync(directory);
  fs.copyFileSync(path.join(here, "../../examples/chat/public/index.html"), path.join(directory, "index.html"));
  for (const [name, size] of [["64KB", 65_536], ["1MB", 1_000_000], ["16MB", 16 * kMiB]]) fs.writeFileSync(path.join(directory, name), Buffer.alloc(size, "x"));
  return directory;
}

/// A pipe that is full and that nobody reads: {descriptor, fill, close}.
function unreadPipe(file) {
  execFileSync("mkfifo", [file]);
  const { O_RDONLY, O_WRONLY, O_NONBLOCK } = fs.constants;
  const reader = fs.openSync(file, O_RDONLY | O_NONBLOCK);
  const descriptor = fs.openSync(file, O_WRONLY); // a description of its own: this one may block
  const writer = fs.openSync(file, O_WRONLY | O_NONBLOCK);
  const write = (junk) => {
    try {
      for (;;) fs.writeSync(writer, junk);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  };
  const fill = () => [4_096, 1].forEach((bytes) => write(Buffer.alloc(bytes, "x")));
  return { descriptor, fill, close: () => [reader, descriptor, writer].forEach((each) => fs.closeSync(each)) };
}

/// {name, group, number, ...} of every attack; of those of a group; or those with the words in their name.
export const attacksOf = (groups = Object.keys(kAttacks), words = "") => groups.flatMap((group) => kAttacks[group].map((row, number) => ({ ...row, group, number }))).filter(({ name }) => name.includes(words));

class Stage {
  constructor(row, { server = [], attacker = [] }) {
    Object.assign(this, { row, through: { server, attacker } });
    this.problems = [];
    this.tooMuchCpu = []; // problems that other work on the machine may cause as well
  }

  async open() {
    const { app = "probe_app", settings = {}, transports, unread } = this.row;
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), "limpet-attack-"));
    const ours = app === "chat" ? { "app.public": pages(path.join(this.directory, "public")) } : {};
    this.pipe = unread && unreadPipe(path.join(this.directory, "stderr"));
    this.cluster = await Cluster.start({ app, workers: 2, settings: { ...settings, ...ours }, defaults: true, stderr: this.pipe?.descriptor, through: this.through.server });
    this.crowd = await Crowd.connect(this.cluster.url, addresses(kBystanders), transports);
    await this.#warm();
    this.workers = await this.cluster.seated();
    this.pids = this.workers.map(({ pid }) => pid);
    if (this.workers.some(({ sessions }) => sessions === 0)) throw new Error("the bystanders are not spread over both workers");
    this.accounted = await this.#quietBytes();
    this.stats = await this.cluster.stats();
    if (this.accounted === 0) this.problems.push("memory_accounted is 0 with 20 clients");
  }

  /// What a worker allocates once, it has.
  async #warm() {
    for (const from of addresses(20, 5)) await request(this.cluster.port, { path: "/worker", from });
    this.crowd.start();
    await until(() => this.crowd.heard >= 19 * 20, "20 lines", 20_000);
    await this.crowd.stop();
  }

  /// memory_accounted with nothing under way: the least of what it says while everybody is quiet.
  async #quietBytes() {
    const said = [];
    for (let i = 0; i < 3; i += 1) said.push((await this.cluster.stats()).memory_accounted.total);
    return Math.min(...said);
  }

  /// `beside(crowd, cluster)`: what else looks at them while the attack runs; its result's `stop()` ends that.
  async run(beside) {
    this.crowd.start();
    this.calm = await this.#calmCpu();
    forgetPeaks(this.pids);
    this.before = measured(this.pids);
    this.pipe?.fill();
    const watching = beside?.(this.crowd, this.cluster);
    const begun = performance.now();
    const { port, runtime, configuration, workers } = this.cluster;
    const { result, problem } = await attack(this.row, { port, runtime, configuration, workers }, this.through.attacker);
    this.seconds = (performance.now() - begun) / 1_000;
    this.during = measured(this.pids);
    this.result = result;
    if (problem) this.problems.push(problem);
    await this.crowd.stop();
    this.watched = await watching?.stop();
  }

  /// CPU of both workers in a second in which the bystanders chat and nobody attacks.
  async #calmCpu() {
    if (!this.row.cpu) return 0;
    const [begun, cpu, lines] = [performance.now(), measured(this.pids).cpu, this.crowd.said];
    await until(() => this.crowd.said >= lines + 40, "40 lines", 10_000);
    return (measured(this.pids).cpu - cpu) / ((performance.now() - begun) / 1_000);
  }

  async judge() {
    const asked = await Promise.all([this.cluster.stats(), this.cluster.status()]).catch((error) => this.problems.push(`ctl: ${error.message}`));
    if (!Array.isArray(asked)) return;
    const [stats, { slots }] = asked;
    const moved = (counter) => (stats[counter]?.total ?? 0) - (this.stats[counter]?.total ?? 0);
    this.moved = moved;
    this.#judgeWorkers(slots, moved);
    this.#judgeFigures(stats);
    this.problems.push(...this.crowd.complaints());
    for (const [counter, least] of Object.entries(this.row.moves ?? {})) {
      if (moved(counter) < least) this.problems.push(`${counter} grew by ${moved(counter)}, not by ${least}`);
    }
    const wrong = this.result && this.row.right?.(this.result, { moved, cluster: this.cluster });
    if (wrong) this.problems.push(wrong);
    await this.#judgeRemains();
  }

  #judgeWorkers(slots, moved) {
    const deaths = Object.keys(this.stats).filter((name) => name.startsWith("deaths_"));
    const died = deaths.filter((name) => moved(name) > 0);
    this.died = died.length > 0;
    if (this.died) this.problems.push(`workers died: ${died.map((name) => `${name} ${moved(name)}`).join(", ")}`, ...this.cluster.process.lines.filter((line) => /: died:|hung/.test(line)).slice(0, 3));
    if (this.row.replaces) return;
    if (moved("workers_started") > 0) this.problems.push(`${moved("workers_started")} workers were started`);
    const names = (workers) => workers.map(({ pid, generation }) => `${pid} of generation ${generation}`).join(", ");
    const [before, now] = [names(this.workers), names(slots.map(({ workers }) => workers.find(({ seated }) => seated) ?? {}))];
    if (before !== now) this.problems.push(`other workers: before ${before}; now ${now}`);
  }

  #judgeFigures(stats) {
    const { rssMiB, replaces, cpu, turnUs = kTurnUs } = this.row;
    this.turnUs = stats.longest_turn.total;
    this.cpuMs = Math.max(0, this.during.cpu - this.before.cpu - this.calm * this.seconds) / 1_000;
    this.grewMiB = Math.max(0, this.during.peak - this.before.rss);
    if (this.turnUs === 0) this.problems.push("longest_turn is 0: nobody measures it");
    if (this.turnUs > turnUs) this.tooMuchCpu.push(`the longest turn took ${this.turnUs} µs of CPU, not ${turnUs}`);
    if (rssMiB !== undefined && this.grewMiB > rssMiB) this.problems.push(`a worker's memory grew by ${this.grewMiB.toFixed(0)} MiB, not ${rssMiB}`);
    if (cpu && !replaces && (this.cpuMs * 1_000) / cpu.elements > cpu.each) this.tooMuchCpu.push(`each of ${cpu.elements} elements cost ${((this.cpuMs * 1_000) / cpu.elements).toFixed(1)} µs of CPU, not ${cpu.each.toFixed(1)}`);
  }

  /// Nothing of the attack is left in memory some seconds later.
  async #judgeRemains() {
    const now = () => this.cluster.seated().then((workers) => measured(workers.flatMap((worker) => worker?.pid ?? [])).rss);
    const deadline = (this.row.afterSeconds ?? 10) * 1_000;
    await until(async () => (await now()) <= this.before.rss + kGrowthMiB, "memory", deadline).catch(async () => this.problems.push(`afterwards a worker has ${((await now()) - this.before.rss).toFixed(0)} MiB more than before`));
    if (this.row.keepsSessions) return;
    const accounted = async () => (await this.cluster.stats()).memory_accounted.total;
    const most = this.accounted + 64 * 1024; // polls come and go
    await until(async () => (await accounted()) <= most, "bytes", deadline, 200).catch(async () => this.problems.push(`memory_accounted was ${this.accounted} and is ${await accounted()}`));
  }

  async close() {
    this.crowd?.leave();
    // Else the workers would drain for drain_window the sessions that are just ending; those of an attack may stay.
    const empty = async () => (await this.cluster.stats()).sessions_open.total === 0;
    if (this.cluster && !this.cluster.process.exit) await within(until(empty, "no session is left", 3_000), "no session is left", 4_000).catch(() => {});
    try {
      await this.cluster?.close();
    } catch (error) {
      this.problems.push(`the end: ${error.message.split("\n")[0]}`);
    } finally {
      this.pipe?.close();
      if (this.directory) fs.rmSync(this.directory, { recursive: true, force: true });
    }
  }
}

/// One attack on a cluster of its own. {problems, tooMuchCpu, seconds, cpuMs, turnUs, grewMiB, crowd, watched}: problems are words,
/// none if all is right; `watched` is what `beside` gave.
export async function underAttack(row, beside, through = {}) {
  const stage = new Stage(row, through);
  try {
    await stage.open();
    await stage.run(beside);
    await stage.judge();
  } catch (error) {
    stage.problems.push(error.message.split("\n").slice(0, 3).join(" | "));
  } finally {
    await stage.close();
  }
  return stage;
}
