// scripts/soak --chaos: whatever may befall a cluster, at random and one on top of the other, while official clients chat and come
// back: SIGKILL and SIGSTOP of workers, signals and verbs to the supervisor. At the end it is as healthy as at the start, and
// holds no process, descriptor or memfd more. The order of events follows from the seed, their moments from the machine.
import assert from "node:assert/strict";
import fs from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { client, leave } from "../client/official.mjs";
import { Cluster, addresses } from "../system/cluster.mjs";
import { until } from "../system/process.mjs";

const kWorkers = 3;
const kMostWorkers = 5;
const kSettings = { max_workers: kMostWorkers, "reload.probation": "100ms", "reload.drain_window": "200ms", "reload.drain_deadline": "3s", "supervision.heartbeat_interval": "500ms", "supervision.boot_deadline": "20s" };

/// Numbers from 0 to 1 that follow from a seed (mulberry32).
function numbersOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/// Live pids and zombies among the children of a process.
function childrenOf(pid) {
  const children = { alive: [], zombies: [] };
  for (const name of fs.readdirSync("/proc").filter((each) => /^\d+$/.test(each))) {
    try {
      const [state, parent] = fs.readFileSync(`/proc/${name}/stat`, "latin1").split(") ").at(-1).split(" ");
      if (Number(parent) === pid) (state === "Z" ? children.zombies : children.alive).push(Number(name));
    } catch {
      // gone meanwhile
    }
  }
  return children;
}

/// "socket:[INODE]" of each TCP connection of this machine: those of clients come and go.
function connections() {
  const lines = ["tcp", "tcp6"].flatMap((table) => fs.readFileSync(`/proc/net/${table}`, "latin1").trim().split("\n").slice(1));
  const fields = lines.map((line) => line.trim().split(/\s+/));
  return new Set(fields.filter(([, , , state]) => state !== "0A").map((each) => `socket:[${each[9]}]`));
}

/// "3 socket, 2 memfd:limpet-ring, …": for whoever has to find out what is left.
function kindsOf(links) {
  const counts = new Map();
  for (const kind of links.map((link) => link.replace(/\[?\d+\]?/g, "").replace(/^.*memfd:/, "memfd:"))) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts].map(([kind, count]) => `${count} ${kind}`).sort().join(", ");
}

/// How many descriptors a process has that are no client's, how many memfds among them, and among what it has mapped.
function heldBy(pid) {
  const links = fs.readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [fs.readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      return [];
    }
  });
  const clients = connections();
  const isMemory = (line) => line.includes("/memfd:");
  const maps = fs.readFileSync(`/proc/${pid}/maps`, "latin1").split("\n");
  const ours = links.filter((link) => !clients.has(link));
  return { kinds: kindsOf(ours), descriptors: ours.length, memfds: links.filter(isMemory).length, mapped: maps.filter(isMemory).length };
}

const kCounts = ["descriptors", "memfds", "mapped"];

/// What the supervisor holds, and the most that any of its workers does.
function holdings(cluster) {
  const most = { descriptors: 0, memfds: 0, mapped: 0, kinds: "" };
  for (const pid of childrenOf(cluster.pid).alive) {
    const held = heldBy(pid);
    if (held.descriptors > most.descriptors) most.kinds = held.kinds;
    for (const what of kCounts) most[what] = Math.max(most[what], held[what]);
  }
  return { supervisor: heldBy(cluster.pid), worker: most };
}

/// Events: name -> what happens, and how often in proportion.
const kEvents = [
  { name: "SIGKILL", share: 3, act: ({ worker }) => process.kill(worker, "SIGKILL") },
  {
    name: "SIGSTOP",
    share: 3,
    // For half a beat, or for ever: then the supervisor ends it.
    act: async ({ worker, random }) => {
      process.kill(worker, "SIGSTOP");
      if (random() < 0.3) return;
      await pause(random() * 700);
      process.kill(worker, "SIGCONT");
    },
  },
  { name: "HUP", share: 2, act: ({ cluster }) => cluster.process.signal("SIGHUP") },
  { name: "USR2", share: 1, act: ({ cluster }) => cluster.process.signal("SIGUSR2") },
  { name: "TTIN", share: 2, act: ({ cluster }) => cluster.process.signal("SIGTTIN") },
  { name: "TTOU", share: 2, act: ({ cluster }) => cluster.process.signal("SIGTTOU") },
  { name: "reload", share: 2, act: ({ cluster }) => cluster.ctl("reload", "--no-wait") },
  { name: "upgrade", share: 1, act: ({ cluster }) => cluster.ctl("upgrade", "--no-wait") },
  { name: "scale", share: 2, act: ({ cluster, random }) => cluster.ctl("scale", String(1 + Math.floor(random() * kMostWorkers)), "--no-wait") },
];
const kDeck = kEvents.flatMap((event) => Array(event.share).fill(event));

async function befall(cluster, random, happened) {
  const event = kDeck[Math.floor(random() * kDeck.length)];
  const workers = childrenOf(cluster.pid).alive;
  const worker = workers[Math.floor(random() * workers.length)];
  if (worker === undefined) return; // the only one was killed, and the next is not there yet
  happened[event.name] = (happened[event.name] ?? 0) + 1;
  try {
    await event.act({ cluster, worker, random });
  } catch (error) {
    if (error.code !== "ESRCH") throw error; // it was gone already
  }
}

/// Nothing goes on any more: as many slots as at the start, each with one worker that serves, and no other child.
async function settled(cluster) {
  cluster.workers = kWorkers;
  const scaled = async () => (await cluster.status()).slots.length === kWorkers || (await cluster.ctl("scale", String(kWorkers))).code === 0;
  await until(scaled, `${kWorkers} slots again`, 60_000, 200);
  await until(async () => (await cluster.ctl("reload")).code === 0, "a reload goes through again", 60_000, 200);
  await cluster.allServe();
  await until(() => childrenOf(cluster.pid).alive.length === kWorkers, "only the workers are left", 30_000);
}

/// A line of each reaches all others, once each of them has come back.
async function chatGoesThrough(members, mark) {
  await until(() => members.every((member) => member.connected), "all clients are connected", 30_000);
  const heard = members.map(() => new Set());
  members.forEach((member, i) => member.on("chat message", (line) => line.startsWith(mark) && heard[i].add(line)));
  members.forEach((member, i) => member.emit("chat message", String(i), mark));
  await until(() => heard.every((lines) => lines.size === members.length - 1), "every line has come", 20_000);
}

/// {events: {name: times}, reconnects, faults: [what is wrong, in words], before, after}
export async function chaos({ seconds, seed, clients = 40, progress = () => {} }) {
  const random = numbersOf(seed);
  const cluster = await Cluster.start({ workers: kWorkers, settings: kSettings });
  let members = [];
  try {
    members = addresses(clients, 77).map((from, i) => client(cluster.url, { from, transports: [["polling"], ["websocket"]][i % 2], reconnectionDelayMax: 1_000 }));
    let reconnects = -clients;
    members.forEach((member) => member.on("connect", () => (reconnects += 1)));
    // What stays for good, is there: every slot was open once (its listening socket is lent to an heir), and there was an upgrade.
    for (const words of [["scale", String(kMostWorkers)], ["upgrade"], ["scale", String(kWorkers)]]) assert.equal((await cluster.ctl(...words)).code, 0, cluster.process.tail());
    await settled(cluster);
    await chatGoesThrough(members, "before");
    const before = holdings(cluster);
    const events = {};
    const end = performance.now() + seconds * 1_000;
    for (let told = performance.now(); performance.now() < end; ) {
      await befall(cluster, random, events);
      members[Math.floor(random() * clients)].emit("chat message", "chaos", "meanwhile");
      await pause(random() * 400);
      if (performance.now() - told > 10_000) {
        told = performance.now();
        progress(`${Math.round((end - told) / 1_000)} s to go: ${JSON.stringify(events)}, ${reconnects} reconnects`);
      }
    }
    await settled(cluster);
    await chatGoesThrough(members, "after");
    // A poll may be on its way, and a control client's end: what stays is looked at.
    const look = () => faultsOf(before, holdings(cluster), childrenOf(cluster.pid).zombies);
    const faults = await until(() => look().length === 0, "nothing is left", 5_000).then(() => [], look);
    return { events, reconnects, before, after: holdings(cluster), faults };
  } catch (error) {
    throw new Error(`${error.message}\n${cluster.process.tail()}`);
  } finally {
    leave(...members);
    await cluster.close(); // exit code 0, no process left, the runtime directory empty
  }
}

function faultsOf(before, after, zombies) {
  const more = ["supervisor", "worker"].flatMap((who) =>
    kCounts
      .filter((what) => after[who][what] > before[who][what])
      .map((what) => `${who}: ${what}: ${before[who][what]} before, ${after[who][what]} after; ${before[who].kinds}; now ${after[who].kinds}`),
  );
  return [...more, ...(zombies.length ? [`zombies: ${zombies}`] : [])];
}

/// The command: prints its seed first, so that a run can be had again.
export async function main(words) {
  const { parseArgs } = await import("node:util");
  const options = { seconds: { type: "string", default: "180" }, seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 32)) }, clients: { type: "string", default: "40" } };
  const { values } = parseArgs({ args: words, options });
  console.log(`chaos: --seconds ${values.seconds} --seed ${values.seed}`);
  const { faults, ...report } = await chaos({ seconds: Number(values.seconds), seed: Number(values.seed), clients: Number(values.clients), progress: (line) => console.log(`chaos: ${line}`) });
  console.log(report);
  for (const fault of faults) console.log(`chaos: ${fault}`);
  console.log(faults.length ? "chaos: something is left behind" : "chaos: healthy at the end, nothing left behind");
  process.exitCode = faults.length ? 1 : 0;
}

if (process.argv[1] === new URL(import.meta.url).pathname) await main(process.argv.slice(2));
