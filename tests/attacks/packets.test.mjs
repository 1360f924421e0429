import { testAttacks } from "./tests.mjs";

testAttacks("packets", "odd frames and packets");
