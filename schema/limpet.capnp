# Every message between Limpet's processes. This file is the wire format and the manual of the protocol; the structs of
# ipc/messages/control.h, handover.h and ctl.h, of worker/migration/messages.h and of supervisor/upgrade/state.h are the same messages
# past their codecs, the only code that reads or writes these bytes.
#
# Carriers
#   All of them are SOCK_SEQPACKET Unix sockets. One datagram is one message: one envelope (a struct below whose one
#   member is a union), in the standard framing of Cap'n Proto, unpacked, nothing behind it. Descriptors travel beside
#   it (SCM_RIGHTS), in the order named here; a message with another number of them is refused. At most 16 descriptors
#   and 4 MiB a message. A datagram without bytes is never sent: it cannot be told from the end of the connection.
#
#     control channel   supervisor <-> worker      WorkerMessage up, SupervisorMessage down
#     inbox             worker -> worker           Handover
#     migration stream  worker <-> successor       MigrationMessage (framed, on a byte stream; see there)
#     control socket    limpet ctl <-> supervisor  CtlRequest up, CtlReply down
#
# Versions
#   kProtocolVersion of ipc/messages/version.h. Each side says its number in its first message, before anything that depends on
#   it, and a side that cannot live with the other's says so and closes. Members of unions, fields and enumerants are
#   only ever added, at the end: then the number stays. It grows when an older peer could not understand a newer one.
#   A union member or enumerant that a reader does not know makes it refuse the message; a field that it does not know
#   is passed over.
#
# Limits, enforced by the reader (a message beyond them is refused as a whole)
#   text                 64 KiB (writers cut longer ones)
#   bytes of a handover  48 KiB
#   slot                 < 4096 (there are not more buckets); a bridge has a number from 4032 on      lane  <= 8192 (2 x slots + 1 of them)
#   durations            milliseconds, 0 to 100 years; signed so that a negative one can be told from a large one
#   lists                slots and numbers by slot 4096; workers of a slot 64; listeners 1024; counters 4096
#   body                 the struct of the chosen union member must be there (not a null pointer)
#
# What a refusal costs: on a control channel, the worker its place; on an inbox, that one message; on the control socket,
# that one connection. It ends no supervisor.

@0xea4319f165a2cc83;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("limpet::wire");

using Milliseconds = Int64;

struct Incarnation {
  # One life of one worker. slot: or the number of a bridge, which has none.
  slot @0 :UInt16;
  lane @1 :UInt16;
  generation @2 :UInt64;  # only grows, over all slots
}

# ---- control channel, worker to supervisor --------------------------------------------------------------------------

struct WorkerMessage {
  # Order in a life: hello, then ready or failed; drainProgress and leaving after a Drain (or by itself: see Signalled). failed may also come before
  # ready at any time. What may come in which state is the supervisor's table; anything else ends the worker.
  union {
    hello @0 :Hello;
    ready @1 :Ready;
    failed @2 :Failed;
    drainProgress @3 :DrainProgress;
    leaving @4 :Leaving;
    bucketsMoved @5 :BucketsMoved;
    signalled @6 :Signalled;  # level 2
  }
}

struct Hello {
  # First message of a worker, once, as soon as its shared memory stands.
  # Descriptors, 4: ring, reader page, counter block (sealed memfds), doorbell (eventfd).
  protocolVersion @0 :UInt32;
  build @1 :Text;       # of the worker's executable, for people
  who @2 :Incarnation;  # must be what its heritage says
  level @3 :UInt32;     # what its build knows: nothing of a higher level is sent to it (ipc/messages/version.h, kLevel)
}

struct Ready {
  # Once, after Welcome: the application is set up and every ring that was named is attached. The seat may come.
}

struct Failed {
  # The worker cannot start and will exit.
  reason @0 :Text;  # one line, for the obituary
}

struct DrainProgress {
  # After Drain, now and then: a sign of life and a number for `limpet ctl`.
  sessionsLeft @0 :UInt64;
  moved @1 :UInt64;    # sessions that the successor has taken, so far
  drained @2 :UInt64;  # sessions whose transport was closed instead, so far
}

struct Leaving {
  # After Drain, the last message: nothing is left here. The worker exits with 0 as soon as the channel has taken this.
  moved @0 :UInt64;    # as in DrainProgress, final
  drained @1 :UInt64;
}

struct BucketsMoved {
  # After MoveBuckets, once: no session of a bucket of that slot is left here. Not said if the stream broke: those sessions
  # stay, and another MoveBuckets follows when the slot has its next worker.
  toSlot @0 :UInt16;
  moved @1 :UInt64;
  drained @2 :UInt64;
}

struct Signalled {
  # Somebody has sent SIGTERM to the worker. It goes on, and asks to be replaced. Answer: goOn; without one within a second the
  # worker drains by itself, and says so by drainProgress.
}

# ---- control channel, supervisor to worker --------------------------------------------------------------------------

struct SupervisorMessage {
  # Order in a life: succeed, if the slot has another worker whose sessions are to move here; peerJoined for each ring
  # there is, welcome; then peerJoined, peerLeft, takeSeat, giveUpSeat as things happen; drain or migrate, after which only
  # peerJoined and peerLeft come, or migrate again with another successor if the one before died.
  union {
    welcome @0 :Welcome;
    peerJoined @1 :PeerJoined;
    peerLeft @2 :PeerLeft;
    takeSeat @3 :TakeSeat;
    giveUpSeat @4 :GiveUpSeat;
    drain @5 :Drain;
    succeed @6 :Succeed;
    migrate @7 :Migrate;
    expectSessions @8 :ExpectSessions;
    moveBuckets @9 :MoveBuckets;
    borrowSlot @10 :BorrowSlot;
    returnSlot @11 :ReturnSlot;
    knows @12 :Knows;  # level 1
    goOn @13 :GoOn;    # level 2
    leave @14 :Leave;  # level 2
  }
}

struct Welcome {
  # Answer to Hello: every ring there is has been named before this. Set up the application, then say Ready.
  protocolVersion @0 :UInt32;
  level @1 :UInt32;  # what the supervisor's build knows: nothing of a higher level is sent to it
}

struct Knows {
  # Of the supervisor, instead of what its Welcome said: 0 before another build takes its place, its own level once it has.
  level @0 :UInt32;
}

struct GoOn {
  # Answer to Signalled: go on serving. Another worker will take the place, or everything is about to drain.
}

struct Leave {
  # Exit now. SIGKILL follows soon.
}

struct PeerJoined {
  # Another worker (or a bridge) has a ring. Attach to it before anything else is read.
  # Descriptors, 3: ring, reader page (sealed memfds), doorbell (eventfd).
  who @0 :Incarnation;
}

struct PeerLeft {
  # That worker's process is gone, so its ring's tail is final: read to the end, then unmap. After its PeerJoined.
  who @0 :Incarnation;
}

struct TakeSeat {
  # Accept from the slot's listening sockets and read its inbox, from now on. After Ready.
}

struct GiveUpSeat {
  # Stop both; go on with what is open.
}

struct Drain {
  # Stop accepting, close every session's transport spread evenly over `window`, say Leaving and exit. What is still
  # open after `deadline`, counted from now, is closed at once.
  window @0 :Milliseconds;
  deadline @1 :Milliseconds;
}

struct Succeed {
  # The worker will get the sessions of the one that sits in its slot. It keeps, bounded, what it reads in the rings from
  # now on, and expects sessions on the stream until that says complete or ends.
  # Descriptors, 1: its end of the migration stream (below).
}

struct Migrate {
  # A Drain whose sessions move to a successor that has the seat. What cannot move (a request half read, an upgrade under
  # way) is drained, spread over `window` before `deadline`, both counted from now; at the deadline the rest is closed.
  # Descriptors, 1: the giver's end of the migration stream.
  window @0 :Milliseconds;
  deadline @1 :Milliseconds;
}

struct ExpectSessions {
  # To a seated worker, before the table of buckets changes: buckets of another slot become this one's, and their sessions
  # come here. The worker keeps, bounded, what it reads in the rings from now on. Until the stream says complete or ends, a
  # request for a session that is not here yet waits for it.
  # Descriptors, 1: the taker's end of a migration stream.
  fromSlot @0 :UInt16;
}

struct MoveBuckets {
  # To a seated worker, after the table of buckets has changed and the taker was told: the sessions whose buckets the table
  # now gives to `toSlot` move there, everything else goes on here. A session that is still here is served here, whatever
  # the table says. What cannot move is drained over `window` before `deadline`, both counted from now. Answer: bucketsMoved.
  # Descriptors, 1: the giver's end of the stream.
  toSlot @0 :UInt16;
  window @1 :Milliseconds;
  deadline @2 :Milliseconds;
}

struct BorrowSlot {
  # To a seated worker: a slot was closed, and this is its heir: accept what still waits at its listening sockets and read
  # its inbox, beside one's own. One that is borrowed already is borrowed anew. A migrating worker forgets what it has borrowed: its successor is told anew.
  # Descriptors, 2 to 16: the inbox, then the listening sockets in configured order.
  slot @0 :UInt16;
}

struct ReturnSlot {
  # That slot has been opened again, or has another heir.
  slot @0 :UInt16;
}

# ---- inbox, worker to worker ----------------------------------------------------------------------------------------

struct Handover {
  # An envelope of its own: one connection, or one request, for a session whose bucket belongs to the receiving slot.
  # All workers write to one sending end; the datagrams of different workers do not mix, and have no order between them.
  # Descriptors, 1: the socket. It belongs to the receiver from now on.
  kind @0 :Kind;
  clientAddress @1 :Text;  # as Socket.IO's handshake.address shows it
  clientPort @2 :UInt16;
  listener @3 :UInt16;     # index of the listening address that accepted the connection, in configured order
  bytes @4 :Data;          # read and not acted on, from the first byte of the request's head
  placed @5 :Bool;         # the request opens a session, and the receiver is the slot that is to have it
  byProxy @6 :Bool;        # the client's address is from a PROXY protocol header: its new sessions are placed by it

  enum Kind {
    connection @0;  # the client's own socket, with all that follows on it
    request @1;     # one end of a stream socketpair that carries one request: answer, then close
  }
}

# ---- migration stream, worker to the worker that follows it in its slot, or that gets some of its buckets --------------
#
# A SOCK_STREAM Unix socket that the supervisor makes. Frames: u32 bytes, u32 descriptors, then one MigrationMessage; the
# descriptors go with the frame's first byte. At most 64 MiB and 64 descriptors a frame. A frame that cannot be decoded ends
# the stream: what has not been taken stays with the giver.

struct MigrationMessage {
  # The giver: sessions and connections in any order, allGiven once, act at any time. The taker: took after each and after
  # allGiven; reply at any time; connection until allGiven. When buckets move, the taker begins, with expecting, and the
  # giver says nothing before it; after allGiven it ends the stream when nobody there waits for a reply any more.
  union {
    sessions @0 :SessionBatch;
    connection @1 :HttpConnection;
    allGiven @2 :AllGiven;
    act @3 :SocketAct;
    took @4 :Took;
    reply @5 :SocketReply;
    expecting @6 :Expecting;
  }
}

struct RingPosition {
  writer @0 :Incarnation;
  sequence @1 :UInt64;
  ended @2 :Bool;  # the writer is gone, and this is where it ended
}

struct SessionBatch {
  # Descriptors: one for each session that has a connection, in their order.
  positions @0 :List(RingPosition);   # what of each ring these sessions have been given, the giver's own first
  sessions @1 :List(SessionRecord);   # at most 64
  version @2 :UInt32;
  # Of what the giver writes; grows when a session says something that a taker which does not know it would lose. A taker
  # refuses a higher number than its own, and every lower one it reads. What takers say has no number: givers of all
  # versions understand it.
}

struct SessionRecord {
  # A session and everything that it knows. What has no place here does not exist: an application's handlers are bound
  # again in the new place, and its callbacks stay in the old one.
  sid @0 :Data;
  handshakeHead @1 :Data;      # request line and header lines
  address @2 :Data;
  issued @3 :Int64;            # ms since 1970
  transport @4 :Transport;
  awaitsPong @5 :Bool;
  timer @6 :Milliseconds;      # left for the pong, or until the next ping; of a lingering one: left to linger
  lingering @7 :Bool;          # closed by the server; waits for a poll by which to say so
  queue @8 :List(Frame);       # polling: messages that wait for a poll
  fragments @9 :Fragments;     # null: no message is half here
  sockets @10 :List(SocketRecord);
  assembly @11 :Assembly;      # null: no packet waits for its attachments
  connectTimer @12 :Milliseconds;  # left to join a namespace; -1: has joined
  connection @13 :Connection;  # null: polling

  enum Transport {
    polling @0;
    websocket @1;
  }
}

struct Frame {
  # An Engine.IO message, without the header of its rendering.
  binary @0 :Bool;
  payload @1 :Data;
}

struct Fragments {
  # Of a WebSocket message whose last fragment is to come.
  binary @0 :Bool;
  bytes @1 :Data;
}

struct Assembly {
  # A Socket.IO packet whose attachments are not all here.
  text @0 :Data;
  expected @1 :UInt32;
  attachments @2 :List(Frame);
}

struct SocketRecord {
  # A client in one namespace.
  nsp @0 :Data;
  id @1 :Data;
  rooms @2 :List(Data);
  data @3 :Data;           # JSON
  auth @4 :Data;           # JSON; empty: none
  nextReplyId @5 :UInt64;
}

struct Connection {
  clientAddress @0 :Data;
  clientPort @1 :UInt16;
  listener @2 :UInt16;
  oneRequest @3 :Bool;
  placed @6 :Bool;     # another slot has chosen this one for the sessions that it opens
  byProxy @7 :Bool;    # the PROXY protocol has named the client
  unread @4 :Data;
  unsent @5 :Data;
}

struct HttpConnection {
  # Between two requests, or with a part of one. Also back from the taker: with a request for a session that is still to
  # come; it returns with the session, or behind it. Descriptors, 1: the socket.
  connection @0 :Connection;
  asked @1 :Bool;  # given back by the taker before, and the session that its first request names is not at the giver
}

struct AllGiven {
  # No more sessions come. Only connections with requests that the taker gave back before it answers this, with took.
}

struct Expecting {
  # The taker keeps, from now on, what it reads in the rings: sessions may come.
}

struct SocketAct {
  # What the giver's application does to a socket that has moved.
  kind @0 :Kind;
  nsp @1 :Data;
  id @2 :Data;
  room @3 :Data;
  close @4 :Bool;
  frames @5 :List(Frame);

  enum Kind {
    emit @0;
    join @1;
    leave @2;
    disconnect @3;
  }
}

struct Took {
  count @0 :UInt64;  # batches, connections and allGiven, since the beginning
}

struct SocketReply {
  # An acknowledgement that nobody waits for at the taker: perhaps the giver does.
  nsp @0 :Data;
  id @1 :Data;
  text @2 :Data;
  attachments @3 :List(Frame);
}

# ---- control socket, limpet ctl to supervisor -----------------------------------------------------------------------

struct CtlRequest {
  # hello first; the supervisor answers with its own. Then one request a connection. What is read after its sender has gone is not carried out.
  union {
    hello @0 :CtlHello;
    status @1 :StatusRequest;
    stats @2 :StatsRequest;
    reload @3 :ReloadRequest;
    stop @4 :StopRequest;
    upgrade @5 :UpgradeRequest;
    scale @6 :ScaleRequest;
  }
}

struct CtlHello {
  # Both ways.
  protocolVersion @0 :UInt32;
}

struct StatusRequest {
  # Answer: StatusReply, or Done that says why not.
}

struct StatsRequest {
  # Answer: StatsReply, or Done that says why not. Never waits for a worker.
}

struct ReloadRequest {
  # Replace every worker, one slot at a time. Answer: Progress lines, then Done with 0, or 1 if a successor failed and its
  # predecessor goes on.
}

struct StopRequest {
  # Drain every worker and end. Answer: Progress lines, then Done, or the end of the connection.
  atOnce @0 :Bool;  # no drain
}

struct UpgradeRequest {
  # Become the limpet that lies on disk now, in the same process, then replace every worker. Answer: as to ReloadRequest;
  # Done with 1 and nothing changed if that limpet cannot take over. The connection outlives the exec.
}

struct ScaleRequest {
  # Have that many workers. Answer: as to ReloadRequest.
  workers @0 :UInt16;
}

# ---- control socket, supervisor to limpet ctl -----------------------------------------------------------------------

struct CtlReply {
  union {
    hello @0 :CtlHello;
    status @1 :StatusReply;
    stats @2 :StatsReply;
    progress @3 :Progress;
    done @4 :Done;
  }
}

struct StatusReply {
  version @0 :Text;
  pid @1 :UInt32;
  uptime @2 :Milliseconds;
  application @3 :Text;
  runtimeDir @4 :Text;
  operation @5 :Text;  # "", "reload since 12.3 s", "stopping since 2.0 s"
  listeners @6 :List(Text);
  slots @7 :List(SlotStatus);
  binary @8 :Text;  # the supervisor's own file: "/srv/app/current/limpet -> /srv/app/7/limpet"
}

struct SlotStatus {
  slot @0 :UInt16;
  state @1 :Text;  # "serving", "starting", "back-off", "routed around", "reloading", "closing"
  deaths @2 :UInt64;
  nextStart @3 :Milliseconds;  # of a slot in back-off, from now; else 0
  lastObituary @4 :Text;
  workers @5 :List(WorkerStatus);  # two during a reload
}

struct WorkerStatus {
  slot @0 :UInt16;
  lane @1 :UInt16;
  generation @2 :UInt64;
  pid @3 :UInt32;
  state @4 :Text;  # a state of the life-cycle table
  seated @5 :Bool;
  age @6 :Milliseconds;
  sinceBeat @7 :Milliseconds;
  sessions @8 :UInt64;
}

struct StatsReply {
  counters @0 :List(CounterReport);
}

struct CounterReport {
  # One row of the table in ipc/shared/counters.h, with its values.
  name @0 :Text;
  unit @1 :Text;
  help @2 :Text;
  isGauge @3 :Bool;
  total @4 :UInt64;           # of a total: dead workers included, never decreases
  bySlot @5 :List(UInt64);    # in slot order
}

struct Progress {
  # About an operation under way; more replies follow.
  line @0 :Text;
}

struct Done {
  # The last reply to an operation, or the refusal of any request.
  exitCode @0 :UInt8;  # that of `limpet ctl`
  line @1 :Text;       # "" if there is nothing to say
}

# ---- from the supervisor to itself ----------------------------------------------------------------------------------

using Moment = Int64;          # milliseconds of CLOCK_MONOTONIC; 0: never
using DescriptorNumber = Int32;  # stays open across the exec; -1: none

struct SupervisorState {
  # Everything that a supervisor knows, in a memfd, for the image that an upgrade puts in its place. The same bytes go to a
  # trial of that image first, which says whether it could take over. No carrier, no envelope: this is the root.
  #
  # `version` grows when a reader of the older number would lose or mistake something: it refuses a number that it does not
  # know. Fields that it does not know are passed over then, as everywhere. States, causes, counters and options are named:
  # an unknown state, cause or option is refused, an unknown counter is forgotten.
  version @0 :UInt32;
  protocolVersion @1 :UInt32;  # of the control channels of the workers that go on
  build @2 :Text;
  binary @3 :Text;             # path of `limpet`, as it was named
  runtimeDir @4 :Text;
  started @5 :Moment;
  announced @6 :Bool;
  reloadAgain @7 :Bool;
  lastGeneration @8 :UInt64;
  freeLanes @9 :List(UInt16);      # in the order in which they are given out
  bucketOwners @10 :List(UInt16);  # 4096 slots
  lock @11 :DescriptorNumber;
  controlSocket @12 :DescriptorNumber;
  clients @13 :List(DescriptorNumber);  # at most 64
  programs @14 :List(ProgramState);     # the cluster's first; at most 1024
  listeners @15 :List(ListenerState);
  slots @16 :List(SlotState);
  workers @17 :List(WorkerState);       # in each slot the oldest first; at most 8193
  openSlots @18 :UInt16;  # those below have a worker and buckets; the others only sockets
  usedSlots @19 :UInt16;  # those below have ever been open
  descriptorLimit @20 :UInt64;  # the soft one that the first image was started with; 0: it has raised none
  placementSeed @21 :UInt64;    # of the hash that places addresses; 0 also of builds that had none
  startDirectory @22 :Text;     # as it was named; relative paths are joined to it. "": a build that followed no names
  image @23 :FileMark;          # of the image that this state comes from
}

struct FileMark {
  # By which another file is known from this one.
  device @0 :UInt64;
  inode @1 :UInt64;  # 0: not known
  size @2 :UInt64;
  modifiedNs @3 :Int64;
}

struct NamedNumber {
  name @0 :Text;
  number @1 :UInt64;
}

struct NamedValues {
  name @0 :Text;
  values @1 :List(Text);  # at most 1024
}

struct ProgramState {
  options @0 :List(NamedValues);  # at most 1024; names as in limpet.toml
  application @1 :List(Text);     # at most 4096, as arguments
  executable @2 :Text;
  arguments @3 :List(Text);
  image @4 :DescriptorNumber;     # -1: a script
  settings @5 :DescriptorNumber;
  directory @6 :DescriptorNumber = -1;  # working directory of its workers; -1: that of the supervisor
  mark @7 :FileMark;                    # of the executable when it was opened
}

struct ListenerState {
  address @0 :Text;
  sockets @1 :List(DescriptorNumber);  # by slot
}

struct SlotState {
  inboxReceiving @0 :DescriptorNumber;
  inboxSending @1 :DescriptorNumber;
  deathsInARow @2 :UInt32;
  nextStart @3 :Moment;  # of a slot in back-off
  vacantSince @4 :Moment;
  deaths @5 :UInt64;
  lastObituary @6 :Text;
  starts @7 :UInt64;
  ends @8 :List(NamedNumber);     # by cause
  retired @9 :List(NamedNumber);  # counters of the dead
}

struct WorkerState {
  who @0 :Incarnation;
  pid @1 :UInt32;
  state @2 :Text;
  program @3 :UInt16;  # index into programs
  pidfd @4 :DescriptorNumber;
  control @5 :DescriptorNumber;
  ring @6 :DescriptorNumber;  # this and the next three: since its hello
  readerPage @7 :DescriptorNumber;
  counters @8 :DescriptorNumber;
  doorbell @9 :DescriptorNumber;
  giverEnd @10 :DescriptorNumber;  # of a successor that has no seat yet
  born @11 :Moment;
  readySince @12 :Moment;
  drainedBy @13 :Moment;
  isMoving @14 :Bool;
  hasProgress @15 :Bool;
  progress @16 :DrainProgress;
  cause @17 :Text;       # why it ends, when that is known before its status; else ""
  causeText @18 :Text;
  endedWhile @19 :Text;
  lastWords @20 :Text;
  level @21 :UInt32;  # of its Hello
}
