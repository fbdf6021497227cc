#include "runtime/flow_end.h"

#include <utility>

#include "runtime/clock.h"

namespace vipgate {

FlowEnd::FlowEnd(boost::asio::io_context& context, std::size_t workers, UseEngine use_engine, FlowFilter filter,
                 FlowPosition from, Done done)
    : FlowWalk(context, workers, from, kPatience),
      use_engine_(std::move(use_engine)),
      filter_(std::move(filter)),
      done_(std::move(done)) {}

void FlowEnd::step(FlowPosition from, std::function<void(std::optional<std::uint64_t>)> done) {
  use_engine_(from.worker, [this, self = shared_from_this(), at = from.at, done = std::move(done)](Engine& engine,
                                                                                                   PacketSink& sink) {
    const auto chosen = [this](const FlowInfo& flow) { return filter_.matches(flow); };
    const auto ended = engine.end(at, kFlowsPerLook, kEndsPerStep, boot_time_now(), chosen, sink);
    ended_ += ended.flows;
    done(ended.next);
  });
}

void FlowEnd::finish(absl::StatusOr<std::optional<FlowPosition>> end) {
  if (!end.ok()) return done_(end.status());
  done_(EndedFlows{.flows = ended_, .next = *end});
}

}  // namespace vipgate
