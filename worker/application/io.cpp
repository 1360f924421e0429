// Io, Namespace and BroadcastOperator: small values that hand on to the Application and its server.
#include "worker/limpet/io.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "worker/application/application.h"

namespace limpet {
namespace {

/// Views of a few names without allocating.
class Names {
 public:
  Names(const detail::RoomList& names, std::optional<std::string_view> one_more) {
    size_ = names.size() + (one_more ? 1 : 0);
    if (size_ > few_.size()) many_.resize(size_);
    std::string_view* out = size_ > few_.size() ? many_.data() : few_.data();
    for (std::size_t i = 0; i < names.size(); ++i) *out++ = names[i];
    if (one_more) *out = *one_more;
  }
  [[nodiscard]] std::span<const std::string_view> view() const noexcept {
    return {size_ > few_.size() ? many_.data() : few_.data(), size_};
  }

 private:
  std::size_t size_;
  std::array<std::string_view, 4> few_;
  std::vector<std::string_view> many_;
};

}  // namespace

std::string_view BroadcastOperator::namespace_name() const noexcept {
  return nsp_ == nullptr ? std::string_view("/") : std::string_view(nsp_->name);
}

EmitResult BroadcastOperator::send(detail::Encoder& encoder) const {
  if (nsp_ == nullptr) return EmitResult::Lost;
  const Names rooms(rooms_, std::nullopt);
  const Names except(except_,
                     sender_ ? std::optional<std::string_view>(socketio::view_of(*sender_)) : std::nullopt);
  return server_->broadcast(*nsp_,
                            {.nsp = nsp_->name,
                             .rooms = rooms.view(),
                             .except = except.view(),
                             .is_volatile = is_volatile_,
                             .frames = encoder.finish()},
                            local_);
}

BroadcastOperator Namespace::all() const { return {nsp_->server, nsp_}; }

application::GuardedHandlers& Namespace::handlers() const noexcept {
  return static_cast<application::GuardedHandlers&>(*nsp_->handlers);  // Application has made all of them
}

application::Application& Namespace::application() const noexcept { return handlers().application(); }

std::string_view Namespace::name() const noexcept { return nsp_->name; }

void Namespace::on_connection(std::function<void(Socket&)> handler) const {
  handlers().add_connection_handler(std::move(handler));
}

void Namespace::on_leaving(std::function<void(Socket&)> handler) const {
  handlers().add_leaving_handler(std::move(handler));
}

void Namespace::use(Middleware middleware) const { handlers().add_middleware(std::move(middleware)); }

std::size_t Namespace::local_size() const noexcept { return nsp_->members.size(); }

Io::Io(application::Application& application) : Namespace(application.namespace_named("/")) {}

Namespace Io::of(std::string_view name) const { return Namespace(application().namespace_named(name)); }

void Io::get(std::string_view path, HttpHandler handler) const {
  application().routes().get(path, std::move(handler));
}

void Io::files(std::string_view url_prefix, const std::filesystem::path& directory) const {
  application().routes().files(url_prefix, directory);
}

void Io::serve_client(const std::filesystem::path& directory) const {
  application().routes().serve_client(directory);
}

void Io::handle_protocols(ProtocolChooser chooser) const {
  application().set_protocol_chooser(std::move(chooser));
}

const boost::json::object& Io::config() const noexcept { return application().options().config; }

std::uint32_t Io::slot() const noexcept { return application().options().slot; }

std::uint64_t Io::worker_generation() const noexcept { return application().options().worker_generation; }

void Io::on_gap(std::function<void(const Gap&)> handler) const {
  application().add_gap_handler(std::move(handler));
}

TimerId Io::every(std::chrono::milliseconds period, std::function<void()> task) const {
  const auto at_least = std::max(period, std::chrono::milliseconds(1));
  return application().add_timer(at_least, at_least, std::move(task));
}

TimerId Io::after(std::chrono::milliseconds delay, std::function<void()> task) const {
  return application().add_timer(std::max(delay, std::chrono::milliseconds(0)), {}, std::move(task));
}

bool Io::cancel(TimerId timer) const { return application().cancel_timer(timer); }

}  // namespace limpet
