// One visitor of a std::variant out of several lambdas.
#pragma once

namespace limpet::base {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

}  // namespace limpet::base
