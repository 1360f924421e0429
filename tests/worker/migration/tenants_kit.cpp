#include "tests/worker/migration/tenants_kit.h"
#include "base/limits.h"
#include "tests/worker/plenty.h"

#include <fcntl.h>

#include <boost/asio/io_context.hpp>

namespace limpet::migration::test {

Tenant::Tenant(std::uint16_t slot, std::uint16_t lane, Cluster& cluster, std::size_t ring_bytes)
    : who{slot, lane, 100u + lane},
      clock(cluster.clock),
      sids(&cluster.table, slot),
      context(std::make_unique<boost::asio::io_context>()),
      rings(
          who, {.capacity_bytes = ring_bytes, .lanes = 8, .lap_after = 100ms, .deferred_bytes = 1 << 20},
          counters,
          [this](const socketio::Broadcast& broadcast) { application->socketio().deliver(broadcast); },
          [this](const ipc::Gap&) { ++gaps; }),
      application(std::in_place, clock, application::Options{},
                  [this](std::span<char, base::kIdBytes> id) { sids.fill(id); }),
      engine({}, clock, application->socketio(),
             {.new_sid = [this](std::span<char, base::kIdBytes> sid) { sids.fill(sid); },
              .wall_clock_ms = {},
              .refuse = {}}),
      handovers(*context, cluster.table, slot, cluster.inboxes[slot].receiving.duplicate(), cluster.senders(),
                counters, [this](ipc::ReceivedHandover arrival) { front.take_in(std::move(arrival)); }) {
  application->socketio().set_adapter(&rings);
  application->socketio().set_elsewhere(&migration);
  router.set_streams(&streams);
  io.on_connection([this](Socket& socket) {
    sockets.push_back(socket);
    const std::string here = std::to_string(who.lane) + (socket.recovered() ? " recovered" : "");
    socket.on("where", [here](Ack ack) { ack(here); });
    socket.on("join", [](Socket from, std::string_view room) { from.join(room); });
  });
  io.get("/where", [this](const HttpRequest&) { return HttpResponse::text(std::to_string(who.lane)); });
}

void Tenant::CountedStreams::give_back(base::Descriptor socket, const client::ClientConnection& from,
                                       std::string_view unread) {
  ++of.sent_back;
  of.migration.give_back(std::move(socket), from, unread);
}

bool Tenant::CountedStreams::pass_on(base::Descriptor& socket, const client::ClientConnection& from,
                                     std::uint16_t to_slot, std::string_view unread) {
  const bool passed = of.migration.pass_on(socket, from, to_slot, unread);
  if (passed) ++of.passed_on;
  return passed;
}

Tenant::~Tenant() {
  application->socketio().set_elsewhere(nullptr);
  clients.close_all();
  application.reset();
}

void Tenant::join(const Tenant& peer) {
  const auto lend = [](int descriptor) { return base::Descriptor(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0)); };
  rings.join(peer.who, lend(peer.rings.ring()), lend(peer.rings.reader_page()), lend(peer.rings.doorbell()));
}

void Tenant::turn() {
  if (router.waits_for_supervisor()) front.ask_again();  // whatever it had to say, the test has done
  context->restart();                                    // it stops whenever nothing is being waited for
  context->poll();
  (void)poller.dispatch(allowance);
  clients.redeliver();
  (void)handovers.turn();
  (void)rings.poll(limpet::test::plenty());
  application->tick(limpet::test::plenty());
  engine.tick(limpet::test::plenty());
  loop::Allowance moves;
  moves.begin(moves_per_turn, 1h);
  migration.turn(moves);
  clients.flush();
  rings.flush(clock.now());
  clients.bury();
}

}  // namespace limpet::migration::test
