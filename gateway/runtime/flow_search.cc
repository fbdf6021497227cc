#include "runtime/flow_search.h"

#include <algorithm>
#include <array>
#include <utility>

#include <boost/asio/post.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/clock.h"

namespace vipgate {

bool FlowFilter::matches(const FlowInfo& flow) const {
  const std::array ends{flow.source, flow.destination, flow.translated_source, flow.translated_destination};
  const auto has_address = [&](const Endpoint& end) { return address->contains(end.address); };
  const auto has_port = [&](const Endpoint& end) { return end.port == *port; };
  if (address && std::none_of(ends.begin(), ends.end(), has_address)) return false;
  if (port && std::none_of(ends.begin(), ends.end(), has_port)) return false;
  if (protocol && flow.protocol != *protocol) return false;
  if (!service.empty() && (flow.service == nullptr || flow.service->name != service)) return false;
  if (!backend.empty() && (flow.backend == nullptr || flow.backend->name != backend)) return false;
  return state.empty() || flow.state == state;
}

std::string FlowPosition::to_string() const {
  return absl::StrCat(worker, ".", at);
}

std::optional<FlowPosition> FlowPosition::parse(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, '.');
  FlowPosition position;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &position.worker) || !absl::SimpleAtoi(parts[1], &position.at)) {
    return std::nullopt;
  }
  return position;
}

FlowSearch::FlowSearch(boost::asio::io_context& context, std::size_t workers, ShowEngine show_engine, FlowQuery query,
                       Done done)
    : context_(context),
      workers_(workers),
      show_engine_(std::move(show_engine)),
      query_(std::move(query)),
      done_(std::move(done)),
      position_(query_.from),
      began_(std::chrono::steady_clock::now()),
      patience_(context) {}

void FlowSearch::start() {
  // Twice as long as a page takes: who has not answered by then is stuck.
  patience_.expires_after(2 * kPatience);
  patience_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (error) return;
    self->finish(absl::UnavailableError(absl::StrCat("worker ", self->position_.worker, " does not answer")));
  });
  look();
}

void FlowSearch::look() {
  if (position_.worker >= workers_) return finish(std::move(page_));
  const bool is_late = std::chrono::steady_clock::now() - began_ >= kPatience;
  if (page_.flows.size() >= query_.limit || is_late) {
    page_.next = position_;
    return finish(std::move(page_));
  }
  show_engine_(position_.worker, [self = shared_from_this(), at = position_.at](const Engine& engine) {
    std::vector<FoundFlow> found;
    const auto next = engine.list(at, kFlowsPerLook, boot_time_now(), [&](const FlowInfo& flow) {
      if (!self->query_.filter.matches(flow)) return;
      FoundFlow& one = found.emplace_back(FoundFlow{.flow = flow, .service = {}, .backend = {}});
      if (flow.service != nullptr) one.service = flow.service->name;
      if (flow.backend != nullptr) one.backend = flow.backend->name;
      one.flow.service = nullptr;
      one.flow.backend = nullptr;
    });
    boost::asio::post(self->context_,
                      [self, found = std::move(found), next]() mutable { self->take(std::move(found), next); });
  });
}

void FlowSearch::take(std::vector<FoundFlow> found, std::optional<std::uint64_t> next) {
  std::move(found.begin(), found.end(), std::back_inserter(page_.flows));
  position_ = next ? FlowPosition{position_.worker, *next} : FlowPosition{position_.worker + 1, 0};
  look();
}

void FlowSearch::finish(absl::StatusOr<FlowPage> result) {
  patience_.cancel();
  if (!done_) return;
  std::exchange(done_, nullptr)(std::move(result));
}

}  // namespace vipgate
