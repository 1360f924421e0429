import { testAttacks } from "./tests.mjs";

testAttacks("memory", "memory that strangers make a worker hold");
