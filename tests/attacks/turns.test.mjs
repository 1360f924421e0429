import { testAttacks } from "./tests.mjs";

testAttacks("turns", "much work in little input");
