import { testAttacks } from "./tests.mjs";

testAttacks("moves", "strangers while workers are replaced");
