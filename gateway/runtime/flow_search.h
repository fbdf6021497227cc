#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "absl/status/statusor.h"
#include "vipgate/engine.h"
#include "vipgate/flow_info.h"

namespace vipgate {

/// Which flows are asked for. What is not set, or empty, may be anything.
struct FlowFilter {
  std::optional<Ipv4Prefix> address;  ///< of any end, before or after translation
  std::optional<std::uint16_t> port;  ///< likewise
  std::optional<Protocol> protocol;
  std::string service;
  std::string backend;  ///< name
  std::string state;    ///< as FlowInfo has it

  bool matches(const FlowInfo& flow) const;
};

/// Where a search has come to.
struct FlowPosition {
  std::size_t worker = 0;
  std::uint64_t at = 0;  ///< Engine::list()

  std::string to_string() const;
  static std::optional<FlowPosition> parse(const std::string& text);
};

struct FlowQuery {
  FlowFilter filter;
  FlowPosition from;
  std::size_t limit = 1000;  ///< a page has no more than this and kFlowsPerLook
};

/// A flow that was found, with names that stay.
struct FoundFlow {
  FlowInfo flow;  ///< `service` and `backend` are not set
  std::string service;
  std::string backend;
};
struct FlowPage {
  std::vector<FoundFlow> flows;
  std::optional<FlowPosition> next;  ///< none: these were the last
};

/// Records that a worker looks at while its packets wait: some 50 µs.
inline constexpr std::size_t kFlowsPerLook = 1024;

/// Looks for flows, worker by worker, a little at a time.
class FlowSearch : public std::enable_shared_from_this<FlowSearch> {
 public:
  using ShowEngine = std::function<void(std::size_t worker, std::function<void(const Engine&)> look)>;
  using Done = std::function<void(absl::StatusOr<FlowPage>)>;

  /// How long a page may take; it is shorter then.
  static constexpr auto kPatience = std::chrono::milliseconds(500);

  FlowSearch(boost::asio::io_context& context, std::size_t workers, ShowEngine show_engine, FlowQuery query, Done done);
  /// Calls `done` on the context's thread: a page, or Unavailable when a worker does not answer.
  void start();

 private:
  void look();
  void take(std::vector<FoundFlow> found, std::optional<std::uint64_t> next);
  void finish(absl::StatusOr<FlowPage> result);

  boost::asio::io_context& context_;
  std::size_t workers_;
  ShowEngine show_engine_;
  FlowQuery query_;
  Done done_;
  FlowPage page_;
  FlowPosition position_;
  std::chrono::steady_clock::time_point began_;
  boost::asio::steady_timer patience_;
};

}  // namespace vipgate
