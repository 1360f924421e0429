// Node's socket.io under pm2 in cluster mode, as https://socket.io/docs/v4/pm2/ sets it up: pm2's fork @socket.io/pm2, which
// gives each connection to the worker of its sid (by @socket.io/sticky 2, because with version 1, which it asks for, requests
// on connections that are kept alive hang now and then), and @socket.io/cluster-adapter. The application says when it is ready
// and ends on SIGINT when its connections are closed (https://pm2.keymetrics.io/docs/usage/signals-clean-restart/).
// pm2 stays in the foreground, with a home of its own; it listens on all addresses, which nothing can change.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Process, run, within } from "../../system/process.mjs";
import { freePort } from "../../system/proxies.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const command = path.join(here, "node_modules/@socket.io/pm2/bin/pm2");
const application = path.join(here, "../../client/reference.mjs");

export class Pm2 {
  static async start(workers) {
    if (!fs.existsSync(command)) throw new Error(`${command}: is missing; npm ci --prefix tests/soak/peers`);
    const pm2 = new Pm2();
    pm2.home = fs.mkdtempSync(path.join(os.tmpdir(), "limpet-pm2-"));
    pm2.port = await freePort();
    pm2.env = { PM2_HOME: pm2.home, PM2_PORT: String(pm2.port), PM2_DISABLE_VERSION_CHECK: "true" };
    const file = path.join(pm2.home, "ecosystem.config.json");
    const app = { name: "app", script: application, exec_mode: "cluster", instances: workers, wait_ready: true, listen_timeout: 10_000, kill_timeout: 5_000 };
    fs.writeFileSync(file, JSON.stringify({ apps: [app] }));
    pm2.process = new Process(process.execPath, [command, "start", file, "--no-daemon"], { env: pm2.env });
    try {
      await pm2.process.line(/\[app\] launched \(\d+ instances\)/, { deadlineMs: 30_000 });
    } catch (error) {
      await pm2.destroy();
      throw error;
    }
    return pm2;
  }

  /// Back when pm2 has reloaded every worker.
  async reload() {
    const { code, text } = await run(process.execPath, [command, "reload", "app"], { env: this.env, deadlineMs: 60_000 });
    if (code !== 0) throw new Error(`pm2 reload: ${text}\n${this.process.tail()}`);
  }

  async close() {
    try {
      this.process.signal("SIGINT");
      await within(this.process.exited, "the end of pm2", 15_000);
    } finally {
      await this.destroy();
    }
  }

  async destroy() {
    await this.process.destroy();
    fs.rmSync(this.home, { recursive: true, force: true });
  }
}
