#include "runtime/flow_search.h"

#include <utility>

#include "runtime/clock.h"

namespace vipgate {

FlowSearch::FlowSearch(boost::asio::io_context& context, std::size_t workers, ShowEngine show_engine, FlowQuery query,
                       Done done)
    : FlowWalk(context, workers, query.from, kPatience),
      show_engine_(std::move(show_engine)),
      query_(std::move(query)),
      done_(std::move(done)) {}

/// One worker at a time adds to the page, and the context's thread reads it between two steps.
void FlowSearch::step(FlowPosition from, std::function<void(std::optional<std::uint64_t>)> done) {
  show_engine_(from.worker,
               [this, self = shared_from_this(), at = from.at, done = std::move(done)](const Engine& engine) {
                 done(engine.list(at, kFlowsPerLook, boot_time_now(), [this](const FlowInfo& flow) {
                   if (!query_.filter.matches(flow)) return;
                   FoundFlow& one = page_.flows.emplace_back(FoundFlow{.flow = flow, .service = {}, .backend = {}});
                   if (flow.service != nullptr) one.service = flow.service->name;
                   if (flow.backend != nullptr) one.backend = flow.backend->name;
                   one.flow.service = nullptr;
                   one.flow.backend = nullptr;
                 }));
               });
}

void FlowSearch::finish(absl::StatusOr<std::optional<FlowPosition>> end) {
  if (!end.ok()) return done_(end.status());
  page_.next = *end;
  done_(std::move(page_));
}

}  // namespace vipgate
