import { testAttacks } from "./tests.mjs";

testAttacks("caps", "more than the limits allow");
