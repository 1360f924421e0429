// The head of a session's handshake request, without its end, and the client's address, in one allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace limpet::engineio {

class HandshakeRecord {
 public:
  HandshakeRecord(std::string_view head, std::string_view address);
  [[nodiscard]] std::string_view head() const noexcept;
  [[nodiscard]] std::string_view address() const noexcept;

 private:
  struct Sizes {
    std::uint32_t head;
    std::uint16_t address;
  };
  static constexpr std::size_t kSizesBytes = 6;  // without padding
  [[nodiscard]] Sizes sizes() const noexcept;
  std::unique_ptr<char[]> bytes_;
};

}  // namespace limpet::engineio
