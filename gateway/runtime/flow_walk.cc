#include "runtime/flow_walk.h"

#include <utility>

#include <boost/asio/post.hpp>

#include "absl/strings/str_cat.h"

namespace vipgate {

FlowWalk::FlowWalk(boost::asio::io_context& context, std::size_t workers, FlowPosition from,
                   std::chrono::milliseconds patience)
    : context_(context),
      workers_(workers),
      position_(from),
      patience_(patience),
      began_(std::chrono::steady_clock::now()),
      timer_(context) {}

void FlowWalk::start() {
  timer_.expires_after(2 * patience_);
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (error) return;
    self->end(absl::UnavailableError(absl::StrCat("worker ", self->position_.worker, " does not answer")));
  });
  go_on();
}

void FlowWalk::go_on() {
  if (ended_) return;
  if (position_.worker >= workers_) return end(std::nullopt);
  const bool is_late = std::chrono::steady_clock::now() - began_ >= patience_;
  if (has_enough() || is_late) return end(position_);
  step(position_, [self = shared_from_this()](std::optional<std::uint64_t> next) {
    boost::asio::post(self->context_, [self, next] {
      self->position_ =
          next ? FlowPosition{self->position_.worker, *next} : FlowPosition{self->position_.worker + 1, 0};
      self->go_on();
    });
  });
}

void FlowWalk::end(absl::StatusOr<std::optional<FlowPosition>> result) {
  timer_.cancel();
  if (!std::exchange(ended_, true)) finish(std::move(result));
}

}  // namespace vipgate
