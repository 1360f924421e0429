import { testAttacks } from "./tests.mjs";

testAttacks("time_outs", "clients that are slow on purpose");
