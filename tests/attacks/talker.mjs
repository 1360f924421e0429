// What an attacker says and hears message by message while the workers are replaced: a WebSocket and a polling session whose
// every message is looked at, bytes that are cut where the attacker wants, and the operator's commands.
import fs from "node:fs";
import { Polling, upgradeRequest } from "../client/raw.mjs";
import { Hose, kAnswered, packet } from "./hose.mjs";

/// What an operator does, one command after the other: the exit codes that are not 0, each with the last line that was said.
export async function operate(target, moves, between = async () => {}) {
  const refused = [];
  for (const [i, move] of moves.entries()) {
    await between(i);
    const { code, text } = await target.ctl(...move.split(" "));
    if (code !== 0) refused.push(`${move}: ${code}: ${text.split("\n").at(-1)}`);
  }
  await between(moves.length);
  return refused;
}

export const kOperations = ["reload", "scale 1", "scale 3", "upgrade", "scale 2"];
/// Each of them ends as soon as nothing is left to do.
export const kQuick = { "reload.probation": "100ms", "reload.drain_window": "200ms" };

/// `bytes` in pieces that end at these places.
export function cut(bytes, places) {
  const ends = [...places, bytes.length];
  return ends.map((end, i) => bytes.subarray(i === 0 ? 0 : ends[i - 1], end));
}

/// The payload of each frame that a server sends, however it is cut: `each(opcode, payload)`.
function eachFrame(each) {
  let rest = Buffer.alloc(0);
  let head = true;
  return (data) => {
    rest = Buffer.concat([rest, data]);
    if (head) {
      const end = rest.indexOf("\r\n\r\n");
      if (end < 0) return;
      rest = rest.subarray(end + 4);
      head = false;
    }
    for (;;) {
      if (rest.length < 2) return;
      const short = rest[1] & 0x7f;
      const start = short === 126 ? 4 : short === 127 ? 10 : 2;
      if (rest.length < start) return;
      const size = short === 126 ? rest.readUInt16BE(2) : short === 127 ? Number(rest.readBigUInt64BE(2)) : short;
      if (rest.length < start + size) return;
      each(rest[0] & 0xf, rest.subarray(start, start + size));
      rest = rest.subarray(start + size);
    }
  };
}

/// A WebSocket whose messages are looked at: `heard(text, talker)` of each text, `got(buffer, talker)` of each attachment,
/// `ponged(buffer, talker)` of each pong. Answers pings.
export class Talker extends Hose {
  constructor(target, number, { query = "EIO=4&transport=websocket", heard = () => {}, got = () => {}, ponged = () => {}, answers = true } = {}) {
    super(target, number);
    Object.assign(this, { heard, got, ponged });
    // Before the Hose's own, so that who waits finds what this has heard.
    this.socket.prependListener(
      "data",
      eachFrame((opcode, payload) => {
        if (opcode === 2) this.got(Buffer.from(payload), this);
        if (opcode === 10) this.ponged(payload, this);
        if (opcode === 8) this.code = payload.readUInt16BE(0);
        if (opcode !== 1) return;
        if (answers && payload.length === 1 && payload[0] === 0x32) this.socket.write(packet("3"));
        else this.heard(payload.toString("latin1"), this);
      }),
    );
    this.socket.write(upgradeRequest(query));
  }

  static async join(target, number, options) {
    const talker = new Talker(target, number, options);
    await talker.until(kAnswered);
    await talker.pour(packet("40"));
    if (!(await talker.until(({ tail }) => tail.includes('40{"sid"')))) throw new Error(`no WebSocket: ${talker.end ?? ""} ${talker.tail.slice(0, 400)}`);
    return talker;
  }
}

/// Packets of polls until `look` finds one, or the session says something else than packets.
export async function polled(session, look) {
  for (;;) {
    const { status, body } = await session.get();
    if (status !== 200) return `${status} ${body}`;
    const packets = body.split("\x1e");
    if (packets.includes("2")) await session.post("3");
    const found = packets.find(look);
    if (found) return found;
  }
}

export const joinPolling = (target, number) => Polling.connect(target.port, { from: target.from(number) });

/// The most memory in MiB that a worker that serves now has had.
export async function peak(target) {
  const workers = await target.seated();
  return Math.max(...workers.map(({ pid }) => Number(fs.readFileSync(`/proc/${pid}/status`, "latin1").match(/VmHWM:\s+(\d+) kB/)[1]) / 1_024));
}
