/* The ring: lapping, acknowledged laps, the death of a writer at any step, and generations (ipc/ring/layout.h: I1, I3, I4,
 * I5, I6). A record is one slot of two halves, so that a torn copy shows; position p is written as p + 1 in both. Memory is
 * sequentially consistent: the fences of the code are for that. A d_step touches one shared word at most. One writer at a
 * time, one reader that reads a generation to its end and then the next.
 *
 * Broken variants, each of which must find an error:
 *   -DINTENT_LATE     intent raised after the copy
 *   -DTAIL_EARLY      tail stored before the copy
 *   -DNO_VALIDATION   the reader looks at the intent before it copies, and not again
 *   -DTAKEOVER        a successor goes on in its predecessor's ring, from its tail (as Agrona's broadcast does)
 *   -DNO_GAP          a lapped reader goes on at the tail and says nothing
 */
#ifndef CAP
#define CAP 2
#endif
#ifndef MAXPOS
#define MAXPOS 4
#endif
#ifndef LAPS
#define LAPS 1
#endif
#define GENERATIONS 2
#define QUANTUM 1

typedef Ring {
  byte first_half[CAP];
  byte second_half[CAP];
  byte intent;
  byte tail;
  byte lapped;
  bool final; /* its process is gone, and the supervisor has said so */
};
Ring ring[GENERATIONS];

/* The reader's line; of each generation. */
byte cursor[GENERATIONS];
byte ack_lap[GENERATIONS];

bool killed[GENERATIONS];

#define MIN(x, y) ((x) < (y) -> (x) : (y))

inline raise_intent() {
  d_step {
    if
    :: end > intent ->
       intent = MIN(end + QUANTUM, limit);
       ring[r].intent = intent
    :: else
    fi
  }
}

inline copy_record() {
  ring[r].first_half[(end - 1) % CAP] = end;
  ring[r].second_half[(end - 1) % CAP] = end
}

inline commit() {
  d_step { tail = end; ring[r].tail = end }
}

inline look_at_the_reader() {
  acknowledged = ack_lap[r];
  d_step {
    if
    :: acknowledged == ring[r].lapped -> limit = MIN(cursor[r], tail) + CAP
    :: else -> limit = tail + CAP
    fi
  }
}

active proctype writer() {
  byte generation = 0;
  byte r;      /* whose ring */
  byte tail;   /* private copies of the own words */
  byte intent;
  byte limit;
  byte end;
  byte acknowledged;

next_generation:
#ifdef TAKEOVER
  r = 0;
  tail = ring[0].tail;
  intent = tail;
  ring[0].intent = intent;
#else
  r = generation;
  tail = 0;
  intent = 0;
#endif
  limit = 0;
  {
    do
    :: d_step { tail < MAXPOS -> end = tail + 1 };
       if
       :: end > limit -> look_at_the_reader()
       :: else
       fi;
       if
       :: end <= limit ->
#if defined(INTENT_LATE)
          copy_record();
          raise_intent();
          commit()
#elif defined(TAIL_EARLY)
          raise_intent();
          commit();
          copy_record()
#else
          raise_intent();
          copy_record();
          commit()
#endif
       :: end > limit && ring[r].lapped < LAPS -> ring[r].lapped = ring[r].lapped + 1 /* lap_after is over */
       :: end > limit && ring[r].lapped == LAPS -> skip                               /* it is not: next turn */
       fi
    :: tail == MAXPOS -> break
    od
  } unless { killed[generation] };
  generation++;
  if
  :: generation < GENERATIONS ->
#ifndef TAKEOVER
     ring[generation - 1].final = true;
#endif
     goto next_generation
  :: else -> ring[r].final = true
  fi
}

active proctype killer() {
  byte victim = 0;
  do
  :: victim < GENERATIONS -> killed[victim] = true; victim++
  :: break
  od
}

active proctype reader() {
  byte generation = 0;
  byte position = 0;
  byte expected = 1;
  byte tail;
  byte first;
  byte second;
  byte intent;
  byte lapped;
  bool gap = false;
  bool lost = false;
  bool final;

  do
  :: final = ring[generation].final; /* before the tail: what is final then is the last */
     tail = ring[generation].tail;
     do
     :: position < tail ->
#ifdef NO_VALIDATION
        intent = ring[generation].intent;
#endif
        first = ring[generation].first_half[position % CAP];
        second = ring[generation].second_half[position % CAP];
        d_step {
#ifndef NO_VALIDATION
          intent = ring[generation].intent;
#endif
          if
          :: intent <= position + CAP ->
             assert(first == second && first == position + 1); /* I1 */
             assert(first == expected || gap);                 /* I3 */
             gap = false;
             expected = first + 1;
             position++;
             lost = false
          :: else -> lost = true
          fi
        };
        if
        :: lost ->
           tail = ring[generation].tail;
           d_step {
             position = tail;
             lost = false;
             assert(ring[generation].lapped > 0); /* guarantee 2: only a lapped reader loses anything */
#ifndef NO_GAP
             gap = true
#endif
           }
        :: else
        fi
     :: else -> break
     od;
     cursor[generation] = position;
     lapped = ring[generation].lapped;
     ack_lap[generation] = lapped;
     if
     :: final ->
        assert(position == ring[generation].tail); /* I6 */
        generation++;
        position = 0;
        expected = 1;
        gap = false;
#ifdef TAKEOVER
        break
#else
        if
        :: generation == GENERATIONS -> break
        :: else
        fi
#endif
     :: else
     fi
  od
}
