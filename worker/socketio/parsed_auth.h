// The auth of a client as the value that it is, in memory of its own whose bytes are known.
#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <string_view>

#include "worker/socketio/json_value.h"

namespace limpet::socketio {

/// A text of more bytes than this is parsed once for its socket; others at every look, for what most clients
/// send must not take memory twice.
inline constexpr std::size_t kParsedAtEveryLook = 1024;

class ParsedAuth {
 public:
  /// `text` is valid JSON. Throws as json_value() does.
  explicit ParsedAuth(std::string_view text)
      : pool_(kFirstBlock, boost::json::storage_ptr(&counting_)),
        value_(json_value(text, boost::json::storage_ptr(&pool_))) {}
  ParsedAuth(const ParsedAuth&) = delete;
  ParsedAuth& operator=(const ParsedAuth&) = delete;

  [[nodiscard]] const boost::json::value& value() const noexcept { return value_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return sizeof *this + counting_.bytes; }

 private:
  static constexpr std::size_t kFirstBlock = 4096;

  struct Counting final : boost::json::memory_resource {
    std::size_t bytes = 0;
    void* do_allocate(std::size_t size, std::size_t) override {
      bytes += size;
      return ::operator new(size);
    }
    void do_deallocate(void* memory, std::size_t size, std::size_t) override {
      bytes -= size;
      ::operator delete(memory);
    }
    bool do_is_equal(const boost::json::memory_resource& other) const noexcept override {
      return this == &other;
    }
  };

  // In this order: the value is in the pool's memory, which is counted.
  Counting counting_;
  boost::json::monotonic_resource pool_;
  boost::json::value value_;
};

}  // namespace limpet::socketio
