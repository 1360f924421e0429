// What is reloaded beside Limpet under the same load. Each: {name, operation, workers, start}; `start()` gives
// {port, operate, remains, close}: one operation, and in words what the operations have left behind.
import { Cluster } from "../system/cluster.mjs";
import { Nginx } from "../system/proxies.mjs";
import { Pm2 } from "./peers/pm2.mjs";

const workers = 2;

async function limpet() {
  const cluster = await Cluster.start({ workers });
  const operate = async () => {
    const { code, text } = await cluster.ctl("reload");
    if (code !== 0) throw new Error(`${text}\n${cluster.process.tail()}`);
  };
  return { port: cluster.port, operate, remains: () => "nothing", close: () => cluster.close() };
}

/// In front of a Limpet that is left alone. Its old workers keep their WebSockets until these end, or until the timeout.
async function nginx(shutdownTimeout) {
  const listen = [{ address: "tcp://127.0.0.1:0", trusted: ["127.0.0.1"] }];
  const cluster = await Cluster.start({ workers, listen: [], settings: { listen } });
  let proxy;
  const close = async () => {
    await proxy?.close();
    await cluster.close();
  };
  try {
    proxy = await Nginx.start(`127.0.0.1:${cluster.port}`, { more: shutdownTimeout ? `worker_shutdown_timeout ${shutdownTimeout};` : "" });
  } catch (error) {
    await close();
    throw error;
  }
  return { port: proxy.port, operate: () => proxy.reload(), remains: () => `${proxy.workers().leaving.length} old workers`, close };
}

async function pm2() {
  const server = await Pm2.start(workers);
  return { port: server.port, operate: () => server.reload(), remains: () => "nothing", close: () => server.close() };
}

export const kContenders = {
  limpet: { name: "Limpet", operation: "limpet ctl reload", start: limpet },
  nginx: { name: "nginx", operation: "nginx -s reload", start: () => nginx() },
  "nginx-timeout": { name: "nginx, worker_shutdown_timeout 10s", operation: "nginx -s reload", start: () => nginx("10s") },
  pm2: { name: "Node socket.io, pm2", operation: "pm2 reload", start: pm2 },
};
