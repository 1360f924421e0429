// How an event calls a handler: each parameter's type reads the next argument; one that does not fit leaves
// the handler uncalled. Instantiated once per type of callable.
#pragma once

#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "worker/limpet/ack.h"
#include "worker/limpet/args.h"
#include "worker/limpet/detail/handler.h"
#include "worker/limpet/socket.h"

namespace limpet::detail {

/// The place of one parameter while its handler is called.
template <typename T>
struct Parameter {
  static constexpr bool kIsArgument = true;
  T value{};
  std::string storage;
  bool read(socketio::Call& call, std::size_t& next) { return read_as(call.args, next++, value, storage); }
};
template <>
struct Parameter<Socket> {
  static constexpr bool kIsArgument = false;
  Socket value;
  bool read(socketio::Call& call, std::size_t&) {
    value = Socket(call.socket);
    return true;
  }
};
template <>
struct Parameter<Ack> {
  static constexpr bool kIsArgument = false;
  Ack value;
  bool read(socketio::Call& call, std::size_t&) {
    value = Ack(call.ack);
    return true;
  }
};
template <>
struct Parameter<Args> {
  static constexpr bool kIsArgument = false;
  Args value;
  bool read(socketio::Call& call, std::size_t& next) {
    value = Args(call.args.from(next));
    next = call.args.size();
    return true;
  }
};
template <>
struct Parameter<std::optional<Error>> {
  static constexpr bool kIsArgument = false;
  std::optional<Error> value;
  bool read(socketio::Call& call, std::size_t&) {
    if (call.error != nullptr) value = *call.error;
    return true;
  }
};

template <typename P>
void read_unless_argument(P& place, socketio::Call& call, std::size_t& next) {
  if constexpr (!P::kIsArgument) (void)place.read(call, next);
}

template <typename F, typename... P, std::size_t... I>
bool invoke_with(F& callable, socketio::Call& call, std::tuple<P...>*, std::index_sequence<I...>) {
  constexpr bool takes_error =
      std::disjunction_v<std::is_same<std::remove_cvref_t<P>, std::optional<Error>>...>;
  [[maybe_unused]] std::tuple<Parameter<std::remove_cvref_t<P>>...> places;
  if (call.error != nullptr) {
    if constexpr (!takes_error) return true;
    // A reply that did not come has no arguments: they keep their default values.
    [[maybe_unused]] std::size_t next = 0;
    (read_unless_argument(std::get<I>(places), call, next), ...);
  } else {
    std::size_t next = 0;
    if (!(std::get<I>(places).read(call, next) && ...)) {
      call.misfit = next - 1;
      return false;
    }
  }
  callable(static_cast<P&&>(std::get<I>(places).value)...);
  return true;
}

template <typename F>
bool invoke_callable(F& callable, socketio::Call& call) {
  using Parameters = typename Signature<F>::Parameters;
  return invoke_with(callable, call, static_cast<Parameters*>(nullptr),
                     std::make_index_sequence<std::tuple_size_v<Parameters>>());
}

template <typename F>
inline constexpr bool kFitsInline = std::is_trivially_copyable_v<F>&& std::is_trivially_destructible_v<F> &&
                                    sizeof(F) <= sizeof(void*) && !Signature<F>::kMutable;

template <typename F>
inline constexpr socketio::HandlerType kHandlerType = {
    [](void* object, socketio::Call& call) {
      if constexpr (kFitsInline<F>) {
        alignas(void*) unsigned char bytes[sizeof(void*)];
        std::memcpy(bytes, &object, sizeof object);
        return invoke_callable(*std::launder(reinterpret_cast<F*>(bytes)), call);
      } else {
        return invoke_callable(*static_cast<F*>(object), call);
      }
    },
    [](void* object) noexcept {
      if constexpr (!kFitsInline<F>) delete static_cast<F*>(object);
    }};

template <typename Function>
socketio::Handler make_handler(Function&& function) {
  using F = std::decay_t<Function>;
  static_assert(Callable<F>, "a handler is a function or a lambda without auto parameters");
  socketio::Handler handler{&kHandlerType<F>, nullptr};
  if constexpr (kFitsInline<F>) {
    const F callable(std::forward<Function>(function));
    std::memcpy(&handler.object, &callable, sizeof(F));
  } else {
    handler.object = new F(std::forward<Function>(function));
  }
  return handler;
}

}  // namespace limpet::detail
