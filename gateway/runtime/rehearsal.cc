#include "runtime/rehearsal.h"

#include <chrono>
#include <utility>

#include <boost/asio/post.hpp>

#include "runtime/clock.h"
#include "runtime/collector.h"
#include "vipgate/backend_signs.h"
#include "vipgate/inspect.h"

namespace vipgate {
namespace {

/// A packet concerns a flow, a mapping and an expectation at most, all of one shard, and may open another.
constexpr std::size_t kCapacity = std::size_t{kShards} * 8;
constexpr auto kPatience = std::chrono::seconds(1);

}  // namespace

Rehearsal::Rehearsal(boost::asio::io_context& context, Stage stage, std::vector<std::uint8_t> packet, Done done)
    : context_(context),
      stage_(std::move(stage)),
      packet_(std::move(packet)),
      done_(std::move(done)),
      storage_(FlowStorage::allocate(kCapacity)),
      waiting_(stage_.workers),
      patience_(context) {}

void Rehearsal::start() {
  if (!storage_.ok()) return finish(storage_.status());
  patience_.expires_after(kPatience);
  patience_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error) self->finish(absl::UnavailableError("a worker does not answer"));
  });
  for (std::size_t worker = 0; worker < stage_.workers; ++worker) {
    stage_.show_engine(worker, [self = shared_from_this()](const Engine& engine) {
      std::vector<std::uint8_t> bytes = self->packet_;
      bytes.resize(bytes.size() + kSpareRoom);
      const std::span<std::uint8_t> packet = std::span(bytes).first(self->packet_.size());
      // Only the owner of the packet's shard writes there.
      engine.lend({.bytes = packet, .virtio = virtio_header_of_capture(packet, self->stage_.mtu)}, boot_time_now(),
                  self->storage_->memory());
      boost::asio::post(self->context_, [self] {
        if (--self->waiting_ == 0) self->perform();
      });
    });
  }
}

void Rehearsal::perform() {
  if (!done_) return;
  const auto ruleset = compile(rules_of(*stage_.ruleset), 1);
  Engine engine({.worker = 0, .workers = 1, .seed = stage_.seed, .memory = storage_->memory()}, ruleset);
  const Time now = boot_time_now();
  engine.adopt(now, Found::lent);
  std::vector<std::vector<std::uint8_t>> ends;
  Collector nowhere(ends);
  engine.run(now, nowhere);  // has the rules say whose the flow is
  lend_counts(*stage_.ruleset, *ruleset);
  finish(explain(engine, packet_, stage_.mtu, now, OtherFlows::counted));
}

void Rehearsal::finish(absl::StatusOr<Explanation> result) {
  patience_.cancel();
  if (done_) std::exchange(done_, nullptr)(std::move(result));
}

}  // namespace vipgate
