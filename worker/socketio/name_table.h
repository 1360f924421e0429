// Event names as numbers, so that a handler costs a number and not a string. A name lives as long as a
// handler uses it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "worker/socketio/state.h"

namespace limpet::socketio {

class NameTable {
 public:
  static constexpr std::uint32_t kUnknown = 0xffffffff;

  /// The name's number; each acquire needs a release.
  std::uint32_t acquire(std::string_view name) {
    auto found = numbers_.find(name);
    if (found == numbers_.end()) found = numbers_.emplace(std::string(name), take_number()).first;
    Entry& entry = entries_[found->second - kFirstNamedEvent];
    entry.name = &found->first;
    ++entry.references;
    return found->second;
  }
  void release(std::uint32_t number) {
    Entry& entry = entries_[number - kFirstNamedEvent];
    if (--entry.references > 0) return;
    numbers_.erase(numbers_.find(*entry.name));
    entry.name = nullptr;
    free_.push_back(number);
  }
  /// kUnknown: nobody has a handler for it.
  [[nodiscard]] std::uint32_t find(std::string_view name) const {
    const auto found = numbers_.find(name);
    return found == numbers_.end() ? kUnknown : found->second;
  }

 private:
  struct Entry {
    const std::string* name = nullptr;
    std::uint32_t references = 0;
  };
  std::uint32_t take_number() {
    if (free_.empty()) {
      entries_.emplace_back();
      return static_cast<std::uint32_t>(entries_.size() - 1) + kFirstNamedEvent;
    }
    const std::uint32_t number = free_.back();
    free_.pop_back();
    return number;
  }

  std::unordered_map<std::string, std::uint32_t, NameHash, std::equal_to<>> numbers_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> free_;
};

}  // namespace limpet::socketio
