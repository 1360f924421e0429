#include "supervisor/system/log.h"

namespace limpet::supervisor {

void open_log(std::string_view least) { base::open_log("limpet[%P] %l: %v", least); }

std::string in_one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2)
    text.replace(at, 1, "; ");
  return text;
}

}  // namespace limpet::supervisor
