// Any callable as a handler of events: its parameter types say which arguments it reads and as what
// (invoke.h). A callable without captures, or with one word of them, needs no allocation.
#pragma once

#include <tuple>
#include <type_traits>

#include "worker/socketio/handler.h"

namespace limpet::detail {

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
socketio::Handler make_handler(Function&& function);

}  // namespace limpet::detail
