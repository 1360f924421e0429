// One `limpet serve` in a runtime directory of its own, on ports that were free, with what is asked of it through
// `limpet ctl`. `close()` is for every test's end: it stops the cluster and proves that nothing is left of it.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { request } from "../client/raw.mjs";
import { build, limpetToml } from "./build.mjs";
import { Process, run, until, within } from "./process.mjs";

/// Short drains and probations: a test's clients come back at once anyway.
const quick = { "reload.drain_window": "200ms", "reload.drain_deadline": "5s", "reload.probation": "100ms" };

export class Cluster {
  /// `settings`: see limpetToml. `listen`: addresses, port 0 for a free one. `limpet`: another binary, by its path. `through`:
  /// what stands before `limpet serve` in the command. `output`: a descriptor that gets its stdout and stderr (then `ready` is
  /// not for lines to tell); `stderr`: one for that alone. `defaults`: what `settings` leaves out has Limpet's own defaults,
  /// the long drains and probations too.
  static async start({
    app = "probe_app",
    limpet = "limpet",
    workers = 4,
    settings = {},
    listen = ["tcp://127.0.0.1:0"],
    through = [],
    output = "pipe",
    stderr = output,
    ready = true,
    defaults = false,
  } = {}) {
    const cluster = new Cluster();
    cluster.directory = fs.mkdtempSync(path.join(os.tmpdir(), "limpet-system-"));
    cluster.runtime = path.join(cluster.directory, "run");
    cluster.configuration = path.join(cluster.directory, "limpet.toml");
    cluster.workers = workers;
    cluster.limpet = build(limpet);
    cluster.write(defaults ? settings : { ...quick, ...settings });
    cluster.launch({ app, listen, through, output, stderr });
    try {
      if (ready) await cluster.ready();
    } catch (error) {
      await cluster.destroy();
      throw error;
    }
    return cluster;
  }

  /// A cluster that another process has started, to be asked from here: with that one's fields, but its `process`.
  static at(fields) {
    return Object.assign(new Cluster(), { limpet: build("limpet") }, fields);
  }

  write(settings) {
    fs.writeFileSync(this.configuration, limpetToml(settings));
  }

  launch({ app, listen, through = [], output = "pipe", stderr = output }) {
    const flags = listen.flatMap((address) => ["--listen", address]);
    const args = ["serve", build(app), "-c", this.configuration, ...flags, "--workers", String(this.workers), "--runtime-dir", this.runtime];
    const [command, ...words] = [...through, this.limpet, ...args];
    this.launchAs(command, words, { output, stderr });
  }

  /// In the words of a test; `options` as those of Process.
  launchAs(command, words, options) {
    this.process = new Process(command, words, options);
  }

  /// Every slot serves; the ports are known.
  async ready() {
    const [, addresses] = await this.process.line(/^limpet: serving on (.*) with \d+ workers?$/);
    this.#servesOn(addresses.split(/[ ,]+/));
  }

  /// The same for one whose lines nobody sees.
  async readyUnseen() {
    await until(async () => (await this.ctl("status")).code === 0, "an answer of the supervisor", 15_000, 100);
    this.#servesOn((await this.allServe()).listeners);
  }

  #servesOn(addresses) {
    this.ports = addresses.map((address) => Number(address.slice(address.lastIndexOf(":") + 1)));
    this.port = this.ports[0];
    this.url = `http://127.0.0.1:${this.port}`;
  }

  get pid() {
    return this.process.pid;
  }

  /// {code, text, lines}
  ctl(...words) {
    return run(this.limpet, ["ctl", "--runtime-dir", this.runtime, ...words], { deadlineMs: 60_000 });
  }

  async #json(verb) {
    const answer = await this.ctl(verb, "--json");
    assert.equal(answer.code, 0, answer.text);
    return JSON.parse(answer.text);
  }

  status() {
    return this.#json("status");
  }

  /// {name: {total, by_slot}}
  async stats() {
    const { counters } = await this.#json("stats");
    return Object.fromEntries(counters.map((counter) => [counter.name, counter]));
  }

  /// The status, once `look(status)` is true.
  until(look, what, deadlineMs = 15_000) {
    return until(
      async () => {
        const status = await this.status();
        return look(status) && status;
      },
      what,
      deadlineMs,
      100,
    ).catch((error) => {
      throw new Error(`${error.message}\n${this.process.tail()}`);
    });
  }

  /// Every slot has one worker, which serves; with `after`, none is of these generations.
  allServe({ after = [] } = {}) {
    const good = (slot) => slot.state === "serving" && slot.workers.length === 1 && slot.workers[0].seated && !after.includes(slot.workers[0].generation);
    return this.until((status) => status.slots.length === this.workers && status.slots.every(good), "every slot serves", 30_000);
  }

  async seated() {
    return (await this.status()).slots.map((slot) => slot.workers.find((worker) => worker.seated));
  }

  /// {slot, generation, pid, address} of the worker that answers that client address.
  async who(from, { host = "127.0.0.1", port = this.port } = {}) {
    return JSON.parse((await request(port, { path: "/who", from, host })).body);
  }

  /// One line of the log; `mark()` says where to begin.
  mark() {
    return this.process.lines.length;
  }
  line(pattern, options) {
    return this.process.line(pattern, options);
  }

  /// SIGTERM, and everything is over: exit code 0, no process, nothing in the runtime directory.
  async stop() {
    this.process.signal("SIGTERM");
    const exit = await within(this.process.exited, "the end of limpet serve", 20_000);
    assert.deepEqual({ code: exit.code, signal: exit.signal }, { code: 0, signal: null }, this.process.tail());
    this.assertNothingLeft();
  }

  assertNothingLeft() {
    assert.deepEqual(this.process.left(), [], "processes are left");
    const files = fs.existsSync(this.runtime) ? fs.readdirSync(this.runtime) : [];
    assert.deepEqual(files, [], "files are left in the runtime directory");
  }

  async destroy() {
    await this.process.destroy();
    fs.rmSync(this.directory, { recursive: true, force: true });
  }

  /// For `after`: an orderly end, or the reason why there is none.
  async close() {
    try {
      if (!this.process.exit) await this.stop();
    } finally {
      await this.destroy();
    }
  }
}

/// `count` addresses of 127.0.0.0/8, all different; `net` (1 to 255) keeps the sets of one test apart.
export function addresses(count, net = 1) {
  return Array.from({ length: count }, (_, i) => `127.${net}.${Math.floor(i / 250)}.${(i % 250) + 1}`);
}
