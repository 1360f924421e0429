// CHECK: an assertion about our own code and our own books, compiled into every build. It prints the
// condition, the place and a sentence with the values, then aborts. Never for what a peer sent: a peer's
// mistake is a value.
#pragma once

#include <string_view>

namespace limpet::base {

/// Prints `check failed: CONDITION: SENTENCE (FILE:LINE)` to stderr and aborts.
[[noreturn]] void check_failed(const char* condition, std::string_view sentence, const char* file,
                               int line) noexcept;

}  // namespace limpet::base

#define CHECK(condition, sentence)                                              \
  do {                                                                          \
    if (!(condition)) [[unlikely]]                                              \
      ::limpet::base::check_failed(#condition, (sentence), __FILE__, __LINE__); \
  } while (false)
