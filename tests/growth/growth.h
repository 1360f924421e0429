// What a growth row is made of (tests/growth/main.cpp says how to add one): an operation that somebody can
// make large, and the part of it whose instructions are counted.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace limpet::growth {

struct Row {
  const char* name;  ///< as in the growth table of docs/testing.md
  std::size_t n;     ///< elements; it runs with 8 times as many, too
  void (*run)(std::size_t n);
  bool must_fail = false;  ///< grows on purpose: shows that the test notices
};
using Rows = std::vector<Row>;

/// Between these, instructions are counted. A row may count several parts: their sum is taken.
void start_counting();
void stop_counting();

template <class Operation>
void counted(Operation&& operation) {
  start_counting();
  std::forward<Operation>(operation)();
  stop_counting();
}

// One table for each layer, in the file of that name.
Rows self_test_rows();
Rows base_rows();
Rows http_rows();
Rows engineio_rows();
Rows socketio_rows();
Rows adapter_rows();
Rows process_rows();
Rows supervisor_rows();

}  // namespace limpet::growth
