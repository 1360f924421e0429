// Every attack, by kind: rows of one table, which the tests (*.test.mjs) and scripts/soak --attacks read. A row:
//   name      what is done, as a stranger could
//   attack    (target) -> what came of it, for `right`; runs in a process of its own (attacker.mjs). `target` is a Cluster to ask
//             (port, ctl, stats, write), with `from(i)`, an address for the attacker's i-th client
//   right     (result, {moved, cluster}) -> what is wrong, in words, besides what is asked of every attack; undefined if nothing.
//             `moved(counter)`: by how much it grew
//   app, settings   what runs, if it is not probe_app with the defaults
//   moves     {counter: the least by which it has to grow}
//   rssMiB    what a worker's memory may grow by during the attack
//   turnUs    the longest turn outside handlers; kTurnUs if it is not said
//   cpu       {elements, each}: the attack has so many elements, each may cost the workers that many µs of CPU
//   replaces  the attack replaces workers, so there are others afterwards
//   transports, probed   of the bystanders, if not both; false: a prober's requests would be refused with right
//   keepsSessions   sessions of the attack go on after it, so its bytes stay accounted
//   afterSeconds    its memory is back by then, if not after 10 s
//   unread    stderr is a pipe that is full and that nobody reads
//   seconds   by then the attack has ended, or is ended
//   peers     what else it is done to in scripts/soak --attacks: node, nginx
import { kCaps } from "./caps.mjs";
import { kHeaders } from "./headers.mjs";
import { kLogs } from "./logs.mjs";
import { kMemory } from "./memory.mjs";
import { kMoves } from "./moves.mjs";
import { kPackets } from "./packets.mjs";
import { kQueues } from "./queues.mjs";
import { kRequests } from "./requests.mjs";
import { kTimeOuts } from "./time_outs.mjs";
import { kTurns } from "./turns.mjs";

/// On a busy machine a piece of work may go some milliseconds beyond its share of a turn: what others have found beside the list of
/// issue 8 has that much room. scripts/soak --attacks shows what it is on a quiet one.
const withRoom = (rows) => rows.map((row) => ({ turnUs: 20_000, ...row }));

export const kAttacks = { turns: kTurns, memory: kMemory, time_outs: kTimeOuts, caps: kCaps, logs: kLogs, packets: withRoom(kPackets), requests: withRoom(kRequests), moves: withRoom(kMoves), queues: withRoom(kQueues), headers: withRoom(kHeaders) };
