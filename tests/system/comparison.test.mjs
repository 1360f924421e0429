// The short form of scripts/soak --peers and --proxies: that what measures the others still works. pm2, which has a hundred
// packages, is left to scripts/soak.
import assert from "node:assert/strict";
import path from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { run } from "./process.mjs";

const soak = (name) => path.join(path.dirname(fileURLToPath(import.meta.url)), "../soak", name);

async function figures(script, ...words) {
  const { code, text } = await run(process.execPath, [soak(script), ...words], { deadlineMs: 60_000 });
  assert.equal(code, 0, text);
  return (name) => Number(text.match(new RegExp(`\\b${name}: (\\d+)`))?.[1]);
}

describe("the comparison with others", () => {
  test("official clients chat with Node's cluster through nginx", async () => {
    const figure = await figures("behind_proxies.mjs", "--only", "Node cluster, sticky 2, nginx over TCP", "--clients", "20", "--seconds", "0", "--workers", "2");
    assert.equal(figure("clients"), 20);
    assert.ok(figure("rounds") >= 10 && figure("words") > 0);
  });

  test("nginx is reloaded under the load", async () => {
    const figure = await figures("compare.mjs", "--only", "nginx", "--seconds", "1", "--every", "1", "--calm", "0", "--web-sockets", "80", "--pollers", "20");
    assert.ok(figure("echoes") > 300 && figure("room_messages") > 0);
    assert.ok(figure("requests") > 30);
  });
});
