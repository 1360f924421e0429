// Limpet's public API. An application is an executable: it links limpet::worker, registers its handlers and
// runs.
//
//   #include <limpet/app.h>
//   int main(int argc, char** argv) {
//     return limpet::run(argc, argv, [](limpet::Io& io) {
//       io.on_connection([](limpet::Socket& socket) {
//         socket.on("hello", [](limpet::Socket from, std::string_view name) {
//           from.broadcast().emit("hello", name);
//         });
//       });
//     });
//   }
//
// Under `limpet serve ./app` it is one of many workers; `./app` alone is one worker without a supervisor.
#pragma once

#include <functional>

#include "worker/limpet/io.h"

namespace limpet {

/// Runs a worker until it is told to stop; gives main's exit code. `setup` is called once, before any client
/// is served; what it throws is an error of the start.
int run(int argc, char** argv, std::function<void(Io&)> setup);

}  // namespace limpet

#include "worker/limpet/detail/invoke.h"
