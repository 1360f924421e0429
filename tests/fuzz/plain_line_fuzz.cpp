// Whatever strangers write into a log: it becomes one line of plain UTF-8 that is not too long, what is plain
// stays as it is, and nothing vanishes unsaid. The first byte is how long the line may be.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <string_view>

#include "base/plain_line.h"
#include "worker/websocket/utf8.h"

namespace {

using namespace limpet;

constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();

void require(bool condition) {
  if (!condition) std::abort();
}

bool is_plain(std::string_view text) {
  if (!websocket::is_valid_utf8(text)) return false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<std::uint8_t>(text[at]);
    if (byte < 0x20 || byte == 0x7F) return false;
    if (byte == 0xC2 && static_cast<std::uint8_t>(text[at + 1]) < 0xA0) return false;
    const std::string_view three = text.substr(at, 3);
    if (three == "\u2028" || three == "\u2029") return false;
  }
  return true;
}

void check(std::string_view text, std::size_t longest) {
  const std::string whole = base::plain_line(text, kAny);
  require(is_plain(whole));
  require(is_plain(text) == (whole == text));
  require(base::plain_line(whole, kAny) == whole);
  const std::string line = base::plain_line(text, longest);
  require(is_plain(line) && line.size() <= longest);
  if (whole.size() <= longest) return require(line == whole);
  const std::size_t mark = line.rfind(" ... (");
  require(mark != std::string::npos && line.ends_with(" bytes more)"));
  const std::string_view kept = std::string_view(line).substr(0, mark);
  require(whole.starts_with(kept));
  // What was left out is what the mark counts.
  const std::size_t left_out = std::stoull(line.substr(mark + 6));
  require(left_out >= 1 && left_out <= text.size());
  require(base::plain_line(text.substr(0, text.size() - left_out), kAny) == kept);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 4096) return 0;
  check({reinterpret_cast<const char*>(data) + 1, size - 1}, 64 + data[0] % 128u);
  return 0;
}
