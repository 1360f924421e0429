// The door between the bytes of a migration stream and its structs (law 9). Cap'n Proto stays behind it.
// Decoding range-checks everything and never throws.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "ipc/messages/channel.h"
#include "worker/migration/messages.h"

namespace limpet::migration {

/// Bytes, about, that it takes in a frame; not less for what is large.
[[nodiscard]] std::size_t weight_of(const SessionRecord& session);
[[nodiscard]] std::vector<std::byte> encode(const MigrationMessage& message);

/// nullopt, with the reason in `*why` ("a sid of 7 bytes, wants 20"). Descriptors are
/// counted here and stay in the datagram.
[[nodiscard]] std::optional<MigrationMessage> decode_migration_message(const ipc::Datagram& datagram,
                                                                       std::string* why);

/// What of `batch` wants a descriptor.
[[nodiscard]] std::size_t descriptors_of(const SessionBatch& batch) noexcept;

}  // namespace limpet::migration
