// What stands in front of a cluster. Debian's nginx and HAProxy: plain processes in the foreground, on ports that were
// free, with everything they write in a temporary directory of their own. And a relay in this process.
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { Process, run, until, within } from "./process.mjs";

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: "127.0.0.1" });
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

/// Passes on the bytes of TCP connections: to a cluster's `port`, from the address `from`.
export class AddressRelay {
  static async start(port, from) {
    const relay = new AddressRelay();
    relay.sockets = new Set();
    relay.server = net.createServer((near) => {
      const far = net.connect({ port, host: "127.0.0.1", localAddress: from });
      const end = () => [near, far].forEach((socket) => socket.destroy());
      for (const socket of [near, far]) relay.sockets.add(socket.on("error", end).once("close", () => relay.sockets.delete(socket)));
      near.pipe(far).pipe(near);
    });
    await new Promise((resolve, reject) => relay.server.once("error", reject).listen(0, "127.0.0.1", resolve));
    relay.url = `http://127.0.0.1:${relay.server.address().port}`;
    return relay;
  }

  close() {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }
}

class Proxy {
  constructor(name) {
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), `limpet-${name}-`));
  }

  async launch(command, args, port) {
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
    this.process = new Process(command, args);
    const up = until(() => accepts(port), `${command} accepts`);
    const ended = this.process.exited.then(() => Promise.reject(new Error(`${command} ended\n${this.process.tail()}`)));
    ended.catch(() => {}); // later it may
    await Promise.race([up, ended]);
    return this;
  }

  file(name) {
    return path.join(this.directory, name);
  }

  async close() {
    // Asked first: nginx writes its titles over the environment, where destroy() looks for what is left.
    this.process?.signal("SIGTERM");
    if (this.process) await within(this.process.exited, "the proxy's end");
    await this.process?.destroy();
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

export class Nginx extends Proxy {
  /// A pooling keep-alive upstream without any stickiness; `pool` false: a connection for each request. `upstream`:
  /// "127.0.0.1:3000" or "unix:/path". `more`: further lines of the main context.
  static async start(upstream, { pool = true, more = "" } = {}) {
    const nginx = new Nginx("nginx");
    const port = await freePort();
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((what) => `${what}_temp_path ${nginx.file(what)};`).join("\n  ");
    fs.writeFileSync(
      nginx.file("nginx.conf"),
      `daemon off;
${process.getuid() === 0 ? "user root;" : ""}
worker_processes 2;
${more}
pid ${nginx.file("pid")};
error_log ${nginx.file("error.log")} warn;
events { worker_connections 16384; }
http {
  ${temporary}
  log_format line '$status $request_method $request_uri';
  access_log ${nginx.file("access.log")} line;
  map $http_upgrade $connection_upgrade { default upgrade; '' '${pool ? "" : "close"}'; }
  upstream limpet { server ${upstream}; ${pool ? "keepalive 32;" : ""} }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://limpet;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }
  }
}
`,
    );
    return nginx.launch("nginx", nginx.#words(), port);
  }

  #words() {
    return ["-p", this.directory, "-c", this.file("nginx.conf"), "-e", this.file("error.log")];
  }

  /// {serving, leaving}: pids of its workers; those that leave keep the WebSockets they have.
  workers() {
    const pids = fs.readFileSync(`/proc/${this.process.pid}/task/${this.process.pid}/children`, "utf8").trim().split(" ").filter(Boolean);
    const titled = (title) => pids.filter((pid) => fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").replace(/\0.*/s, "") === title);
    return { serving: titled("nginx: worker process"), leaving: titled("nginx: worker process is shutting down") };
  }

  /// Back when new workers serve; the old ones may be leaving.
  async reload() {
    const before = this.workers().serving;
    const { code, text } = await run("nginx", ["-s", "reload", ...this.#words()]);
    if (code !== 0) throw new Error(`nginx -s reload: ${text}`);
    await until(() => this.workers().serving.filter((pid) => !before.includes(pid)).length === before.length, "new workers of nginx");
  }

  /// "STATUS METHOD URI" of each request that has ended.
  requests() {
    return fs.readFileSync(this.file("access.log"), "utf8").split("\n").filter(Boolean);
  }

  /// Those that were answered with an error; a client that went away (499) made none.
  refused() {
    return this.requests().filter((line) => /^[45]/.test(line) && !line.startsWith("499"));
  }

  errors() {
    return [...this.refused(), ...fs.readFileSync(this.file("error.log"), "utf8").split("\n").filter((line) => /\[(error|crit|alert|emerg)\]/.test(line))];
  }
}

export class HAProxy extends Proxy {
  /// Connections as they are, with a PROXY protocol header in front. `version`: 1 or 2.
  static async start(upstream, { version = 2 } = {}) {
    const haproxy = new HAProxy("haproxy");
    const port = await freePort();
    fs.writeFileSync(
      haproxy.file("haproxy.cfg"),
      `global
  maxconn 4096
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend clients
  bind 127.0.0.1:${port}
  default_backend limpet
backend limpet
  server one ${upstream} ${version === 2 ? "send-proxy-v2" : "send-proxy"} check check-send-proxy inter 200ms
`,
    );
    return haproxy.launch("haproxy", ["-db", "-f", haproxy.file("haproxy.cfg")], port);
  }

  /// It looks into no request: what went wrong, the clients tell.
  errors() {
    return this.process.lines.filter((line) => /DOWN|ALERT/.test(line));
  }
}
