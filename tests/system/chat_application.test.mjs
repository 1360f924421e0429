// The default application as its users meet it: the web page in two browsers, client.js in a terminal, curl.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import { request } from "../client/raw.mjs";
import { connected, leave } from "../client/official.mjs";
import { Browser } from "./browser.mjs";
import { Cluster, addresses } from "./cluster.mjs";
import { AddressRelay } from "./proxies.mjs";
import { within } from "./process.mjs";

const chat = path.join(path.dirname(fileURLToPath(import.meta.url)), "../../examples/chat");

describe("the chat", () => {
  let cluster;
  before(async () => {
    cluster = await Cluster.start({ app: "chat", workers: 3, listen: ["tcp://127.0.0.1:0", "tcp://[::1]:0"] });
  });
  after(() => cluster?.close());

  const worker = async (options) => (await request(options.port ?? cluster.port, { path: "/worker", ...options })).body.toString();

  test("/worker answers `worker: <slot>`, the same for one address, over IPv4 and IPv6", async () => {
    const slots = new Set();
    for (const from of addresses(40)) {
      const answer = await worker({ from });
      assert.match(answer, /^worker: [0-2]$/);
      for (let again = 0; again < 3; again += 1) assert.equal(await worker({ from }), answer);
      slots.add(answer);
    }
    assert.equal(slots.size, 3, "40 addresses reach every worker");
    const six = { port: cluster.ports[1], host: "::1", from: "::1" };
    assert.equal(await worker(six), await worker(six));
  });

  test("the page, its files and the official browser client are served", async () => {
    for (const [file, type] of [["/", "text/html"], ["/app.js", "javascript"], ["/style.css", "text/css"], ["/socket.io/socket.io.min.js", "javascript"]]) {
      const { status, headers, body } = await request(cluster.port, { path: file });
      assert.equal(status, 200, file);
      assert.ok(headers["content-type"].includes(type), `${file}: ${headers["content-type"]}`);
      assert.ok(body.length > 500, file);
    }
    assert.equal((await request(cluster.port, { path: "/../chat.cpp" })).status, 404);
  });

  test("a line typed into client.js reaches a program elsewhere, and back", async () => {
    const [far] = addresses(1, 5);
    const program = await connected(cluster.url, { from: far });
    const heard = new Promise((resolve) => program.once("chat message", resolve));
    const terminal = spawn(process.execPath, [path.join(chat, "client.js"), "Ada", cluster.url], { stdio: ["pipe", "pipe", "inherit"] });
    const lines = [];
    terminal.stdout.setEncoding("utf8").on("data", (text) => lines.push(text));
    const shown = (what) =>
      within(
        new Promise((resolve) => {
          const look = () => lines.join("").includes(what) && resolve();
          terminal.stdout.on("data", look);
          look();
        }),
        `${what} in the terminal`,
      );
    await shown("connected to worker");
    terminal.stdin.write("hello\n");
    assert.equal(await within(heard, "Ada's line"), "hello from Ada");
    program.emit("chat message", "Bob", "good day");
    await shown("good day from Bob");
    terminal.stdin.end();
    const [code] = await within(once(terminal, "exit"), "the end of client.js");
    assert.equal(code, 0);
    leave(program);
  });

  test("a browser chats with a browser that sits on another worker", async () => {
    const seat = await worker({ from: "127.0.0.1" });
    const elsewhere = [];
    for (const from of addresses(40, 7)) if ((await worker({ from })) !== seat) elsewhere.push(from);
    const relay = await AddressRelay.start(cluster.port, elsewhere[0]); // Chromium cannot choose its address
    const browsers = await Promise.all([Browser.open(cluster.url), Browser.open(relay.url)]);
    try {
      const [one, two] = browsers;
      for (const browser of browsers) await browser.until(`document.body?.dataset.state === "connected" && /\\d/.test(document.getElementById("worker").textContent)`);
      const seats = await Promise.all(browsers.map((browser) => browser.evaluate(`document.getElementById("worker").textContent`)));
      assert.notEqual(seats[0], seats[1]);
      const say = (browser, name, line) =>
        browser.evaluate(`document.getElementById("name").value = ${JSON.stringify(name)};
          document.getElementById("line").value = ${JSON.stringify(line)};
          document.getElementById("composer").requestSubmit();`);
      const shows = (browser, text) => browser.until(`document.getElementById("messages").textContent.includes(${JSON.stringify(text)})`);
      await say(one, "Ann", "is anybody there?");
      await shows(two, "is anybody there?");
      await say(two, "Ben", "over here");
      await shows(one, "over here");
      assert.equal(await two.evaluate(`document.getElementById("transport").textContent`), "websocket");
    } finally {
      await Promise.all(browsers.map((browser) => browser.close()));
      relay.close();
    }
  });
});
