/* Falling asleep and being rung (ipc/ring/layout.h: I8, I6): two writers, one reader, each with a store buffer as x86 has
 * (a store is seen by others some time later, in order). A writer may be killed at any step: its buffered stores still
 * come, and the supervisor then kicks the doorbell. Or it may be stopped for ever at any step: nobody promises to see its
 * own last message then, but the other writer's must be.
 *
 * Broken variants, each of which must find an error:
 *   -DNO_WRITER_FENCE  -DNO_READER_FENCE  -DNO_LOOK (no look at the tails after falling asleep)  -DNO_KICK
 *   -DSHARED_FLAG      writers claim the ringing in a shared flag, then ring: a stopped one swallows the other's
 */
#ifndef MESSAGES
#define MESSAGES 2
#endif
#define WRITERS 2

byte tail[WRITERS]; /* as seen in memory */
byte epoch;
bool bell;
#ifdef SHARED_FLAG
byte claimed;
#endif

byte seen[WRITERS]; /* up to where the reader has read */
byte published[WRITERS];
bool killed[WRITERS];
bool stopped[WRITERS];

chan writer_buffer[WRITERS] = [2] of { byte };
chan reader_buffer = [2] of { byte };

/* The store buffers drain whenever they like. */
active proctype memory() {
end_memory:
  do
  :: writer_buffer[0] ? tail[0]
  :: writer_buffer[1] ? tail[1]
  :: reader_buffer ? epoch
  od
}

proctype writer(byte me) {
  byte asleep;
  byte notified = 0;
  {
    do
    :: published[me] < MESSAGES ->
       d_step {
         nfull(writer_buffer[me]);
         published[me] = published[me] + 1;
         writer_buffer[me] ! published[me]
       };
#ifndef NO_WRITER_FENCE
       empty(writer_buffer[me]);
#endif
       asleep = epoch;
#ifdef SHARED_FLAG
       if
       :: d_step { asleep % 2 == 1 && claimed != asleep -> claimed = asleep };
          bell = true
       :: asleep % 2 == 0 || claimed == asleep
       fi
#else
       if
       :: d_step { asleep % 2 == 1 && asleep != notified -> notified = asleep; bell = true }
       :: else
       fi
#endif
    :: published[me] == MESSAGES -> break
    od
  } unless { killed[me] || stopped[me] };
  if
  :: killed[me] ->
     empty(writer_buffer[me]); /* the process is gone for good only when its stores are in memory */
#ifndef NO_KICK
     bell = true
#endif
  :: else
  fi
}

active proctype fate() {
  if
  :: killed[0] = true
  :: stopped[0] = true
  :: skip
  fi
}

active proctype reader() {
  byte now = 0;

  do
  :: atomic { nfull(reader_buffer); now++; reader_buffer ! now }; /* odd: asleep */
#ifndef NO_READER_FENCE
     empty(reader_buffer);
#endif
#ifndef NO_LOOK
     if
     :: tail[0] != seen[0] -> goto awake
     :: tail[0] == seen[0]
     fi;
     if
     :: tail[1] != seen[1] -> goto awake
     :: tail[1] == seen[1]
     fi;
#endif
end_waiting:
     bell;
     bell = false;
awake:
     atomic { nfull(reader_buffer); now++; reader_buffer ! now }; /* even: awake */
     seen[0] = tail[0];
     seen[1] = tail[1]
  od
}

/* Nothing can move any more: everybody is done, dead, stopped, or asleep. */
active proctype quiet() {
  timeout;
  assert(stopped[0] || seen[0] == tail[0]); /* I8, and I6 if it was killed */
  assert(seen[1] == tail[1])
}

init {
  atomic {
    run writer(0);
    run writer(1)
  }
}
