// An allowance that no test uses up, fresh at each call.
#pragma once

#include "worker/loop/allowance.h"

namespace limpet::test {

inline loop::Allowance& plenty() {
  static loop::Allowance allowance;
  return allowance = loop::Allowance::unlimited();
}

}  // namespace limpet::test
