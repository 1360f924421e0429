// A file that is open for reading, and the part of it that goes to a client. Owns its descriptor and closes
// it. Reading from it is the business of whoever sends it: a file may be cut short at any time.
#pragma once

#include <cstdint>
#include <utility>

namespace limpet::loop {

class OpenFile {
 public:
  OpenFile() = default;
  explicit OpenFile(int descriptor) noexcept : descriptor_(descriptor) {}
  OpenFile(OpenFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  OpenFile& operator=(OpenFile&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~OpenFile();

  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
  explicit operator bool() const noexcept { return descriptor_ >= 0; }

 private:
  int descriptor_ = -1;
};

/// `length` bytes from `offset` on, as many as were promised to the client.
struct FileRange {
  OpenFile file;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

}  // namespace limpet::loop
