// Growth tests: whatever a client, an application or an operator can make large costs in proportion (law 13).
//
// To add an operation, add one line to the table at the end of the file of its layer (socketio_rows.cpp, …):
// its name, a number of elements n, and a function that gets the number, prepares everything, and does the
// operation inside `counted([&] { … })`. tests/growth/run.py runs it under valgrind with n and with 8 n
// elements and fails if that takes more than 8 × 1.25 times the instructions, or almost none. Choose n as a
// power of two, so that tables that double are equally full, and so that the row takes about a second. Check
// with EXPECT_… outside the counted part that the operation has taken place. Add the row to the growth table
// of docs/testing.md, whose names are compared with these. One row alone: `python3 -B tests/growth/run.py
// --build build-test NAME`.
#include <gtest/gtest.h>
#include <valgrind/callgrind.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "tests/growth/growth.h"

namespace limpet::growth {
namespace {

/// By how much more there is in the second run of a row; run.py knows it too.
constexpr std::size_t kGrowth = 8;

Rows all_rows() {
  Rows all;
  for (const auto& rows : {self_test_rows(), base_rows(), http_rows(), engineio_rows(), socketio_rows(),
                           adapter_rows(), process_rows(), supervisor_rows()})
    all.insert(all.end(), rows.begin(), rows.end());
  return all;
}

void list(const Rows& rows) {
  for (const Row& row : rows) std::printf("%s\t%zu\t%d\n", row.name, row.n, row.must_fail ? 1 : 0);
}

void measure(const Row& row) {
  for (const std::size_t n : {row.n, row.n * kGrowth}) {
    row.run(n);
    CALLGRIND_DUMP_STATS_AT(std::to_string(n).c_str());
  }
}

}  // namespace

void start_counting() { CALLGRIND_START_INSTRUMENTATION; }
void stop_counting() { CALLGRIND_STOP_INSTRUMENTATION; }

}  // namespace limpet::growth

/// `growth --list`, or `growth NAME`: that row, for valgrind.
int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const auto rows = limpet::growth::all_rows();
  const std::string_view wanted = argc == 2 ? argv[1] : "";
  if (wanted == "--list") return limpet::growth::list(rows), 0;
  for (const auto& row : rows) {
    if (wanted != row.name) continue;
    limpet::growth::measure(row);
    return testing::UnitTest::GetInstance()->Failed() ? 1 : 0;
  }
  std::fprintf(stderr, "growth: there is no row '%s'\n", argc == 2 ? argv[1] : "");
  return 2;
}
