// The one door's tools (law 9): what the codecs of all messages between processes are made of, and what holds
// for each of these messages. Only codecs include it, for it brings Cap'n Proto along
// (tests/repository/shape_test.py).
//
// A body is written by an overload of `put` and read by an overload of `read`; envelopes choose between them.
// Every value of a peer goes through the Door, which knows the limits that schema/limpet.capnp promises.
#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "ipc/birth/incarnation.h"
#include "ipc/messages/channel.h"
#include "ipc/messages/control.h"
#include "limpet.capnp.h"

namespace limpet::ipc {

// Of lists that stand in several messages.
inline constexpr std::size_t kListenersLimit = 1024;
inline constexpr std::size_t kCountersLimit = 4096;

// ---- writing ----

/// Cut at the limit: a long exception text becomes a shorter line, not a refused message.
class Text {
 public:
  explicit Text(const std::string& whole);
  operator capnp::Text::Reader() const { return {cut_.c_str(), cut_.size()}; }

 private:
  std::string cut_;
};

[[nodiscard]] inline capnp::Data::Reader data_of(std::string_view bytes) {
  return {reinterpret_cast<const capnp::byte*>(bytes.data()), bytes.size()};
}

/// Of a list of our own making: CHECKs the limit, for the reader would refuse a longer one.
[[nodiscard]] unsigned int length(std::size_t items, std::size_t limit);

[[nodiscard]] std::vector<std::byte> bytes_of(capnp::MessageBuilder& builder);

// Bodies that stand in several messages.
void put(wire::Incarnation::Builder to, const Incarnation& who);
void put(wire::DrainProgress::Builder to, const DrainProgress& progress);

// ---- reading ----

/// A message beyond the limits of the schema. Never leaves decode().
class Refusal : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] void refuse_unknown(unsigned int message);

/// What one message has to pass; `name` is that of its body, and begins every reason.
class Door {
 public:
  Door(std::string_view name, bool has_body, const Datagram& datagram, std::size_t wants_descriptors);

  [[nodiscard]] std::string text(capnp::Text::Reader from, const char* field) const;
  [[nodiscard]] std::string bytes(capnp::Data::Reader from, std::size_t limit, const char* field) const;
  [[nodiscard]] std::chrono::milliseconds duration(std::int64_t from, const char* field) const;
  [[nodiscard]] std::uint16_t slot(std::uint16_t from) const;
  [[nodiscard]] std::uint16_t lane(std::uint16_t from) const;
  [[nodiscard]] Incarnation incarnation(wire::Incarnation::Reader from) const;
  template <class List>
  [[nodiscard]] List list(List from, std::size_t limit, const char* field) const {
    check_limit(from.size(), limit, field, "items");
    return from;
  }
  /// A body whose values need no check.
  template <class Body>
  [[nodiscard]] Body admit(Body body) const {
    return body;
  }
  [[noreturn]] void refuse(std::string_view reason) const;

 private:
  void check_limit(std::size_t size, std::size_t limit, const char* field, const char* unit) const;
  [[nodiscard]] std::uint16_t number_below(std::uint16_t value, std::uint16_t limit, const char* field) const;

  std::string_view name_;
};

[[nodiscard]] DrainProgress read(const Door&, wire::DrainProgress::Reader from);

/// The bytes of a datagram as one message, of which nothing is too deep, read too often, or behind its end.
/// Reads in place: the datagram outlives it. Throws Refusal and kj::Exception.
class MessageReader : public capnp::FlatArrayMessageReader {
 public:
  explicit MessageReader(const Datagram& datagram);
};

/// The door itself: nothing that Cap'n Proto or the limits say gets past it but as a reason. `open` makes the
/// message from the root of what has come.
template <class Wire, class Open>
[[nodiscard]] auto decode(const Datagram& datagram, std::string* why, Open open)
    -> std::optional<std::invoke_result_t<Open, typename Wire::Reader>> {
  try {
    MessageReader reader(datagram);
    return open(reader.template getRoot<Wire>());
  } catch (const Refusal& refusal) {
    *why = refusal.what();
  } catch (const kj::Exception& exception) {
    *why = std::string("malformed: ") + exception.getDescription().cStr();
  }
  return std::nullopt;
}

}  // namespace limpet::ipc
