import { testAttacks } from "./tests.mjs";

testAttacks("requests", "requests in every form");
