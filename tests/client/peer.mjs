// The server that a client test talks to. LIMPET_PEER says which:
//   limpet (default)  `limpet serve probe_app`, one worker (LIMPET_WORKERS=N: more)
//   alone             `probe_app` by itself, without a supervisor and with its default settings
//   node              the official server (reference.mjs), which proves that a test is right
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Process } from "../system/process.mjs";
import { build, limpetToml } from "../system/build.mjs";

export const kind = process.env.LIMPET_PEER ?? "limpet";
export const isNode = kind === "node";
const workers = Number(process.env.LIMPET_WORKERS ?? 1);
const here = path.dirname(fileURLToPath(import.meta.url));

/// Names and units are the official server's: pingInterval, pingTimeout, upgradeTimeout, connectTimeout,
/// maxHttpBufferSize. Give it to `t.after` (or `after`) by calling `peer.stop()`.
export async function startPeer(settings = {}) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "limpet-client-"));
  const process_ = spawnPeer(settings, directory);
  const stop = async () => {
    await process_.destroy();
    fs.rmSync(directory, { recursive: true, force: true });
  };
  try {
    const [, port] = await process_.line(/serving on tcp:\/\/127\.0\.0\.1:(\d+)/);
    return { port: Number(port), url: `http://127.0.0.1:${port}`, process: process_, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function spawnPeer(settings, directory) {
  if (isNode) {
    const env = { SETTINGS: JSON.stringify(settings), WORKERS: String(workers) };
    return new Process(process.execPath, [path.join(here, "reference.mjs")], { env });
  }
  const file = path.join(directory, "limpet.toml");
  fs.writeFileSync(file, limpetToml(settings));
  const listen = ["--listen", "tcp://127.0.0.1:0"];
  if (kind === "alone") return new Process(build("probe_app"), listen);
  const runtime = ["--workers", String(workers), "--runtime-dir", path.join(directory, "run")];
  return new Process(build("limpet"), ["serve", build("probe_app"), "-c", file, ...listen, ...runtime]);
}
