// A headless Chromium (Debian's), driven over its DevTools protocol: one page, expressions evaluated in it.
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import readline from "node:readline";
import WebSocket from "ws";
import { until, within } from "./process.mjs";

const flags = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--remote-debugging-port=0", "--window-size=900,700",
];

export class Browser {
  #calls = new Map();
  #last = 0;

  static async open(url) {
    const browser = new Browser();
    browser.profile = fs.mkdtempSync(path.join(os.tmpdir(), "limpet-browser-"));
    browser.child = spawn("chromium", [...flags, `--user-data-dir=${browser.profile}`, "about:blank"], { stdio: ["ignore", "ignore", "pipe"] });
    browser.exited = new Promise((resolve) => browser.child.once("close", resolve));
    const endpoint = new Promise((resolve, reject) => {
      browser.child.once("error", reject);
      readline.createInterface({ input: browser.child.stderr }).on("line", (line) => {
        const [, found] = line.match(/DevTools listening on (ws:\S+)/) ?? [];
        if (found) resolve(found);
      });
    });
    const { host } = new URL(await within(endpoint, "Chromium's DevTools", 30_000));
    const targets = await (await fetch(`http://${host}/json/list`)).json();
    await browser.#attach(targets.find((target) => target.type === "page").webSocketDebuggerUrl);
    await browser.call("Page.navigate", { url });
    return browser;
  }

  async #attach(endpoint) {
    this.channel = new WebSocket(endpoint);
    this.channel.on("message", (text) => {
      const { id, result, error } = JSON.parse(text);
      const call = this.#calls.get(id);
      this.#calls.delete(id);
      if (error) call?.reject(new Error(error.message));
      else call?.resolve(result);
    });
    await new Promise((resolve, reject) => this.channel.once("open", resolve).once("error", reject));
  }

  call(method, params = {}) {
    const id = (this.#last += 1);
    this.channel.send(JSON.stringify({ id, method, params }));
    return within(new Promise((resolve, reject) => this.#calls.set(id, { resolve, reject })), method, 20_000);
  }

  async evaluate(expression) {
    const { result, exceptionDetails } = await this.call("Runtime.evaluate", { expression, returnByValue: true });
    if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.text}`);
    return result.value;
  }

  /// The value of `expression`, once it is true-like.
  until(expression, deadlineMs = 20_000) {
    return until(() => this.evaluate(expression), expression, deadlineMs, 50);
  }

  async close() {
    this.channel?.close();
    this.child.kill("SIGKILL");
    await this.exited;
    fs.rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
