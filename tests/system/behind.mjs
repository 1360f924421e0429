// A cluster behind a proxy that knows nothing of sessions, in each of the ways that docs/operations.md names.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { Cluster } from "./cluster.mjs";
import { HAProxy, Nginx } from "./proxies.mjs";

const ways = {
  "nginx over TCP": (cluster) => Nginx.start(`127.0.0.1:${cluster.port}`),
  "nginx over a Unix socket": (cluster, unix) => Nginx.start(`unix:${unix}`),
  "HAProxy, PROXY protocol 1": (cluster) => HAProxy.start(`127.0.0.1:${cluster.ports[2]}`, { version: 1 }),
  "HAProxy, PROXY protocol 2": (cluster) => HAProxy.start(`127.0.0.1:${cluster.ports[2]}`, { version: 2 }),
};
export const kWays = Object.keys(ways);

/// `use(proxy, cluster)` with both running; neither is left behind.
export async function behindProxy(way, workers, use) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "limpet-behind-"));
  const unix = path.join(directory, "limpet.sock");
  const listen = [
    { address: "tcp://127.0.0.1:0", trusted: ["127.0.0.1"] },
    { address: `unix://${unix}`, trusted: ["unix"] },
    { address: "tcp://127.0.0.1:0", proxy_protocol: true },
  ];
  const cluster = await Cluster.start({ workers, listen: [], settings: { listen } });
  let proxy;
  try {
    proxy = await ways[way](cluster, unix);
    return await use(proxy, cluster);
  } finally {
    await proxy?.close();
    try {
      await cluster.close();
    } finally {
      fs.rmSync(directory, { recursive: true, force: true });
    }
  }
}
