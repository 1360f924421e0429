// Bytes as they were when they were first sent: NAME HEX, a line each, in a file beside the test. A build
// that writes others would not be understood by those that are running. With LIMPET_WRITE_GOLDEN=1 in the
// environment a test adds what is new to its file; what stands there is never written again.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <span>
#include <string>

namespace limpet::test {

class Golden {
 public:
  /// `file`: from the repository's root.
  explicit Golden(const std::string& file) : path_(std::string(LIMPET_SOURCE_DIR "/") + file) {
    std::ifstream lines(path_);
    for (std::string name, hex; lines >> name >> hex;) known_.emplace(name, hex);
  }

  void expect(const std::string& name, std::span<const std::byte> bytes) {
    seen_.insert(name);
    const std::string hex = hex_of(bytes);
    const auto known = known_.find(name);
    if (known != known_.end()) {
      EXPECT_EQ(hex, known->second) << name << ": other bytes than builds before this one send";
    } else if (std::getenv("LIMPET_WRITE_GOLDEN") != nullptr) {
      std::ofstream(path_, std::ios::app) << name << ' ' << hex << '\n';
    } else {
      ADD_FAILURE() << name << " is not in " << path_ << "; LIMPET_WRITE_GOLDEN=1 adds it";
    }
  }
  /// What is in the file is still being sent.
  void expect_all_seen() const {
    for (const auto& [name, hex] : known_) EXPECT_TRUE(seen_.contains(name)) << name;
  }

 private:
  static std::string hex_of(std::span<const std::byte> bytes) {
    constexpr const char* kDigits = "0123456789abcdef";
    std::string hex;
    for (const std::byte byte : bytes) {
      hex += kDigits[static_cast<unsigned>(byte) >> 4];
      hex += kDigits[static_cast<unsigned>(byte) & 15];
    }
    return hex;
  }

  std::string path_;
  std::map<std::string, std::string> known_;
  std::set<std::string> seen_;
};

}  // namespace limpet::test
