// scripts/soak --attacks: every attack of table.mjs on Limpet, and on the official server and nginx where that can be, with what
// the bystanders waited: their lines, and a prober's requests every 20 ms. Exits 1 if anything was wrong with Limpet, or a
// line or a request was more than 100 ms late. Writes docs/results-attacks.md when all of them ran.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { addresses } from "../system/cluster.mjs";
import { writeAttacks } from "../soak/results.mjs";
import { Crowd } from "./crowd.mjs";
import { kPeers } from "./peers.mjs";
import { Prober } from "./prober.mjs";
import { attack, attacksOf, measured, pages, underAttack } from "./stage.mjs";

const kMostLateMs = 100;
const kAll = ["limpet", ...Object.keys(kPeers)];
const kPeerSeconds = 10; // then its attack is ended: others have waited long enough

const { values } = parseArgs({ options: { only: { type: "string", multiple: true, default: kAll }, attack: { type: "string", default: "" } } });

/// Bystanders and attackers have machines of their own in truth. Here the bystanders go first and the attackers last: what
/// stands before a server's command gives it its usual place again, and before an attacker's the last one. Whoever may not (an
/// ordinary user) measures what everybody waits for a CPU as well.
function prioritize() {
  try {
    // A priority is a thread's; those that collect garbage are here already.
    for (const thread of fs.readdirSync("/proc/self/task")) os.setPriority(Number(thread), -10);
    return { server: ["nice", "-n", "10"], attacker: ["nice", "-n", "29"] };
  } catch (error) {
    console.log(`bystanders wait for a CPU like everybody: ${error.message}`);
    return { server: [], attacker: [] };
  }
}

/// Looks at the bystanders while the attack runs.
function watch(crowd, { port }, probed = true) {
  if (crowd) crowd.lateness.values = [];
  const prober = probed ? new Prober(port) : undefined;
  return { stop: async () => ({ lines: crowd?.lateness.summary(), requests: await prober?.stop() }) };
}

const longest = ({ lines, requests } = {}) => Math.max(lines?.max ?? 0, requests?.max ?? 0);

async function onLimpet(row) {
  const { problems, tooMuchCpu, seconds, cpuMs, turnUs, grewMiB, watched } = await underAttack(row, (crowd, cluster) => watch(crowd, cluster, row.probed), through);
  problems.push(...tooMuchCpu);
  const late = longest(watched);
  if (late > kMostLateMs) problems.push(`others were up to ${late.toFixed(0)} ms late`);
  if (watched?.requests?.failed) problems.push(`${watched.requests.failed} requests of the prober failed`);
  return { problems, seconds, cpuMs, turnUs, grewMiB, watched };
}

/// {problems, seconds, cpuMs, grewMiB, watched} as with Limpet, as far as it can be seen from outside.
async function onPeer(row, { start, chats }) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "limpet-attacked-"));
  pages(path.join(directory, "public"));
  let server;
  let crowd;
  try {
    server = await start(row, directory, through.server);
    if (chats) crowd = await Crowd.connect(server.url, addresses(20));
    crowd?.start();
    const pids = server.pids();
    const before = measured(pids);
    const watching = watch(crowd, server);
    const begun = performance.now();
    const { result, problem } = await attack({ ...row, seconds: kPeerSeconds }, { port: server.port, workers: 2 }, through.attacker);
    const seconds = (performance.now() - begun) / 1_000;
    const after = measured(pids);
    await crowd?.stop(5_000);
    const watched = await watching.stop();
    const problems = [...(after.alive < before.alive ? [`${before.alive - after.alive} of ${before.alive} processes died`] : []), ...(problem ? [problem] : []), ...(crowd?.complaints() ?? []), ...(watched.requests.failed ? [`${watched.requests.failed} requests of the prober failed`] : [])];
    if (result?.served === false) problems.push("the attacker was not served to the end");
    return { problems, seconds, cpuMs: Math.max(0, after.cpu - before.cpu) / 1_000, grewMiB: Math.max(0, after.peak - before.rss), watched };
  } catch (error) {
    return { problems: [error.message.split("\n")[0]] };
  } finally {
    crowd?.leave();
    await server?.close();
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

const through = prioritize();
const rows = attacksOf(undefined, values.attack);
const begun = performance.now();
const runs = [];
let wrong = 0;
for (const [i, row] of rows.entries()) {
  const run = { name: row.name };
  for (const who of values.only) {
    if (who !== "limpet" && !row.peers?.includes(who)) continue;
    run[who] = await (who === "limpet" ? onLimpet(row) : onPeer(row, kPeers[who]));
    const { problems, seconds = 0, watched } = run[who];
    if (who === "limpet") wrong += problems.length > 0 ? 1 : 0;
    const minutes = ((performance.now() - begun) / 60_000).toFixed(1);
    console.log(`${i + 1}/${rows.length}, ${minutes} min: ${row.name}: ${who}: ${seconds.toFixed(1)} s, others up to ${longest(watched).toFixed(0)} ms late${problems.length ? `: ${problems.slice(0, 4).join("; ")}` : ""}`);
  }
  runs.push(run);
}
console.log(`${rows.length} attacks, ${wrong} with something wrong on Limpet`);
if (kAll.every((who) => values.only.includes(who)) && values.attack === "") writeAttacks({ command: ["scripts/soak --attacks", ...process.argv.slice(2)].join(" "), runs, mostLateMs: kMostLateMs, peerSeconds: kPeerSeconds });
process.exitCode = wrong > 0 ? 1 : 0;
