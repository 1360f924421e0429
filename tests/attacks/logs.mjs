// Logs that nobody reads (issue 8, D). More of it: ../system, on its own.
import { within } from "../system/process.mjs";
import { many, packet, repeat, webSocket } from "./hose.mjs";

async function throwUnheard(target) {
  const hoses = await many(50, (i) => webSocket(target, i));
  await Promise.all(hoses.map((hose) => hose.pour(repeat(packet('42["throw"]'), 500))));
  const served = await Promise.all(hoses.map((hose) => hose.echo()));
  const { code } = await within(target.ctl("status"), "status").catch(() => ({ code: "none" }));
  return { served: served.every(Boolean), code };
}

export const kLogs = [
  {
    name: "stderr is a full pipe that nobody reads while 25,000 events throw",
    attack: throwUnheard,
    unread: true,
    right: ({ served, code }) => (served && code === 0 ? undefined : `clients served: ${served}, ctl status: exit code ${code}`),
    moves: { handler_exceptions: 25_000, log_lines_dropped: 1 },
  },
];
