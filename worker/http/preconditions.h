// What a GET or HEAD asks about the state of what it names: If-Match and the other conditions in their order
// (RFC 9110 section 13.2.2), and which part it wants (section 14). Looks at the head once, whatever it asks.
#pragma once

#include <cstdint>
#include <string_view>

#include "worker/http/request.h"

namespace limpet::http {

/// Of what would be sent now.
struct Validators {
  std::string_view etag;          ///< quoted; strong
  std::int64_t modified_s = 0;    ///< seconds since 1970
  std::int64_t wall_seconds = 0;  ///< the time now, for dates whose year has two digits
};

enum class Precondition : std::uint8_t {
  Holds,        ///< send it
  NotModified,  ///< 304: the client has it
  Failed,       ///< 412
};

struct Conditions {
  Precondition outcome = Precondition::Holds;
  std::string_view range;  ///< the value of a Range that counts; empty: all of it is wanted
};

[[nodiscard]] Conditions evaluate(const RequestHead& head, const Validators& current) noexcept;

/// Is `etag` in the list of an If-None-Match (weak comparison) or an If-Match (strong)? "*" is any.
[[nodiscard]] bool list_has_etag(std::string_view list, std::string_view etag, bool weak) noexcept;

struct ByteRange {
  enum class Kind : std::uint8_t {
    Whole,          ///< not understood, or more than one: all of it may be sent
    Part,           ///< `length` bytes from `offset` on
    Unsatisfiable,  ///< 416
  };
  Kind kind = Kind::Whole;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

/// `value`: that of Range.
[[nodiscard]] ByteRange find_range(std::string_view value, std::uint64_t size) noexcept;

}  // namespace limpet::http
