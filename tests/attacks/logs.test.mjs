import { testAttacks } from "./tests.mjs";

testAttacks("logs", "logs that nobody reads");
