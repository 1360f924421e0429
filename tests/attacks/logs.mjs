// Logs that nobody reads (issue 8, D). More of it: ../system, on its own.
import fs from "node:fs";
import { many, packet, repeat, webSocket } from "./hose.mjs";

/// stderr is a pipe; from now on nobody reads it, and it is full. `undo` reads on.
function fullPipe({ process: { child, pid } }) {
  child.stderr.pause();
  const pipe = fs.openSync(`/proc/${pid}/fd/2`, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK);
  try {
    for (const junk = Buffer.alloc(4096, "x\n"); ; ) fs.writeSync(pipe, junk);
  } catch (error) {
    if (error.code !== "EAGAIN") throw error;
  } finally {
    fs.closeSync(pipe);
  }
  return () => child.stderr.resume();
}

async function throwUnheard(target) {
  const hoses = await many(50, (i) => webSocket(target, i));
  await Promise.all(hoses.map((hose) => hose.pour(repeat(packet('42["throw"]'), 500))));
  const served = await Promise.all(hoses.map((hose) => hose.echo()));
  const { code } = await target.ctl("status", "--timeout", "5");
  return { served: served.every(Boolean), code };
}

export const kLogs = [
  {
    name: "stderr is a full pipe that nobody reads while 25,000 events throw",
    attack: throwUnheard,
    around: fullPipe,
    right: ({ served, code }) => (served && code === 0 ? undefined : `clients served: ${served}, ctl status: exit code ${code}`),
    moves: { handler_exceptions: 25_000, log_lines_dropped: 1 },
  },
];
