// Any callable as a handler of events: its parameter types say which arguments it reads and as what
// (invoke.h). Two words per handler: a callable without captures, or with one word of them, needs no
// allocation.
#pragma once

#include <tuple>
#include <type_traits>

namespace limpet::socketio {

class Call;

/// What a kind of handler can do. One object per type of callable.
struct HandlerType {
  /// False: an argument did not fit, so the handler was not called. Throws what the handler throws.
  bool (*invoke)(void* object, Call& call);
  void (*destroy)(void* object) noexcept;
};

/// A handler; whoever holds it last calls destroy().
struct Handler {
  const HandlerType* type = nullptr;
  void* object = nullptr;  // the callable, or its bytes if it fits

  bool invoke(Call& call) const { return type->invoke(object, call); }
  void destroy() const noexcept {
    if (type != nullptr) type->destroy(object);
  }
};

template <typename F>
struct Signature : Signature<decltype(&F::operator())> {};
template <typename R, typename... P>
struct Signature<R (*)(P...)> {
  using Parameters = std::tuple<P...>;
  static constexpr bool kMutable = false;
};
template <typename R, typename... P>
struct Signature<R (*)(P...) noexcept> : Signature<R (*)(P...)> {};
template <typename C, typename R, typename... P>
struct Signature<R (C::*)(P...) const> : Signature<R (*)(P...)> {};
template <typename C, typename R, typename... P>
struct Signature<R (C::*)(P...) const noexcept> : Signature<R (*)(P...)> {};
template <typename C, typename R, typename... P>
struct Signature<R (C::*)(P...)> {
  using Parameters = std::tuple<P...>;
  static constexpr bool kMutable = true;
};
template <typename C, typename R, typename... P>
struct Signature<R (C::*)(P...) noexcept> : Signature<R (C::*)(P...)> {};

/// A function, or a callable with one operator() that is no template.
template <typename F>
concept Callable = std::is_function_v<std::remove_pointer_t<std::decay_t<F>>> || requires {
  &std::decay_t<F>::operator();
};

template <typename... T>
inline constexpr bool kLastIsCallable = false;
template <typename T>
inline constexpr bool kLastIsCallable<T> = Callable<T>;
template <typename First, typename... T>
requires(sizeof...(T) > 0) inline constexpr bool kLastIsCallable<First, T...> = kLastIsCallable<T...>;

template <typename Function>
Handler make_handler(Function&& function);

}  // namespace limpet::socketio
