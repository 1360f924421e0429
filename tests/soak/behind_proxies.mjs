// scripts/soak --proxies: official clients in rooms of ten chat through proxies that know nothing of sessions, with a reload
// in the middle (or several, one after the other).
import { parseArgs } from "node:util";
import { behindProxy, kWays } from "../system/behind.mjs";
import { addresses } from "../system/cluster.mjs";
import { Rooms } from "../system/rooms.mjs";

const { values } = parseArgs({
  options: {
    clients: { type: "string", default: "500" },
    seconds: { type: "string", default: "60" },
    workers: { type: "string", default: "4" },
    reloads: { type: "string", default: "1" },
    way: { type: "string", multiple: true, default: kWays },
  },
});

async function chat(proxy, inTheMiddle) {
  const rooms = await Rooms.connect(proxy.url, addresses(Number(values.clients), 90));
  try {
    await rooms.chat(Number(values.seconds), inTheMiddle);
    return { ...rooms.report(), proxy_errors: proxy.errors() };
  } finally {
    rooms.leave();
  }
}

for (const way of values.way) {
  await behindProxy(way, Number(values.workers), async (proxy, cluster) => {
    const reload = async () => {
      for (let i = 0; i < Number(values.reloads); i += 1) {
        const { code, text } = await cluster.ctl("reload");
        if (code !== 0) throw new Error(`${text}\n${cluster.process.tail()}`);
      }
    };
    const report = await chat(proxy, reload);
    console.log(way, report);
    const counters = Object.entries(await cluster.stats()).filter(([, { total }]) => total > 0);
    console.log(counters.map(([name, { total }]) => `${name} ${total}`).join(", "));
    const { joined, clients, rejoined, missing, disconnects, connect_errors, mistakes, proxy_errors } = report;
    if (clients - joined + rejoined + missing + disconnects + connect_errors + mistakes + proxy_errors.length > 0) {
      process.exitCode = 1;
      console.log(cluster.process.lines.filter((line) => /warn|error/.test(line)).slice(-40).join("\n"));
    }
  });
}
