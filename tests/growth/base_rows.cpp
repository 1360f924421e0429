// What the log does with the text of others.
#include <gtest/gtest.h>

#include <string>

#include "base/plain_line.h"
#include "tests/growth/growth.h"

namespace limpet::growth {
namespace {

/// Every kind of thing that the filter treats in its own way.
constexpr std::string_view kKinds = "a\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\n\xff\xe2\x80\xa8\xc2\x80\xf0\x9f";

void line(std::size_t n, std::size_t longest) {
  std::string text;
  for (std::size_t i = 0; i < n; ++i) text += kKinds;
  std::string filtered;
  counted([&] { filtered = base::plain_line(text, longest); });
  EXPECT_LE(filtered.size(), longest);
  EXPECT_GE(filtered.size(), std::min(longest - 100, text.size()));
}

void long_line(std::size_t n) { line(n, n * kKinds.size() * 4); }
/// So that half of it, or less, is left.
void long_line_cut(std::size_t n) { line(n, n * kKinds.size() / 2); }

}  // namespace

Rows base_rows() {
  return {
      {"log_line", 512, long_line},
      {"log_line_cut", 512, long_line_cut},
  };
}

}  // namespace limpet::growth
