// What else is attacked in scripts/soak --attacks. Each: start(row, directory, through) -> {port, url, pids(), close}; `pids()` are its workers.
//   node    the official server with the handlers of probe_app: cluster of 2 with @socket.io/sticky and @socket.io/cluster-adapter
//   nginx   two workers that serve the same files; it has no chat, so that its prober alone says whether others notice
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Process, until } from "../system/process.mjs";
import { freePort } from "../system/proxies.mjs";

const reference = path.join(path.dirname(fileURLToPath(import.meta.url)), "../client/reference.mjs");

function childrenOf(pid) {
  return fs.readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
}

async function node({ settings = {} }, directory, through) {
  const official = Object.fromEntries(Object.entries(settings).filter(([name]) => !name.includes(".")));
  const [command, ...words] = [...through, process.execPath, reference];
  const server = new Process(command, words, { env: { WORKERS: "2", SETTINGS: JSON.stringify(official) } });
  try {
    const [, port] = await server.line(/serving on tcp:\/\/127\.0\.0\.1:(\d+)/);
    // Its primary process reads every request's head: it is one of those that are kept busy.
    return { port: Number(port), url: `http://127.0.0.1:${port}`, pids: () => [server.pid, ...childrenOf(server.pid)], close: () => server.destroy() };
  } catch (error) {
    await server.destroy();
    throw error;
  }
}

async function nginx(row, directory, through) {
  const port = await freePort();
  const file = (name) => path.join(directory, name);
  fs.writeFileSync(
    file("nginx.conf"),
    `daemon off;
${process.getuid() === 0 ? "user root;" : ""}
worker_processes 2;
pid ${file("pid")};
error_log ${file("error.log")} warn;
events { worker_connections 16384; }
http {
  ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((what) => `${what}_temp_path ${file(what)};`).join("\n  ")}
  access_log off;
  sendfile on;
  keepalive_requests 1000000;
  open_file_cache max=1000;
  server {
    listen 127.0.0.1:${port} reuseport;
    root ${file("public")};
    location /worker { return 200 "worker: nginx\\n"; }
  }
}
`,
  );
  const [command, ...words] = [...through, "nginx", "-p", directory, "-c", file("nginx.conf"), "-e", file("error.log")];
  const server = new Process(command, words);
  const close = async () => {
    server.signal("SIGTERM"); // nginx writes its titles over the environment, where destroy() looks
    await server.exited;
    await server.destroy();
  };
  try {
    await until(() => fs.existsSync(file("pid")) && childrenOf(server.pid).length === 2, "nginx serves");
  } catch (error) {
    await close();
    throw error;
  }
  return { port, pids: () => childrenOf(server.pid), close };
}

export const kPeers = { node: { name: "Node socket.io", chats: true, start: node }, nginx: { name: "nginx", chats: false, start: nginx } };
