// A file descriptor with one owner, and the one door through which failed system calls become exceptions.
// Owns the descriptor and closes it; never duplicates behind the caller's back.
#pragma once

#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

namespace limpet::base {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) noexcept : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor();

  [[nodiscard]] int get() const noexcept { return number_; }
  explicit operator bool() const noexcept { return number_ >= 0; }
  /// Gives up ownership; the caller closes it.
  [[nodiscard]] int release() noexcept { return std::exchange(number_, -1); }
  /// A second descriptor for the same open file, close-on-exec. Throws std::system_error.
  [[nodiscard]] Descriptor duplicate() const;

 private:
  int number_ = -1;
};

/// `attempt` is in words and names the object: "bind tcp://0.0.0.0:3000".
[[noreturn]] void throw_system_error(std::string_view attempt, int error = errno);

/// Passes `result` on, or throws std::system_error with `attempt` if it is -1.
inline int require(int result, std::string_view attempt) {
  if (result == -1) throw_system_error(attempt);
  return result;
}

}  // namespace limpet::base
