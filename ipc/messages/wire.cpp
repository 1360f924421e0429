#include "ipc/messages/wire.h"

#include <fmt/format.h>

#include <cstring>

#include "base/check.h"
#include "base/limits.h"

namespace limpet::ipc {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kTextLimitBytes = 64u << 10;
constexpr int kNestingLimit = 16;

/// The words of a datagram. Cap'n Proto reads in place, so they have to be whole and aligned.
kj::ArrayPtr<const capnp::word> words_of(const Datagram& datagram) {
  const auto& bytes = datagram.bytes;
  if (bytes.empty() || bytes.size() % sizeof(capnp::word) != 0)
    throw Refusal(fmt::format("malformed: {} bytes are not a whole number of words", bytes.size()));
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(capnp::word) != 0)
    throw Refusal("malformed: the bytes are not aligned");
  return {reinterpret_cast<const capnp::word*>(bytes.data()), bytes.size() / sizeof(capnp::word)};
}

capnp::ReaderOptions options_for(const Datagram& datagram) {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = 8 * (datagram.bytes.size() / sizeof(capnp::word)) + 64;
  options.nestingLimit = kNestingLimit;
  return options;
}

}  // namespace

// ---- writing ----

Text::Text(const std::string& whole) : cut_(whole, 0, kTextLimitBytes) {}

unsigned int length(std::size_t items, std::size_t limit) {
  CHECK(items <= limit, fmt::format("{} items in a list that takes {}", items, limit));
  return static_cast<unsigned int>(items);
}

std::vector<std::byte> bytes_of(capnp::MessageBuilder& builder) {
  const auto words = capnp::messageToFlatArray(builder);
  const auto bytes = words.asBytes();
  std::vector<std::byte> copy(bytes.size());
  std::memcpy(copy.data(), bytes.begin(), bytes.size());
  return copy;
}

void put(wire::Incarnation::Builder to, const Incarnation& who) {
  to.setSlot(who.slot);
  to.setLane(who.lane);
  to.setGeneration(who.generation);
}

void put(wire::DrainProgress::Builder to, const DrainProgress& progress) {
  to.setSessionsLeft(progress.sessions_left);
  to.setMoved(progress.moved);
  to.setDrained(progress.drained);
}

// ---- reading ----

void refuse_unknown(unsigned int message) { throw Refusal(fmt::format("unknown message {}", message)); }

Door::Door(std::string_view name, bool has_body, const Datagram& datagram, std::size_t wants_descriptors)
    : name_(name) {
  if (!has_body) refuse("has no body");
  const std::size_t got = datagram.descriptors.size();
  const bool some_were_lost = datagram.descriptors_lost && got < wants_descriptors;
  if (got != wants_descriptors && !some_were_lost)
    refuse(fmt::format("wants {} descriptors, got {}", wants_descriptors, got));
}

std::string Door::text(capnp::Text::Reader from, const char* field) const {
  check_limit(from.size(), kTextLimitBytes, field, "bytes");
  return {from.begin(), from.size()};
}

std::string Door::bytes(capnp::Data::Reader from, std::size_t limit, const char* field) const {
  check_limit(from.size(), limit, field, "bytes");
  return {reinterpret_cast<const char*>(from.begin()), from.size()};
}

milliseconds Door::duration(std::int64_t from, const char* field) const {
  if (from < 0) refuse(fmt::format("{} is negative: {} ms", field, from));
  if (from > base::kLongestAge.count()) refuse(fmt::format("{} is over 100 years: {} ms", field, from));
  return milliseconds(from);
}

std::uint16_t Door::slot(std::uint16_t from) const { return number_below(from, base::kSlotLimit, "slot"); }

std::uint16_t Door::lane(std::uint16_t from) const { return number_below(from, base::kLaneLimit, "lane"); }

Incarnation Door::incarnation(wire::Incarnation::Reader from) const {
  return {.slot = slot(from.getSlot()), .lane = lane(from.getLane()), .generation = from.getGeneration()};
}

void Door::refuse(std::string_view reason) const { throw Refusal(fmt::format("{}: {}", name_, reason)); }

void Door::check_limit(std::size_t size, std::size_t limit, const char* field, const char* unit) const {
  if (size > limit) refuse(fmt::format("{} has {} {}, the limit is {}", field, size, unit, limit));
}

std::uint16_t Door::number_below(std::uint16_t value, std::uint16_t limit, const char* field) const {
  if (value >= limit) refuse(fmt::format("{} is {}, must be below {}", field, value, limit));
  return value;
}

DrainProgress read(const Door&, wire::DrainProgress::Reader from) {
  return {.sessions_left = from.getSessionsLeft(), .moved = from.getMoved(), .drained = from.getDrained()};
}

MessageReader::MessageReader(const Datagram& datagram)
    : capnp::FlatArrayMessageReader(words_of(datagram), options_for(datagram)) {
  if (getEnd() != reinterpret_cast<const capnp::word*>(datagram.bytes.data() + datagram.bytes.size()))
    throw Refusal("malformed: bytes behind the message");
}

}  // namespace limpet::ipc
