// Finds out, before anything is measured, which of Limpet's workers answers whom: the application measured
// has a route /slot. One request after the other, on blocking connections. A wrong answer throws
// std::runtime_error.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/load_generator/endpoint.h"

namespace limpet::bench {

/// A GET of `sid`'s polling transport, or a POST if there is a body.
[[nodiscard]] std::string polling_request(std::string_view sid, std::string_view body = {});

class Scout {
 public:
  explicit Scout(std::uint16_t port) : port_(port) {}

  /// The slot in which the kernel puts a caller's connections.
  [[nodiscard]] unsigned slot_of(const Caller& caller) const;
  /// A polling session that has joined the main namespace; its sid.
  [[nodiscard]] std::string open_session(const Caller& caller) const;
  /// The whole answer to one request.
  [[nodiscard]] std::string answer(const Caller& caller, const std::string& request) const;

  /// Callers who are named by a PROXY protocol header (the server wants one), so that the worker that accepts
  /// them is the one that has their sessions (`at_home`), or never is.
  [[nodiscard]] std::vector<Caller> named_callers(std::size_t count, bool at_home) const;

 private:
  /// That of a session which such a caller opens.
  [[nodiscard]] unsigned slot_of_session(const Caller& caller) const;

  std::uint16_t port_;
};

}  // namespace limpet::bench
