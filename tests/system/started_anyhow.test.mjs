// Inputs from public bug trackers of other servers: how a server was started, signalled, reloaded and stopped there, and
// broke. The thread is beside each row.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { afterEach, describe, test } from "node:test";
import WebSocket from "ws";
import { Wire, request } from "../client/raw.mjs";
import { build, buildForEverybody } from "./build.mjs";
import { Cluster } from "./cluster.mjs";
import { Process, asUser, run, until, within } from "./process.mjs";

let cluster;

/// A stop that waits for a silent client takes that long, and no test waits for it.
const patient = { "reload.drain_deadline": "30s", "limits.header_timeout": "30s" };

async function start(options = {}) {
  cluster = await Cluster.start({ workers: 2, ...options });
  return cluster;
}

/// Through a shell that does `words` before it becomes limpet.
const after = (words) => ({ through: ["bash", "-c", `${words}\nexec "$@"`, "bash"] });

/// WebSocket sessions, and the codes with which they are closed.
async function sessions(count) {
  const sockets = Array.from({ length: count }, () => new WebSocket(`ws://127.0.0.1:${cluster.port}/socket.io/?EIO=4&transport=websocket`));
  const codes = sockets.map((socket) => new Promise((resolve) => socket.on("close", resolve).on("error", resolve)));
  await Promise.all(sockets.map((socket) => new Promise((resolve, reject) => socket.once("message", resolve).once("error", reject))));
  return codes;
}

/// An application of its own at a path that the test may change.
function ownApplication() {
  const directory = fs.mkdtempSync(path.join(process.env.TMPDIR ?? "/tmp", "limpet-app-"));
  const application = path.join(directory, "app");
  fs.copyFileSync(build("probe_app"), application);
  return application;
}

function replace(application, write) {
  fs.rmSync(application, { recursive: true });
  write(application);
}

const endsWithin = (deadlineMs) => within(cluster.process.exited, "the end of limpet serve", deadlineMs);

const stopping = {
  "the commands of the start screen work in the shell that started it": async () => {
    await start();
    await cluster.stop();
    const folder = path.join(cluster.directory, "my limpet's");
    fs.mkdirSync(folder);
    fs.symlinkSync(build("limpet"), path.join(folder, "limpet"));
    const shell = (words) => ["bash", "-c", words, cluster.directory];
    const [, ...flags] = shell(`cd "$0/my limpet's" && exec ./limpet serve '${build("probe_app")}' --listen tcp://127.0.0.1:0 --workers 2 --runtime-dir "$0/my run"`);
    cluster.launchAs("bash", flags);
    cluster.runtime = path.join(cluster.directory, "my run");
    await cluster.ready();
    const [, command] = await cluster.line(/^ {2}stop +(.*? stop) /);
    assert.match(command, /^\.\/limpet ctl --runtime-dir '/);
    const { code, text } = await run("bash", ["-c", `cd "$0" && ${command}`, folder]);
    assert.equal(code, 0, text);
    await endsWithin(8_000);
    cluster.assertNothingLeft();
  },

  // nodejs/node#63452: speculative connections of browsers; `docker stop` kills after 10 s.
  "a connection that never sent a byte does not hold up a stop": async () => {
    await start({ settings: patient });
    const silent = new Wire(cluster.port);
    await silent.connected;
    await cluster.who(); // that one came later, so the silent one was accepted
    cluster.process.signal("SIGTERM");
    await endsWithin(8_000);
  },

  // benoitc/gunicorn#1236
  "half a head is answered 408 after the drain window, however old it is": async () => {
    await start({ settings: patient });
    const half = new Wire(cluster.port);
    half.write("GET / HTTP/1.1\r\nHo");
    await half.connected;
    await cluster.who();
    await new Promise((resolve) => setTimeout(resolve, 1_500)); // longer than window and grace together: its age is the input
    cluster.process.signal("SIGTERM");
    const answer = await half.read((bytes) => bytes.toString("latin1").match(/^HTTP\/1\.1 (\d+)/)?.[1], "an answer", 8_000);
    assert.equal(answer, "408");
    await endsWithin(8_000);
  },

  // systemd's SendSIGHUP=yes
  "TERM with a HUP behind it is a stop": async () => {
    await start();
    const codes = await sessions(4);
    cluster.process.signal("SIGTERM");
    cluster.process.signal("SIGHUP");
    assert.deepEqual(await Promise.all(codes), Array(4).fill(1012));
    assert.equal((await endsWithin(10_000)).code, 0);
    cluster.assertNothingLeft();
  },

  // daily-co/pipecat-cloud-images#104: the kernel drops a signal that PID 1 has no handler for.
  "TERM is heard from the first line on, also by PID 1": async () => {
    await start();
    // What a supervisor that was killed leaves: the next one waits for its address.
    const other = new Cluster();
    Object.assign(other, { directory: fs.mkdtempSync(path.join(cluster.directory, "other-")), workers: 1, limpet: cluster.limpet });
    other.runtime = path.join(other.directory, "run");
    other.configuration = path.join(other.directory, "limpet.toml");
    other.write({});
    fs.mkdirSync(other.runtime, { mode: 0o700 });
    fs.writeFileSync(path.join(other.runtime, "control"), "");
    other.launch({ app: "probe_app", listen: [`tcp://127.0.0.1:${cluster.port}`], through: ["unshare", "--user", "--map-root-user", "--pid", "--fork"] });
    try {
      await other.line(/the one before was killed; waiting/);
      const [child] = fs.readFileSync(`/proc/${other.pid}/task/${other.pid}/children`, "latin1").split(" ");
      process.kill(Number(child), "SIGTERM");
      await within(other.process.exited, "the end", 3_000);
    } finally {
      await other.process.destroy();
    }
  },
};

const starting = {
  // google/gvisor#862, scothis/serv#10: a write of a background process to such a terminal is answered with SIGTTOU.
  "in the background of a terminal with tostop": async () => {
    const directory = fs.mkdtempSync(path.join(process.env.TMPDIR ?? "/tmp", "limpet-tty-"));
    const runtime = path.join(directory, "run");
    const command = `set -m; stty tostop; '${build("limpet")}' serve '${build("probe_app")}' --listen tcp://127.0.0.1:0 --workers 1 --runtime-dir '${runtime}' & sleep 60`;
    const terminal = new Process("script", ["-qec", command, "/dev/null"], { env: { SHELL: "/bin/bash" } });
    cluster = { destroy: () => terminal.destroy() };
    const ask = () => run(build("limpet"), ["ctl", "--runtime-dir", runtime, "status", "--json"], { deadlineMs: 2_000 }).catch(() => ({ code: -1 }));
    const answer = await until(async () => ((answer) => answer.code === 0 && answer)(await ask()), "an answer of the supervisor", 8_000, 200);
    assert.equal(JSON.parse(answer.text).slots.length, 1, "every line of the log has closed a slot");
  },

  // systemd/systemd#27288, facebookarchive/grace#44
  "what systemd told the supervisor is not handed on": async () => {
    const told = ["NOTIFY_SOCKET=/nowhere", "LISTEN_FDS=1", "LISTEN_PID=1", "LISTEN_FDNAMES=web", "WATCHDOG_USEC=9", "WATCHDOG_PID=1"];
    await start({ through: ["env", ...told] });
    const [{ pid }] = await cluster.seated();
    const environment = fs.readFileSync(`/proc/${pid}/environ`, "latin1").split("\0");
    assert.deepEqual(
      environment.filter((each) => told.includes(each)),
      [],
    );
  },

  // nodejs/node#27798, JuliaLang/julia#40136
  "a limit of the size of files under that of a ring is refused in words": async () => {
    cluster = await Cluster.start({ workers: 1, ready: false, ...after("ulimit -f 1024") });
    assert.equal((await endsWithin(8_000)).code, 1);
    assert.match(cluster.process.tail(), /ulimit -f/);
  },

  // langbot-app/langbot-plugin-sdk#97
  "a limit on addresses under what its rings need is refused in words": async () => {
    cluster = await Cluster.start({ workers: 1, ready: false, ...after("ulimit -v 80000") });
    assert.equal((await endsWithin(8_000)).code, 1);
    assert.match(cluster.process.tail(), /ulimit -v/);
  },

  // alarm(2) survives exec
  "an alarm that somebody has set does not end it": async () => {
    await start({ through: ["perl", "-e", "alarm 1; exec @ARGV"] });
    await new Promise((resolve) => setTimeout(resolve, 1_500)); // the time is the input
    assert.equal((await request(cluster.port, { path: "/worker" })).status, 200);
  },

  // sudo -u app limpet serve, in a directory of root's
  "in a working directory that its user may not enter": async () => {
    if (process.getuid() !== 0) return; // nobody else can make one
    const directory = fs.mkdtempSync(path.join(process.env.TMPDIR ?? "/tmp", "limpet-closed-"));
    const open = buildForEverybody("limpet-open-");
    const runtime = path.join(open, "run");
    cluster = Object.assign(new Cluster(), { directory: open, runtime, workers: 1, limpet: path.join(open, "limpet") });
    cluster.launchAs("bash", ["-c", 'cd "$0" && exec "$@"', directory, ...asUser(61_239), cluster.limpet, "serve", path.join(open, "probe_app"), "--listen", "tcp://127.0.0.1:0", "--workers", "1", "--runtime-dir", runtime]);
    await cluster.ready();
    assert.equal((await request(cluster.port, { path: "/worker" })).status, 200);
    fs.rmdirSync(directory);
  },

  // siodb/siodb#120
  "a locale that is not installed": async () => {
    await start({ through: ["env", "LC_ALL=xx_YY.UTF-8", "LANG=xx_YY"] });
    assert.equal((await request(cluster.port, { path: "/worker" })).status, 200);
  },

  // puma/puma#952, Unitech/pm2#1623
  "in a working directory that is gone": async () => {
    await start(after('cd "$(mktemp -d)" && rmdir "$PWD"'));
    const reload = await cluster.ctl("reload");
    assert.equal(reload.code, 0, reload.text);
  },

  // i3/i3#4446, adrienverge/openfortivpn#952
  "a configuration that comes through a pipe is refused": async () => {
    const directory = fs.mkdtempSync(path.join(process.env.TMPDIR ?? "/tmp", "limpet-pipe-"));
    cluster = Object.assign(new Cluster(), { directory, runtime: path.join(directory, "run"), workers: 1, limpet: build("limpet") });
    const words = ["serve", build("probe_app"), "--listen", "tcp://127.0.0.1:0", "--workers", "1", "--runtime-dir", cluster.runtime];
    cluster.process = new Process("bash", ["-c", 'exec "$@" -c <(printf "[socketio]\\nmax_payload = 12345\\n")', "bash", cluster.limpet, ...words]);
    assert.equal((await endsWithin(8_000)).code, 1);
    assert.match(cluster.process.tail(), /\/dev\/fd\/\d+: is not a regular file; it is read again at each reload/);
  },
};

const reloading = {
  // linkchecker/linkchecker#767, unbit/uwsgi#1617
  "a configuration that has become a FIFO does not stop the supervisor": async () => {
    await start();
    fs.rmSync(cluster.configuration);
    assert.equal((await run("mkfifo", [cluster.configuration])).code, 0);
    const reload = cluster.ctl("reload", "--timeout", "3");
    const status = await within(cluster.ctl("status"), "the status", 3_000);
    assert.equal(status.code, 0, status.text);
    const { code, text } = await reload;
    assert.equal(code, 1, text);
    assert.match(text, /is not a regular file/);
  },

  // FuelLabs/fuelup#96
  "an application that somebody still writes to is refused, the old one goes on": async () => {
    const application = ownApplication();
    await start({ app: application });
    const before = await cluster.seated();
    replace(application, (file) => fs.copyFileSync(build("probe_app"), file));
    const writer = fs.openSync(application, "r+");
    const reload = await cluster.ctl("reload");
    fs.closeSync(writer);
    assert.equal(reload.code, 1, reload.text);
    assert.match(reload.text, /Text file busy/);
    assert.deepEqual(await cluster.seated().then((seated) => seated.map(({ pid }) => pid)), before.map(({ pid }) => pid));
  },

  // systemd/systemd#3038: the kernel says the script is not there when its interpreter is not.
  "a script without its interpreter: the interpreter is named": async () => {
    const application = ownApplication();
    await start({ app: application });
    replace(application, (file) => fs.writeFileSync(file, "#!/no/such/interpreter\n", { mode: 0o755 }));
    const reload = await cluster.ctl("reload");
    assert.equal(reload.code, 1, reload.text);
    assert.match(reload.text, /\/no\/such\/interpreter/);
  },
};

const stopped = {
  // Unitech/pm2#5858, #960
  "ctl does not wait for ever for a supervisor that does not answer": async () => {
    await start();
    process.kill(cluster.pid, "SIGSTOP");
    try {
      const status = await within(cluster.ctl("status"), "the end of ctl status", 20_000);
      assert.notEqual(status.code, 0);
      assert.match(status.text, /does not answer/);
    } finally {
      process.kill(cluster.pid, "SIGCONT");
    }
  },

  "an order that the supervisor had not heard when ctl gave up is not carried out, and ctl says so": async () => {
    await start();
    const before = (await cluster.seated()).map(({ pid }) => pid);
    const mark = cluster.mark();
    process.kill(cluster.pid, "SIGSTOP");
    try {
      for (const order of [["reload"], ["scale", "1"], ["upgrade"], ["stop", "--now"]]) {
        const { code, text } = await cluster.ctl(...order, "--timeout", "0.5");
        assert.equal(code, 124, text);
        assert.match(text, /does not answer: .*; the order will not be carried out$/);
      }
    } finally {
      process.kill(cluster.pid, "SIGCONT");
    }
    // Answered behind all of them.
    assert.equal((await cluster.status()).operation, "");
    for (let i = 0, from = mark; i < 4; i += 1) {
      await cluster.line(/a request is not carried out: who sent it has gone/, { from });
      from = cluster.process.lines.findIndex((line, at) => at >= from && line.includes("who sent it has gone")) + 1;
    }
    assert.deepEqual(
      (await cluster.seated()).map(({ pid }) => pid),
      before,
    );
    const { code, text } = await cluster.ctl("reload");
    assert.equal(code, 0, text);
  },

  // driebit/ginger#124: docker pause, a laptop that sleeps
  "all stop for longer than the heartbeat, and the supervisor goes on first: nobody is killed": async () => {
    await start({ settings: { "supervision.heartbeat_interval": "500ms" } });
    const before = (await cluster.seated()).map(({ pid }) => pid);
    for (const pid of [...before, cluster.pid]) process.kill(pid, "SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, 2_500)); // the pause is the input
    const mark = cluster.mark();
    process.kill(cluster.pid, "SIGCONT");
    await cluster.line(/did not run for a while/, { from: mark });
    for (const pid of before) process.kill(pid, "SIGCONT");
    await cluster.allServe();
    assert.deepEqual(
      (await cluster.seated()).map(({ pid }) => pid),
      before,
    );
  },
};

for (const [what, rows] of Object.entries({ "stopped by anybody": stopping, "started by anybody": starting, "reloaded with anything": reloading, "that was suspended": stopped })) {
  describe(`a cluster ${what}`, () => {
    afterEach(async () => {
      await cluster?.destroy();
      cluster = undefined;
    });
    for (const [name, row] of Object.entries(rows)) test(name, { timeout: 60_000 }, row);
  });
}
