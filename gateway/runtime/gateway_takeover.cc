#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/clock.h"
#include "runtime/gateway.h"
#include "runtime/log.h"

namespace vipgate {
namespace {

namespace fs = std::filesystem;

bool is_same_folder(const std::string& one, const std::string& other) {
  std::error_code error;
  return fs::equivalent(one, other, error);
}

}  // namespace

absl::Status Gateway::ask_for_takeover() {
  in_charge_ = false;
  auto asked = Takeover::ask(config_.tun.name, {.protocol = kTakeoverProtocol,
                                                .flow_layout = kFlowLayout,
                                                .state_dir = fs::absolute(config_.flows.state_dir),
                                                .max_flows = config_.flows.max});
  if (!asked.ok()) return asked.status();
  takeover_ = *std::move(asked);
  if (!takeover_) {
    log_info(absl::StrCat("no gateway runs on ", config_.tun.name, " to be taken over: starting as usual"));
    in_charge_ = true;
    return absl::OkStatus();
  }
  Estate& estate = takeover_->estate();
  generation_ = estate.generation + 1;
  standby_ = standby_ || estate.standby;
  kernel_setup_.take_over({.protocol = std::move(estate.protocol_lock),
                           .protocol_number = estate.kernel_protocol,
                           .folder = std::move(estate.folder_lock)});
  return absl::OkStatus();
}

absl::Status Gateway::listen_for_takeovers() {
  if (takeover_) return takeovers_.listen_on(std::move(takeover_->estate().listener));
  return takeovers_.listen(config_.tun.name);
}

/// Empty: it may take this gateway's place.
std::string Gateway::objection_to(const TakeoverRequest& request) const {
  constexpr const char* kRemedy = "; end this gateway and start the new one: flows are kept as far as they can be";
  if (request.flow_layout != kFlowLayout) {
    return absl::StrCat("its flows have layout ", request.flow_layout, ", and these ", kFlowLayout, kRemedy);
  }
  if (!is_same_folder(request.state_dir, config_.flows.state_dir)) {
    return absl::StrCat("it cannot change flows.state_dir, which is ", config_.flows.state_dir, kRemedy);
  }
  if (request.max_flows != 0 && request.max_flows != path_.max_flows()) {
    return absl::StrCat("it cannot change flows.max, which is ", path_.max_flows(), kRemedy);
  }
  if (ending_) return "it is ending; start as usual when it has ended";
  if (path_.has_stuck_worker()) {
    return absl::StrCat("a worker is stuck", kRemedy);
  }
  return "";
}

absl::StatusOr<Estate> Gateway::hand_over(const TakeoverRequest& request) {
  const std::string objection = objection_to(request);
  absl::Status status = objection.empty() ? absl::OkStatus() : absl::FailedPreconditionError(objection);
  if (status.ok()) {
    status = path_.stop();
    if (!status.ok()) path_.go_on();
  }
  if (!status.ok()) {
    log_warning(absl::StrCat("a new process asked to take over, and was refused: ", std::string(status.message())));
    return status;
  }
  log_info("a new process takes over");
  handing_over_ = true;
  watch_timer_.cancel();
  KernelSetup::Locks locks = kernel_setup_.copy_locks();
  Estate estate{.started = started_,
                .generation = generation_,
                .standby = standby_,
                .kernel_protocol = locks.protocol_number,
                .signs = signs_of(*ruleset_),
                .protocol_lock = std::move(locks.protocol),
                .folder_lock = std::move(locks.folder),
                .listener = duplicate(takeovers_.listener())};
  path_.hand_over(estate);
  return estate;
}

void Gateway::take_back(const std::string& why) {
  log_warning(absl::StrCat("the new process did not take over, ", why, "; this one goes on"));
  handing_over_ = false;
  if (const absl::Status status = path_.take_back(); !status.ok()) log_error(std::string(status.message()));
  // The other one may have added a queue, changed the kernel, or taken the control socket's place.
  path_.keep_queues();
  kernel_setup_.resume();
  keep_health();
  renew_ruleset();
  path_.prepare(ruleset_);
  path_.start(realtime_);
  if (const absl::Status status = open_doors_(); !status.ok()) log_error(std::string(status.message()));
  announce();
}

void Gateway::leave() {
  log_info("the new process runs; this one ends and leaves everything to it");
  in_charge_ = false;
  end(absl::OkStatus());
}

}  // namespace vipgate
