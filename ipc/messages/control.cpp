#include "ipc/messages/control.h"

#include <algorithm>

#include "ipc/messages/wire.h"

namespace limpet::ipc {
namespace {

// ---- writing ----

void put(wire::Hello::Builder to, const Hello& hello) {
  to.setProtocolVersion(hello.protocol_version);
  to.setBuild(Text(hello.build));
  put(to.initWho(), hello.who);
  to.setLevel(hello.level);
}
void put(wire::Ready::Builder, const Ready&) {}
void put(wire::Failed::Builder to, const Failed& failed) { to.setReason(Text(failed.reason)); }
void put(wire::Leaving::Builder to, const Leaving& leaving) {
  to.setMoved(leaving.moved);
  to.setDrained(leaving.drained);
}
void put(wire::BucketsMoved::Builder to, const BucketsMoved& moved) {
  to.setToSlot(moved.to_slot);
  to.setMoved(moved.moved);
  to.setDrained(moved.drained);
}
void put(wire::Signalled::Builder, const Signalled&) {}

void put(wire::Welcome::Builder to, const Welcome& welcome) {
  to.setProtocolVersion(welcome.protocol_version);
  to.setLevel(welcome.level);
}
void put(wire::PeerJoined::Builder to, const PeerJoined& peer) { put(to.initWho(), peer.who); }
void put(wire::PeerLeft::Builder to, const PeerLeft& peer) { put(to.initWho(), peer.who); }
void put(wire::TakeSeat::Builder, const TakeSeat&) {}
void put(wire::GiveUpSeat::Builder, const GiveUpSeat&) {}
void put(wire::Drain::Builder to, const Drain& drain) {
  to.setWindow(drain.window.count());
  to.setDeadline(drain.deadline.count());
}
void put(wire::Succeed::Builder, const Succeed&) {}
void put(wire::Migrate::Builder to, const Migrate& migrate) {
  to.setWindow(migrate.window.count());
  to.setDeadline(migrate.deadline.count());
}
void put(wire::ExpectSessions::Builder to, const ExpectSessions& expect) { to.setFromSlot(expect.from_slot); }
void put(wire::MoveBuckets::Builder to, const MoveBuckets& move) {
  to.setToSlot(move.to_slot);
  to.setWindow(move.window.count());
  to.setDeadline(move.deadline.count());
}
void put(wire::BorrowSlot::Builder to, const BorrowSlot& borrow) { to.setSlot(borrow.slot); }
void put(wire::ReturnSlot::Builder to, const ReturnSlot& back) { to.setSlot(back.slot); }
void put(wire::Knows::Builder to, const Knows& knows) { to.setLevel(knows.level); }
void put(wire::GoOn::Builder, const GoOn&) {}
void put(wire::Leave::Builder, const Leave&) {}

// ---- reading ----

Hello read(const Door& door, wire::Hello::Reader from) {
  return {.protocol_version = from.getProtocolVersion(),
          .build = door.text(from.getBuild(), "build"),
          .who = door.incarnation(from.getWho()),
          .level = from.getLevel()};
}
Ready read(const Door&, wire::Ready::Reader) { return {}; }
Failed read(const Door& door, wire::Failed::Reader from) {
  return {.reason = door.text(from.getReason(), "reason")};
}
Leaving read(const Door&, wire::Leaving::Reader from) {
  return {.moved = from.getMoved(), .drained = from.getDrained()};
}
BucketsMoved read(const Door& door, wire::BucketsMoved::Reader from) {
  return {.to_slot = door.slot(from.getToSlot()), .moved = from.getMoved(), .drained = from.getDrained()};
}
Signalled read(const Door&, wire::Signalled::Reader) { return {}; }

Welcome read(const Door&, wire::Welcome::Reader from) {
  return {.protocol_version = from.getProtocolVersion(), .level = from.getLevel()};
}
PeerJoined read(const Door& door, wire::PeerJoined::Reader from) {
  return {.who = door.incarnation(from.getWho())};
}
PeerLeft read(const Door& door, wire::PeerLeft::Reader from) {
  return {.who = door.incarnation(from.getWho())};
}
TakeSeat read(const Door&, wire::TakeSeat::Reader) { return {}; }
GiveUpSeat read(const Door&, wire::GiveUpSeat::Reader) { return {}; }
Drain read(const Door& door, wire::Drain::Reader from) {
  return {.window = door.duration(from.getWindow(), "window"),
          .deadline = door.duration(from.getDeadline(), "deadline")};
}
Succeed read(const Door&, wire::Succeed::Reader) { return {}; }
Migrate read(const Door& door, wire::Migrate::Reader from) {
  return {.window = door.duration(from.getWindow(), "window"),
          .deadline = door.duration(from.getDeadline(), "deadline")};
}
ExpectSessions read(const Door& door, wire::ExpectSessions::Reader from) {
  return {.from_slot = door.slot(from.getFromSlot())};
}
MoveBuckets read(const Door& door, wire::MoveBuckets::Reader from) {
  return {.to_slot = door.slot(from.getToSlot()),
          .window = door.duration(from.getWindow(), "window"),
          .deadline = door.duration(from.getDeadline(), "deadline")};
}
BorrowSlot read(const Door& door, wire::BorrowSlot::Reader from) {
  return {.slot = door.slot(from.getSlot())};
}
ReturnSlot read(const Door& door, wire::ReturnSlot::Reader from) {
  return {.slot = door.slot(from.getSlot())};
}
Knows read(const Door&, wire::Knows::Reader from) { return {.level = from.getLevel()}; }
GoOn read(const Door&, wire::GoOn::Reader) { return {}; }
Leave read(const Door&, wire::Leave::Reader) { return {}; }

// ---- envelopes ----

/// Of one message, by its row.
template <class Message>
Door door_of(bool has_body, const Datagram& datagram) {
  const ControlRow<Message>& row = control_row<Message>();
  const std::size_t nearest =
      std::clamp(datagram.descriptors.size(), row.least_descriptors, row.most_descriptors);
  return {row.name, has_body, datagram, nearest};
}

#define LIMPET_PUT(Message, member, ...) \
  void put(wire::WorkerMessage::Builder to, const Message& body) { put(to.init##Message(), body); }
LIMPET_WORKER_MESSAGES(LIMPET_PUT)
#undef LIMPET_PUT
#define LIMPET_PUT(Message, member, ...) \
  void put(wire::SupervisorMessage::Builder to, const Message& body) { put(to.init##Message(), body); }
LIMPET_SUPERVISOR_MESSAGES(LIMPET_PUT)
#undef LIMPET_PUT

#define LIMPET_OPEN(Message, member, ...) \
  case From::member:                      \
    return read(door_of<Message>(from.has##Message(), datagram), from.get##Message());

WorkerMessage open(const Datagram& datagram, wire::WorkerMessage::Reader from) {
  using From = wire::WorkerMessage;
  switch (from.which()) { LIMPET_WORKER_MESSAGES(LIMPET_OPEN) }
  refuse_unknown(from.which());
}

SupervisorMessage open(const Datagram& datagram, wire::SupervisorMessage::Reader from) {
  using From = wire::SupervisorMessage;
  switch (from.which()) { LIMPET_SUPERVISOR_MESSAGES(LIMPET_OPEN) }
  refuse_unknown(from.which());
}
#undef LIMPET_OPEN

}  // namespace

// ---- the door ----

std::vector<std::byte> encode(const WorkerMessage& message) {
  capnp::MallocMessageBuilder builder;
  const auto to = builder.initRoot<wire::WorkerMessage>();
  std::visit([&](const auto& body) { put(to, body); }, message);
  return bytes_of(builder);
}

std::vector<std::byte> encode(const SupervisorMessage& message) {
  capnp::MallocMessageBuilder builder;
  const auto to = builder.initRoot<wire::SupervisorMessage>();
  std::visit([&](const auto& body) { put(to, body); }, message);
  return bytes_of(builder);
}

std::optional<WorkerMessage> decode_worker_message(const Datagram& datagram, std::string* why) {
  return decode<wire::WorkerMessage>(datagram, why,
                                     [&](wire::WorkerMessage::Reader from) { return open(datagram, from); });
}

std::optional<SupervisorMessage> decode_supervisor_message(const Datagram& datagram, std::string* why) {
  return decode<wire::SupervisorMessage>(
      datagram, why, [&](wire::SupervisorMessage::Reader from) { return open(datagram, from); });
}

}  // namespace limpet::ipc
