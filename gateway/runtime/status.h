#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/byte_source.h"
#include "runtime/capture/capture_query.h"
#include "runtime/explain.h"
#include "runtime/flow_query.h"
#include "runtime/health/health_report.h"
#include "runtime/worker_counters.h"
#include "vipgate/rules.h"
#include "vipgate/time.h"

namespace vipgate {

/// How a gateway is at a moment.
struct GatewayStatus {
  Time now{};
  Duration uptime{};
  std::string config_file;
  std::uint32_t generation = 0;            ///< of the ruleset: grows with each change
  bool standby = false;                    ///< another gateway is to have the VIPs: nothing is announced
  std::shared_ptr<const Ruleset> ruleset;  ///< VIPs, services, backends and their states
  HealthReports health;
  std::size_t max_flows = 0;
  std::uint64_t reloads_accepted = 0;
  std::uint64_t reloads_refused = 0;
  std::vector<WorkerReport> workers;
};

/// What became of a reload: what it changed, or what is wrong with the file, a line each.
struct ReloadResult {
  bool accepted = false;
  std::vector<std::string> lines;
};

/// What a running gateway can be asked and told. To be called on its control thread.
class GatewayControl {
 public:
  virtual ~GatewayControl() = default;

  /// Calls `done` within a fraction of a second.
  virtual void status(std::function<void(const GatewayStatus&)> done) = 0;
  /// Reads the configuration file again; all of it is checked before anything changes.
  virtual ReloadResult reload() = 0;
  /// From now on the backend gets no new flow, and keeps those that it has; or it gets new ones again. By which names,
  /// and what comes back: BackendOrders.
  virtual absl::StatusOr<std::vector<std::string>> drain(const std::string& backend) = 0;
  virtual absl::StatusOr<std::vector<std::string>> undrain(const std::string& backend) = 0;
  /// Its share of new flows from now on; none: as configured. Likewise.
  virtual absl::StatusOr<std::vector<std::string>> set_weight(const std::string& backend,
                                                              std::optional<std::uint32_t> weight) = 0;
  /// A page of flows, within a second or so; or Unavailable.
  virtual void flows(FlowQuery query, std::function<void(absl::StatusOr<FlowPage>)> done) = 0;
  /// Ends flows, from a position on; within some seconds, and perhaps not all of them. Likewise.
  virtual void end_flows(FlowFilter filter, FlowPosition from,
                         std::function<void(absl::StatusOr<EndedFlows>)> done) = 0;
  /// What would become of an IPv4 packet if it came now; likewise.
  virtual void explain(std::vector<std::uint8_t> packet, std::function<void(absl::StatusOr<Explanation>)> done) = 0;
  /// Packets as they come and leave, until the query's limits, the source's stop() or its destruction, or the gateway's
  /// end. Unavailable: there are as many captures as there can be.
  virtual absl::StatusOr<std::shared_ptr<ByteSource>> capture(CaptureQuery query) = 0;
  /// Withdraws all announcements, or makes them again. An error: why not.
  virtual absl::Status set_standby(bool standby) = 0;
};

}  // namespace vipgate
