// scripts/soak --proxies: official clients in rooms of ten chat through proxies that know nothing of sessions: with Limpet, and a
// reload in the middle (or several, one after the other); with Node's cluster. Exits 1 if anybody noticed with Limpet.
// Writes docs/results-proxies.md when all of them ran.
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { behindProxy, kWays } from "../system/behind.mjs";
import { addresses } from "../system/cluster.mjs";
import { Process } from "../system/process.mjs";
import { Nginx } from "../system/proxies.mjs";
import { Rooms } from "../system/rooms.mjs";
import { writeProxies } from "./results.mjs";

const reference = path.join(path.dirname(fileURLToPath(import.meta.url)), "../client/reference.mjs");
const versions = { "Node cluster, sticky 2, nginx over TCP": "@socket.io/sticky", "Node cluster, sticky 1, nginx over TCP": "sticky-1" };
const all = [...kWays, ...Object.keys(versions)];

const { values } = parseArgs({
  options: {
    clients: { type: "string", default: "500" },
    seconds: { type: "string", default: "60" },
    workers: { type: "string", default: "4" },
    reloads: { type: "string", default: "1" },
    only: { type: "string", multiple: true, default: all },
  },
});
const [clients, seconds, workers, reloads] = ["clients", "seconds", "workers", "reloads"].map((name) => Number(values[name]));

async function chat(proxy, inTheMiddle) {
  const rooms = await Rooms.connect(proxy.url, addresses(clients, 90));
  try {
    await rooms.chat(seconds, inTheMiddle);
    return rooms.report();
  } finally {
    rooms.leave();
  }
}

function limpet(way) {
  return behindProxy(way, workers, async (proxy, cluster) => {
    const reload = async () => {
      for (let i = 0; i < reloads; i += 1) {
        const { code, text } = await cluster.ctl("reload");
        if (code !== 0) throw new Error(`${text}\n${cluster.process.tail()}`);
      }
    };
    const report = await chat(proxy, reload);
    const { joined, rejoined, missing, disconnects, connect_errors, mistakes } = report;
    if (clients - joined + rejoined + missing + disconnects + connect_errors + mistakes + proxy.errors().length > 0) {
      process.exitCode = 1;
      const counters = Object.entries(await cluster.stats()).filter(([, { total }]) => total > 0);
      console.log(counters.map(([name, { total }]) => `${name} ${total}`).join(", "));
      console.log(cluster.process.lines.filter((line) => /warn|error/.test(line)).slice(-40).join("\n"));
    }
    return { name: `Limpet, ${way}`, reloads, report, ...counted(proxy) };
  });
}

async function node(name) {
  const server = new Process(process.execPath, [reference], { env: { WORKERS: String(workers), STICKY: versions[name] } });
  let proxy;
  try {
    const [, port] = await server.line(/serving on tcp:\/\/127\.0\.0\.1:(\d+)/);
    proxy = await Nginx.start(`127.0.0.1:${port}`);
    const report = await chat(proxy);
    return { name, reloads: 0, report, ...counted(proxy) };
  } finally {
    await proxy?.close();
    await server.destroy();
  }
}

/// HAProxy looks into no request: what went wrong, its clients tell.
function counted(proxy) {
  return proxy instanceof Nginx ? { requests: proxy.requests().length, errors: proxy.refused().length, error_lines: proxy.errors().slice(0, 5) } : {};
}

const runs = [];
for (const name of values.only) {
  runs.push(await (name in versions ? node(name) : limpet(name)));
  console.log(runs.at(-1));
}
if (all.every((name) => values.only.includes(name))) writeProxies({ command: ["scripts/soak --proxies", ...process.argv.slice(2)].join(" "), runs, clients, seconds, workers });
