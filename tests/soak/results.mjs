// What the soak writes: docs/results-soak.md, docs/results-reload.md with its picture, and docs/results-proxies.md.
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { reloadsSvg } from "./chart.mjs";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "../..");
const textOf = (command, ...args) => execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
const versionOf = (folder, name) => JSON.parse(fs.readFileSync(path.join(root, folder, "node_modules", name, "package.json"), "utf8")).version;
const packageOf = (name) => `${name} ${textOf("dpkg-query", "-W", "-f", "${Version}", name)}`;

const commitIn = (folder) => textOf("git", "-C", folder, "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty");
/// Of the sources that a build folder belongs to.
const commitOf = (folder) => commitIn(/^CMAKE_HOME_DIRECTORY:\w+=(.*)$/m.exec(fs.readFileSync(path.join(folder, "CMakeCache.txt"), "utf8"))[1]);

/// Lines of a list: machine, system, what took part, commit, date.
function facts(...peers) {
  const { PRETTY_NAME = "Linux" } = Object.fromEntries([...fs.readFileSync("/etc/os-release", "utf8").matchAll(/^(\w+)="?(.*?)"?$/gm)].map(([, name, value]) => [name, value]));
  return [
    `machine: ${os.cpus().length} × ${os.cpus()[0].model}; the clients run on it too`,
    `system: ${PRETTY_NAME}, Linux ${os.release()}`,
    `with: ${[...peers, `Node ${process.version}`, `socket.io ${versionOf("tests", "socket.io")}`].join(", ")}`,
    `commit: ${commitIn(root)}`,
    `date: ${new Date().toISOString().slice(0, 10)}`,
  ]
    .map((line) => `- ${line}`)
    .join("\n");
}

function table(headings, rows) {
  return [headings, headings.map((_, i) => (i === 0 ? "---" : "--:")), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

function write(name, text) {
  fs.writeFileSync(path.join(root, "docs", name), text);
  console.log(`written: docs/${name}`);
}

const whole = (number) => number.toLocaleString("en-US");
const percent = (part, all) => (part === 0 ? "0" : `${whole(part)} (${((100 * part) / all).toPrecision(2)} %)`);
const p99 = (calm, busy) => `${calm.p99} → ${busy.p99}`;

function reloadRow({ name, operation, operations, calm, busy, report, remains }) {
  const sent = report.echoes + report.room_messages + report.missing;
  return [
    name,
    `${operations.length} × \`${operation}\``,
    percent(report.failed_requests, report.requests),
    whole(report.disconnects),
    whole(report.failed_connects),
    percent(report.missing, sent),
    whole(report.mistakes),
    p99(calm.echo, busy.echo),
    p99(calm.http, busy.http),
    remains,
  ];
}

function soakRow({ operation, operations, calm, busy, report }) {
  const mean = operations.reduce((sum, ms) => sum + ms, 0) / operations.length;
  return [
    `\`${operation}\``,
    whole(operations.length),
    mean.toFixed(0),
    percent(report.failed_requests, report.requests),
    whole(report.disconnects),
    percent(report.missing, report.echoes + report.room_messages + report.missing),
    whole(report.mistakes),
    p99(calm.echo, busy.echo),
    p99(calm.http, busy.http),
    `${calm.echo.max} → ${busy.echo.max}`,
  ];
}

const idleRow = ({ clients, wall_ms, cpu_ms, cpu_us_per_session, calm, busy, report }) => [whole(clients), whole(wall_ms), whole(cpu_ms), cpu_us_per_session, `${calm.echo.max} → ${busy.echo.max}`, whole(report.disconnects), whole(report.missing)];

/// run: {command, runs, seconds, workers, webSockets, pollers, echoes}
export function writeSoak({ command, runs, seconds, workers, webSockets, pollers, echoes }) {
  const headings = ["operation", "times", "each, ms", "failed requests", "disconnects", "messages lost", "twice or out of order", "echo, 99 %, ms", "HTTP, 99 %, ms", "longest echo, ms"];
  const idleHeadings = ["idle WebSockets", "wall, ms", "CPU, ms", "CPU of a session, µs", "longest echo, ms", "disconnects", "messages lost"];
  write(
    "results-soak.md",
    `# Connections that move, again and again

Made by \`${command}\`; do not edit.

${table(headings, runs.filter(({ operation }) => operation !== "idle").map(soakRow))}

One reload of many:

${table(idleHeadings, runs.filter(({ operation }) => operation === "idle").map(idleRow))}

${facts()}

## How it was measured

- The first table: ${whole(webSockets)} WebSocket and ${whole(pollers)} long-polling sessions of ${workers} workers. ${whole(echoes)} echoes a second over all of them, 20 words a
  second in rooms of 10, and 50 HTTP requests a second, each on a connection of its own; everything leaves at its time. For
  ${seconds} s the next operation begins when the last has ended (\`scale\`: 4, 6, 3, 2 workers in turns; \`probation\` is 100 ms).
  Latencies count from the time at which a message was to leave: 10 s before the first operation → from then on.
- The second: \`limpet ctl reload\` of ${workers} workers, one after the other. CPU time is that of the supervisor and all workers, old and
  new, their start included; the wall time has the 100 ms of probation in it. Meanwhile 500 echoes a second go over them in turns.
`,
  );
}

/// run: {older (build folder), upgrades: [{to, refused}], result, addedMs, seconds, workers, webSockets, pollers, echoes}
export function writeUpgrades({ older, upgrades, result, seconds, workers, webSockets, pollers, echoes }) {
  const headings = ["upgrade", "times", "refused", "each, ms"];
  const row = (to) => {
    const these = upgrades.filter((each) => each.to === to);
    return [to === "newer" ? "older → newer" : "newer → older", these.length, these.filter(({ refused }) => refused).length, (these.reduce((sum, { ms }) => sum + ms, 0) / Math.max(1, these.length)).toFixed(0)];
  };
  const [, , , ...noticed] = soakRow({ operation: "", ...result });
  const refusals = [...new Set(upgrades.map(({ refused }) => refused).filter(Boolean))];
  write(
    "results-upgrade.md",
    `# Upgrades from the build before, and back

Made by \`scripts/soak --from DIR\`; do not edit.

${table(headings, [row("newer"), row("older")])}

What the clients saw of all of them:

${table(["failed requests", "disconnects", "messages lost", "twice or out of order", "echo, 99 %, ms", "HTTP, 99 %, ms", "longest echo, ms"], [noticed])}
${refusals.map((text) => `\nRefused: ${text}\n`).join("")}
${facts(`the older build of commit ${commitOf(older)}`)}

## How it was measured

- ${whole(webSockets)} WebSocket and ${whole(pollers)} long-polling sessions of ${workers} workers under the load of [results-soak.md](results-soak.md), ${whole(echoes)}
  echoes a second. For ${seconds} s, in turns: the newer \`limpet\` and its application take the place of the older ones by rename, and
  \`limpet ctl upgrade\` runs; then the older ones take it back. After each, the supervisor and every worker must run the
  file that was put there, or the upgrade must have been refused in words.
`,
  );
}

/// run: {command, runs, seconds, every, calmSeconds, webSockets, pollers, echoes}
export function writeReloads(run) {
  const { command, runs, seconds, every, calmSeconds, webSockets, pollers, echoes } = run;
  const headings = ["server", "operations", "failed requests", "disconnects", "failed connects", "messages lost", "twice or out of order", "echo, 99 %, ms", "HTTP, 99 %, ms", "left behind"];
  write("results-reload.svg", reloadsSvg(run));
  write(
    "results-reload.md",
    `# Reloads under load, beside others

Made by \`${command}\`; do not edit. An open-loop load goes on while the server is reloaded every
${every} s for ${seconds} s, or as soon as the last reload has ended.

![What an echo waits, and who is disconnected, second by second](results-reload.svg)

${table(headings, runs.map(reloadRow))}

${facts(packageOf("nginx"), `@socket.io/pm2 ${versionOf("tests/soak/peers", "@socket.io/pm2")}`)}

## How it was measured

- ${whole(webSockets)} WebSocket and ${whole(pollers)} long-polling sessions. ${whole(echoes)} echoes a second over all of them, 20 words a second in rooms of 10, and 50 HTTP
  requests a second, each on a connection of its own. Everything leaves at its time, whether or not answers have come: a pause
  is seen by all that it delays. Latencies count from the time at which a message was to leave: ${calmSeconds} s before the first
  operation → from then on.
- Whoever is disconnected comes back after a second or so, as the official client does. What he would have sent meanwhile is not
  counted; what others said in his room is lost to him, and counted.
- **Limpet** reloads its 2 workers; \`probation\` is 100 ms here, so that an operation is no longer than the moves themselves.
- **nginx** stands in front of a Limpet that is left alone. Without \`worker_shutdown_timeout\` its old processes stay as long as
  one of their WebSockets lives; with it, these are closed when it has passed. 10 s: a longer one closes them later. Polling sessions that it loses ask
  on a kept-alive connection in the moment in which an old process closes it; browsers mostly ask again.
- **Node** runs 2 workers under pm2 as <https://socket.io/docs/v4/pm2/> says: @socket.io/pm2 in cluster mode with
  @socket.io/cluster-adapter, \`wait_ready\`, and \`io.close()\` on SIGINT. Its @socket.io/sticky is version 2, because with the version 1
  that it asks for, requests on connections that are kept alive hang now and then, without any reload. A failed connect is mostly
  \`Session ID unknown\`: a session's second request comes before the primary process knows whose it is.
`,
  );
}

function proxyRow({ name, reloads, requests, errors, report }) {
  return [name, whole(reloads), whole(report.joined), requests === undefined ? "–" : percent(errors, requests), whole(report.disconnects), whole(report.connect_errors), percent(report.missing, report.words + report.missing), whole(report.mistakes), whole(report.rounds)];
}

/// run: {command, runs, clients, seconds, workers}
export function writeProxies({ command, runs, clients, seconds, workers }) {
  const headings = ["server and proxy", "reloads", "clients that got in", "HTTP errors", "disconnects", "connect errors", "words lost", "other mistakes", "rounds"];
  write(
    "results-proxies.md",
    `# Behind proxies without stickiness, beside Node

Made by \`${command}\`; do not edit. ${clients} official clients, a third each with polling only, polling then upgrade and WebSocket only,
chat in rooms of 10 for ${seconds} s through a proxy in front of ${workers} workers.

${table(headings, runs.map(proxyRow))}

${facts(packageOf("nginx"), packageOf("haproxy"))}

## How it was measured

- In a round every client says a word with an acknowledgement, and the next round begins once everyone has heard all words of
  its room, or after 5 s. Whoever is disconnected comes back after 1 to 5 s, the official client's delays, and joins
  again. More rounds are more traffic in the same time, not a measurement of speed: clients, proxy and server share the machine.
- nginx has a pool of 32 connections to the server that carry everybody's requests; HAProxy passes connections on with a
  PROXY protocol header. Neither knows of sessions. HTTP errors are nginx's, with their share of all requests.
- "Other mistakes": words twice or out of order, and words and joins whose acknowledgement did not come within 5 s.
- Limpet is reloaded in the middle. Node's cluster has no reload.
- Node: \`cluster\` with @socket.io/sticky and @socket.io/cluster-adapter as <https://socket.io/docs/v4/cluster-adapter/> says. Version 1
  of sticky chooses the worker of a connection by its first request, and whoever comes next on it finds his session unknown.
  Version 2 ends every connection after one response and carries requests with a body through the primary process: behind it a pool
  is of no use, but it works.
`,
  );
}

const rounded = (number, digits = 0) => (number === undefined ? "–" : number.toLocaleString("en-US", { maximumFractionDigits: digits, minimumFractionDigits: digits }));
const longestLate = (...summaries) => rounded(Math.max(0, ...summaries.map((summary) => summary?.max ?? 0)));
const wordsOfProblems = (problems) => (problems.length === 0 ? "nobody noticed" : problems.slice(0, 2).join("; ").replaceAll("|", "/").slice(0, 160) + (problems.length > 2 ? `; and ${problems.length - 2} more` : ""));

function limpetAttackRow({ name, limpet: { cpuMs, turnUs, grewMiB, watched, problems } }) {
  const { lines, requests } = watched ?? {};
  return [name, rounded(cpuMs), rounded(turnUs === undefined ? undefined : turnUs / 1_000, 1), `${lines?.p50 ?? "–"} / ${lines?.p99 ?? "–"}`, `${requests?.p50 ?? "–"} / ${requests?.p99 ?? "–"}`, longestLate(lines, requests), rounded(grewMiB), wordsOfProblems(problems)];
}

const peerAttackRow = ({ name }, who, { cpuMs, grewMiB, watched, problems }) => [name, who, rounded(cpuMs), longestLate(watched?.lines, watched?.requests), rounded(grewMiB), wordsOfProblems(problems)];

/// run: {command, runs: [{name, limpet, node, nginx}], mostLateMs, peerSeconds}
export function writeAttacks({ command, runs, mostLateMs, peerSeconds }) {
  const headings = ["attack", "CPU, ms", "longest turn, ms", "lines, 50 / 99 %, ms", "requests, 50 / 99 %, ms", "longest lateness, ms", "memory, MiB", "outcome"];
  const peers = runs.flatMap((run) => [["Node socket.io", run.node], ["nginx", run.nginx]].filter(([, figures]) => figures).map(([who, figures]) => peerAttackRow(run, who, figures)));
  write(
    "results-attacks.md",
    `# Attacks, beside Node and nginx

Made by \`${command}\`; do not edit. What one stranger, or some, do to a cluster of two workers while 20 official clients chat.
The bar: nobody is disconnected, no line is lost, and nobody waits more than ${mostLateMs} ms.

${table(headings, runs.filter(({ limpet }) => limpet).map(limpetAttackRow))}

The same on others:

${table(["attack", "server", "CPU, ms", "longest lateness, ms", "memory, MiB", "outcome"], peers)}

${facts(packageOf("nginx"))}

## How it was measured

- Every attack has a server of its own, with its defaults but where the attack is about a limit. \`tests/attacks/table.mjs\` names them; the attacker is a
  process of its own with a lower priority (nice 10), the bystanders one with a higher (-10): they would have other machines. An attack on a peer is ended after ${peerSeconds} s.
- Lines: 40 a second, each to 19 others, half of them over long-polling. Requests: \`GET /worker\` every 20 ms on a new connection. Both leave at their time, and
  latencies count from it. Clients, attacker and server share the machine.
- CPU: of both workers, while the attack runs, what the bystanders cost included unless the attack says its cost for each element. Longest turn: CPU time of a turn of a
  worker's loop without the application's handlers. Memory: the most that one worker had, less what it had before.
- **Node**: \`cluster\` of 2 with @socket.io/sticky and @socket.io/cluster-adapter, the primary process counted. An exception in a handler ends a process there.
- **nginx**: two workers with \`open_file_cache\` and no access log; it has no chat, and answers the prober by itself.
`,
  );
}
