// A process that a test started: its lines, its exit, and the proof that nothing of it is left behind. Every process
// gets a marker in its environment, which its children inherit; `left()` finds them in /proc, orphans too.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import { setTimeout as tick } from "node:timers/promises";

/// Resolves with the first value of `look()` that is not undefined, null or false; rejects after `deadlineMs`.
/// For states that can only be looked at (status, /proc): everything else is waited for as an event.
export async function until(look, what, deadlineMs = 10_000, everyMs = 25) {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const value = await look();
    if (value) return value;
    if (performance.now() > end) throw new Error(`${what}: not within ${deadlineMs} ms`);
    await tick(everyMs);
  }
}

/// Rejects if `promise` takes longer.
export function within(promise, what, deadlineMs = 10_000) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${deadlineMs} ms`)), deadlineMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export function alive(pid) {
  try {
    return !fs.readFileSync(`/proc/${pid}/stat`, "latin1").includes(") Z ");
  } catch {
    return false;
  }
}

export class Process {
  lines = [];
  exit = undefined; // {code, signal}
  #waiters = new Set();

  /// `output`: a descriptor that gets stdout and stderr, `stderr`: one for that alone; what goes there is not in `lines`.
  constructor(command, args, { env = {}, cwd = undefined, output = "pipe", stderr = output } = {}) {
    this.marker = `LIMPET_TEST_MARKER=${randomBytes(8).toString("hex")}`;
    const [name, value] = this.marker.split("=");
    this.command = [command, ...args].join(" ");
    this.child = spawn(command, args, { cwd, env: { ...process.env, ...env, [name]: value }, stdio: ["ignore", output, stderr] });
    this.exited = new Promise((resolve) => {
      this.child.on("error", (error) => resolve((this.exit = { code: -1, signal: null, error })));
      this.child.on("close", (code, signal) => resolve((this.exit = { code, signal })));
      this.child.on("exit", (code, signal) => (this.exit ??= { code, signal }));
    });
    this.exited.then(() => this.#wake());
    for (const stream of [this.child.stdout, this.child.stderr]) if (stream) this.#collect(stream);
  }

  get pid() {
    return this.child.pid;
  }

  #collect(stream) {
    let rest = "";
    stream.setEncoding("utf8").on("data", (text) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop();
      this.lines.push(...lines);
      this.#wake();
    });
  }

  #wake() {
    for (const waiter of [...this.#waiters]) waiter();
  }

  /// The match of the first line (of `from` and later) that fits `pattern`; rejects when the process ends before.
  line(pattern, { from = 0, deadlineMs = 15_000 } = {}) {
    let look;
    const found = new Promise((resolve, reject) => {
      let next = from;
      look = () => {
        for (; next < this.lines.length; next += 1) {
          const match = this.lines[next].match(pattern);
          if (match) return resolve(match);
        }
        if (this.exit) reject(new Error(`${this.command} ended (${JSON.stringify(this.exit)}) before ${pattern}\n${this.tail()}`));
      };
      this.#waiters.add(look);
      look();
    });
    return within(found, `a line like ${pattern}`, deadlineMs)
      .catch((error) => {
        throw new Error(`${error.message}\n${this.tail()}`);
      })
      .finally(() => this.#waiters.delete(look));
  }

  tail(count = 40) {
    return this.lines.slice(-count).join("\n");
  }

  signal(name) {
    if (!this.exit) process.kill(this.pid, name);
  }

  /// Pids of this process and its descendants that still run, orphans included; zombies are not counted.
  left() {
    return fs
      .readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => this.#isOurs(pid) && alive(pid));
  }

  #isOurs(pid) {
    try {
      return fs.readFileSync(`/proc/${pid}/environ`, "latin1").includes(this.marker);
    } catch {
      return false;
    }
  }

  /// The end, whatever state the test left it in: SIGKILL for everything that is left.
  async destroy() {
    for (const pid of this.left()) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It left by itself in between.
      }
    }
    await this.exited;
    await until(() => this.left().length === 0, "the end of all processes", 5_000);
  }
}

/// Runs to the end: {code, signal, lines}.
export async function run(command, args, options = {}) {
  const started = new Process(command, args, options);
  try {
    const exit = await within(started.exited, started.command, options.deadlineMs ?? 20_000);
    return { ...exit, lines: started.lines, text: started.lines.join("\n") };
  } finally {
    await started.destroy();
  }
}

/// What stands before a command that an ordinary user is to run: root becomes the one with that id.
export function asUser(id) {
  return process.getuid() === 0 ? ["setpriv", `--reuid=${id}`, `--regid=${id}`, "--clear-groups"] : [];
}

/// Pids, as text, of the ended children of a process whose status it has not taken.
export function zombiesOf(parent) {
  return fs
    .readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const [, state, ppid] = fs.readFileSync(`/proc/${pid}/stat`, "latin1").match(/\) (\S) (\d+)/);
        return state === "Z" && Number(ppid) === parent;
      } catch {
        return false;
      }
    });
}
