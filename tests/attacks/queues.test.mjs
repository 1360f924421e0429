import { testAttacks } from "./tests.mjs";

testAttacks("queues", "long queues, large messages and many that are nearly too much");
