// However a cluster is started (the table "How it may be started" of docs/operations.md), it does what it is for: clients chat, a
// reload moves them, a worker that dies is replaced, and a stop leaves nothing behind.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { request } from "../client/raw.mjs";
import { buildForEverybody } from "./build.mjs";
import { Cluster, addresses } from "./cluster.mjs";
import { Fleet } from "./fleet.mjs";
import { asUser, until, within, zombiesOf } from "./process.mjs";

const isRoot = process.getuid() === 0;
/// Of an ordinary user whom nobody else is, and no suite beside this one.
const user = isRoot ? 60_000 + (process.pid % 5_000) : process.getuid();
/// An empty environment, but for what finds the program and what the test knows its processes by.
const kBare = 'env -i PATH="$PATH" LIMPET_TEST_MARKER="$LIMPET_TEST_MARKER"';

// Who starts it: what is inherited. `through`: what stands before `limpet serve`. `unseen`: nobody reads its lines.
const rows = {
  "a shell": {},
  "nohup: SIGHUP ignored": { through: ["nohup"] },
  "another server: SIGCHLD and SIGPIPE ignored": { through: ["env", "--ignore-signal=CHLD,PIPE"] },
  "a thread of a runtime: all signals blocked": { through: ["env", "--block-signal"] },
  "a daemon: descriptors 0 to 2 closed": { through: ["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-'], unseen: true },
  "systemd: a soft limit of 256 descriptors, no terminal, an environment of its own": {
    through: ["setsid", "sh", "-c", `ulimit -Sn 256; exec ${kBare} LISTEN_FDS=1 NOTIFY_SOCKET=/nowhere "$0" "$@" </dev/null`],
  },
  "cron: an empty environment, umask 0777": { through: [...asUser(user), "sh", "-c", `umask 0777; exec ${kBare} "$0" "$@"`], unnamed: true },
  "a user without HOME and XDG_RUNTIME_DIR": { through: ["env", "-u", "HOME", "-u", "XDG_RUNTIME_DIR", ...asUser(user)], unnamed: true },
  "a container: process 1 of a namespace, and orphans": {
    through: ["unshare", ...(isRoot ? [] : ["--user", "--map-root-user"]), "--pid", "--fork", "--mount-proc", "sh", "-c", 'for i in 1 2 3 4 5; do (sleep 0.2 &); done; exec "$0" "$@"'],
    isChild: true,
  },
  "a deployment: everything through symlinks, by relative paths": { linked: true },
};

describe("started by", () => {
  let cluster;
  let fleet;
  let directory;
  beforeEach(() => {
    directory = buildForEverybody("limpet-started-");
  });
  afterEach(async () => {
    fleet?.leave();
    await cluster?.destroy();
    fs.rmSync(directory, { recursive: true, force: true });
    if (cluster) fs.rmSync(cluster.runtime, { recursive: true, force: true });
    [cluster, fleet] = [undefined, undefined];
  });

  function launch({ through = [], unnamed = false, linked = false }) {
    cluster = new Cluster();
    const runtime = unnamed ? `/tmp/limpet-${user}` : path.join(directory, "run");
    Object.assign(cluster, { directory, runtime, workers: 2, limpet: path.join(directory, "limpet"), configuration: path.join(directory, "limpet.toml") });
    cluster.write({ "reload.drain_window": "200ms", "reload.drain_deadline": "5s", "reload.probation": "100ms" });
    fs.chmodSync(cluster.configuration, 0o644);
    let words = [cluster.limpet, "serve", path.join(directory, "probe_app"), "-c", cluster.configuration];
    if (linked) {
      const links = fs.mkdirSync(path.join(directory, "links"), { recursive: true });
      fs.symlinkSync("..", path.join(links, "release"));
      for (const name of ["limpet", "probe_app", "limpet.toml"]) fs.symlinkSync(`release/${name}`, path.join(links, name));
      words = ["./limpet", "serve", "./probe_app", "-c", "limpet.toml"];
    }
    const [command, ...rest] = [...through, ...words, "--listen", "tcp://127.0.0.1:0", "--workers", "2", ...(unnamed ? [] : ["--runtime-dir", runtime])];
    cluster.launchAs(command, rest, { cwd: linked ? path.join(directory, "links") : directory });
  }

  for (const [who, row] of Object.entries(rows)) {
    test(who, { timeout: 60_000 }, async () => {
      launch(row);
      await (row.unseen ? cluster.readyUnseen() : cluster.ready());
      const from = addresses(12, 31);
      fleet = await Fleet.connect(cluster.url, from);
      await fleet.chat(3);
      const reload = await cluster.ctl("reload");
      assert.equal(reload.code, 0, reload.text);
      await fleet.chat(3);
      fleet.assertNobodyNoticed();

      const slots = await fleet.slots();
      const theirs = fleet.members.filter((_, i) => slots[i] === slots[0]);
      await assert.rejects(request(cluster.port, { path: "/crash", from: from[0] }));
      await fleet.connected(2, theirs);
      await cluster.allServe();
      await fleet.chat(3);

      const limpet = row.isChild ? Number(fs.readFileSync(`/proc/${cluster.pid}/task/${cluster.pid}/children`, "utf8")) : cluster.pid;
      await until(() => zombiesOf(limpet).length === 0, "no zombie", 5_000);
      assert.equal((await cluster.ctl("stop")).code, 0);
      assert.equal((await within(cluster.process.exited, "the end", 15_000)).code, 0, cluster.process.tail());
      cluster.assertNothingLeft();
    });
  }
});
