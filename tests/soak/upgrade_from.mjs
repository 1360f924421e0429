// scripts/soak --from DIR: a cluster of an older build is upgraded to this one and back, again and again, under the load of
// the soak. Nobody may notice, or the upgrade is refused in words. Writes docs/results-upgrade.md.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { build } from "../system/build.mjs";
import { Cluster } from "../system/cluster.mjs";
import { underLoad } from "./reloads.mjs";
import { writeUpgrades } from "./results.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "60" },
    workers: { type: "string", default: "2" },
    "web-sockets": { type: "string", default: "1000" },
    pollers: { type: "string", default: "200" },
    echoes: { type: "string", default: "500" },
    try: { type: "boolean", default: false }, // writes no document
  },
});
const [seconds, workers, webSockets, pollers, echoes] = ["seconds", "workers", "web-sockets", "pollers", "echoes"].map((name) => Number(values[name]));
if (positionals.length !== 1) throw new Error("usage: scripts/soak --from DIR: the build folder of an older commit, with limpet and probe_app");
const older = path.resolve(positionals[0]);
const programs = ["limpet", "probe_app"];

/// The supervisor follows the path of its binary, and starts its application by its path: these are replaced.
class Installed {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), "limpet-from-"));
  folders = { older, newer: path.dirname(build("limpet")) };

  path(program) {
    return path.join(this.directory, program);
  }
  /// By rename: a running program cannot be written to.
  put(which) {
    for (const program of programs) {
      const next = this.path(`${program}.next`);
      fs.copyFileSync(path.join(this.folders[which], program), next);
      fs.renameSync(next, this.path(program));
    }
    this.which = which;
  }
  runs(pid, program) {
    return fs.statSync(`/proc/${pid}/exe`).ino === fs.statSync(this.path(program)).ino;
  }
  remove() {
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

/// To the other build. {to, ms, refused: why, if it was}
async function upgrade(cluster, installed) {
  const before = installed.which;
  const to = before === "older" ? "newer" : "older";
  installed.put(to);
  const begun = performance.now();
  const { code, text } = await cluster.ctl("upgrade");
  const ms = performance.now() - begun;
  if (code !== 0) {
    const refused = /upgrade refused: .*/.exec(text)?.[0];
    if (!refused) throw new Error(`${before} → ${to}: ${text}\n${cluster.process.tail()}`);
    installed.put(before);
    return { to, ms, refused };
  }
  if (!installed.runs(cluster.pid, "limpet")) throw new Error(`${before} → ${to}: the supervisor still runs the ${before} build`);
  for (const { pid } of await cluster.seated()) if (!installed.runs(pid, "probe_app")) throw new Error(`${before} → ${to}: worker ${pid} still runs the ${before} build`);
  return { to, ms };
}

const installed = new Installed();
const upgrades = [];
let cluster;
try {
  installed.put("older");
  cluster = await Cluster.start({ workers, limpet: installed.path("limpet"), app: installed.path("probe_app") });
  const operate = async () => upgrades.push(await upgrade(cluster, installed));
  const result = await underLoad(cluster.port, operate, { seconds, webSockets, pollers, echoes, progress: (line) => console.log(`to the ${upgrades.at(-1).to} build: ${upgrades.at(-1).refused ?? "done"}: ${line}`) });
  console.table({ "echo, calm": result.calm.echo, "echo, upgrades": result.busy.echo, "http, calm": result.calm.http, "http, upgrades": result.busy.http });
  console.log(result.report);
  const { failed_requests, failed_connects, disconnects, mistakes, missing } = result.report;
  const noticed = failed_requests + failed_connects + disconnects + mistakes + missing > 0;
  if (noticed) console.log(cluster.process.lines.filter((line) => /warn|error/.test(line)).slice(-40).join("\n"));
  if (!values.try) writeUpgrades({ older, upgrades, result, seconds, workers, webSockets, pollers, echoes });
  const refused = upgrades.filter((each) => each.refused).length;
  console.log(`${upgrades.length} upgrades, ${refused} of them refused: ${noticed ? "somebody noticed" : "nobody noticed"}`);
  process.exitCode = noticed ? 1 : 0;
} finally {
  await cluster?.close();
  installed.remove();
}
