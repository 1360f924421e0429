// One attack in a process of its own, so that what it costs its maker delays nobody else:
//   node attacker.mjs GROUP NUMBER FIELDS    the row of that group (table.mjs), at a server with these fields (JSON)
// Prints `result: JSON`, what the attack's function gave. Attackers have other machines in truth: this one gives way to
// whoever shares its CPUs.
import os from "node:os";
import { Cluster } from "../system/cluster.mjs";
import { addresses } from "../system/cluster.mjs";
import { kAttacks } from "./table.mjs";

const [group, number, fields] = process.argv.slice(2);
os.setPriority(10);
const from = addresses(2_000, 60);
const target = Object.assign(Cluster.at(JSON.parse(fields)), { from: (i) => from[i % from.length] });
const result = await kAttacks[group][Number(number)].attack(target);
process.stdout.write(`result: ${JSON.stringify(result ?? {})}\n`, () => process.exit(0));
