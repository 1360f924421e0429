#include "ipc/ring_writer.h"

#include "ipc/ring_writer_body.h"

namespace limpet::ipc {

template class BasicRingWriter<CommitOrder::IntentPayloadTail>;

}  // namespace limpet::ipc
