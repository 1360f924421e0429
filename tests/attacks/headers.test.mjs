import { testAttacks } from "./tests.mjs";

testAttacks("headers", "header lines of strangers");
