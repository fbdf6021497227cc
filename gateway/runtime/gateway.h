#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "absl/status/status.h"
#include "config/config.h"
#include "device/kernel.h"
#include "runtime/backend_orders.h"
#include "runtime/capture/captures.h"
#include "runtime/data_path.h"
#include "runtime/health/backend_health.h"
#include "runtime/kernel_setup.h"
#include "runtime/service_manager.h"
#include "runtime/status.h"
#include "runtime/takeover.h"

namespace vipgate {

/// A running gateway: the way of its packets (DataPath), the rules on it, and what is set up in the kernel for it. Its
/// own thread is the control thread: signals, reloading, watching the kernel, the log. Packets never wait for it.
class Gateway final : public GatewayControl, private TakeoverServer::Owner {
 public:
  struct Options {
    std::string config_file;            ///< read again on SIGHUP
    std::optional<std::uint64_t> seed;  ///< none: random
    bool standby = false;               ///< announce nothing until told to
    bool takeover = false;              ///< in the place of the one that runs
  };

  /// `context` is run by run() and by nobody else.
  Gateway(boost::asio::io_context& context, Options options, Config config, KernelInterface& kernel);

  /// Sets up, works until a signal, and undoes the set-up. `open_doors` is called when all is set up and no second
  /// gateway can be: it lets others reach this one. An error says what stood in the way, or what went wrong; the set-up
  /// is undone all the same.
  absl::Status run(const std::function<absl::Status()>& open_doors);

  /// After run(): a worker is stuck, and uses this object still. The process has to end without destroying it.
  bool has_left_worker_behind() const { return path_.has_left_worker_behind(); }

  void status(std::function<void(const GatewayStatus&)> done) override;
  ReloadResult reload() override;
  absl::StatusOr<std::vector<std::string>> drain(const std::string& backend) override;
  absl::StatusOr<std::vector<std::string>> undrain(const std::string& backend) override;
  absl::StatusOr<std::vector<std::string>> set_weight(const std::string& backend,
                                                      std::optional<std::uint32_t> weight) override;
  void flows(FlowQuery query, std::function<void(absl::StatusOr<FlowPage>)> done) override;
  void end_flows(FlowFilter filter, FlowPosition from, std::function<void(absl::StatusOr<EndedFlows>)> done) override;
  void explain(std::vector<std::uint8_t> packet, std::function<void(absl::StatusOr<Explanation>)> done) override;
  absl::StatusOr<std::shared_ptr<ByteSource>> capture(CaptureQuery query) override;
  absl::Status set_standby(bool standby) override;

 private:
  TunOrigin tun_origin() const { return path_.made_device() ? TunOrigin::created : TunOrigin::found; }
  absl::StatusOr<Estate> hand_over(const TakeoverRequest& request) override;
  void take_back(const std::string& why) override;
  void leave() override;
  std::string objection_to(const TakeoverRequest& request) const;
  absl::Status ask_for_takeover();
  absl::Status open_flows();
  absl::Status listen_for_takeovers();

  absl::Status start(const std::function<absl::Status()>& open_doors);
  void make_health();
  void keep_health();
  ReloadResult load_and_apply();
  Rules present_rules() const;
  Withdrawn unserved() const;
  void announce();
  void publish_rules();
  void free_old_rulesets();
  void renew_ruleset();
  void bring_back_device(const std::string& why);
  void watch();
  void wait_for_signal();
  void upgrade();
  void end(absl::Status status);

  boost::asio::io_context& context_;
  boost::asio::signal_set signals_{context_};
  boost::asio::steady_timer watch_timer_{context_};

  Options options_;
  std::string program_ = own_program();  ///< looked at before somebody replaces it
  bool standby_;
  bool realtime_ = false;  ///< workers have real-time threads
  Config config_;
  DataPath path_;
  Captures captures_;
  KernelSetup kernel_setup_;
  std::optional<BackendOrders> orders_;
  Rules rules_;  ///< those of the configuration, and what they say about this host
  std::uint32_t generation_ = 1;
  std::uint64_t reloads_accepted_ = 0;
  std::uint64_t reloads_refused_ = 0;
  std::shared_ptr<const Ruleset> ruleset_;
  /// Earlier ones, freed here when no worker uses them any more: to free a large one takes longer than packets wait.
  std::vector<std::shared_ptr<const Ruleset>> old_rulesets_;
  std::optional<BackendHealth> health_;
  std::set<Endpoint> down_;  ///< what is written of it
  Time started_;
  std::function<absl::Status()> open_doors_;
  TakeoverServer takeovers_{context_, *this};
  std::optional<Takeover> takeover_;  ///< while this process takes another one's place
  bool in_charge_ = true;             ///< of what is set up; else another process is
  bool handing_over_ = false;
  bool ending_ = false;         ///< it waits for those who read captures, and for nothing else
  absl::Status watch_trouble_;  ///< why the last look at the kernel failed
  absl::Status result_;
};

}  // namespace vipgate
