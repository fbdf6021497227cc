#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "absl/status/statusor.h"
#include "runtime/explain.h"
#include "runtime/flow_storage.h"
#include "vipgate/engine.h"

namespace vipgate {

/// What would become of a packet if it came to the running workers now. The one that owns its flow lends a copy of it
/// to an engine of our own, with the same rules, and that one decides. Nothing is sent, and nothing changes.
class Rehearsal : public std::enable_shared_from_this<Rehearsal> {
 public:
  using ShowEngine = std::function<void(std::size_t worker, std::function<void(const Engine&)> look)>;
  using Done = std::function<void(absl::StatusOr<Explanation>)>;
  struct Stage {
    std::shared_ptr<const Ruleset> ruleset;  ///< the workers'
    std::size_t mtu = 0;
    std::uint64_t seed = 0;
    std::size_t workers = 0;
    ShowEngine show_engine;
  };

  Rehearsal(boost::asio::io_context& context, Stage stage, std::vector<std::uint8_t> packet, Done done);
  /// Calls `done` on the context's thread, within a second or so.
  void start();

 private:
  void perform();
  void finish(absl::StatusOr<Explanation> result);

  boost::asio::io_context& context_;
  Stage stage_;
  std::vector<std::uint8_t> packet_;
  Done done_;
  absl::StatusOr<FlowStorage> storage_;
  std::size_t waiting_;
  boost::asio::steady_timer patience_;
};

}  // namespace vipgate
