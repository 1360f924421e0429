// An allowance that no test uses up, fresh at each call.
#pragma once

#include "worker/loop/allowance.h"

namespace limpet::test {

inline http::Allowance& plenty() {
  static http::Allowance allowance;
  return allowance = http::Allowance::unlimited();
}

}  // namespace limpet::test
