#include "runtime/gateway.h"

#include <csignal>

#include <algorithm>
#include <thread>
#include <utility>

#include <boost/asio/post.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "config/load.h"
#include "runtime/clock.h"
#include "runtime/config_diff.h"
#include "runtime/flow_end.h"
#include "runtime/flow_search.h"
#include "runtime/health/down_list.h"
#include "runtime/log.h"
#include "runtime/rehearsal.h"
#include "runtime/service_manager.h"
#include "runtime/thread_priority.h"

namespace vipgate {
namespace {

/// How often the kernel is looked at for what others have changed.
constexpr auto kWatchInterval = std::chrono::seconds(1);
/// At the soonest again, where KernelSetup has something to send, even when it cannot.
constexpr auto kShortestWatchInterval = std::chrono::milliseconds(50);

/// Lines in the log at most that say what a reload has changed.
constexpr std::size_t kMaxChangesLogged = 50;

std::uint32_t workers_of(const Config& config) {
  if (config.tun.workers != 0) return config.tun.workers;
  return std::clamp<std::uint32_t>(std::thread::hardware_concurrency(), 1, kShards);
}

/// Whether workers get real-time threads.
absl::StatusOr<bool> wants_realtime(Scheduling scheduling) {
  if (scheduling == Scheduling::normal) return false;
  const bool automatic = scheduling == Scheduling::automatic;
  if (automatic && std::thread::hardware_concurrency() < 2) return false;
  absl::Status status = ThreadPriority::check_realtime();
  if (status.ok()) return true;
  if (!automatic) return status;
  log_info(absl::StrCat("workers wait their turn among other programs: ", std::string(status.message())));
  return false;
}

/// Keys that only a start can change: names of those that differ.
std::string fixed_at_start(const Config& running, const Config& wanted) {
  std::string names;
  const auto compare = [&names](const char* name, bool same) {
    if (!same) absl::StrAppend(&names, names.empty() ? "" : ", ", name);
  };
  compare("tun.name", running.tun.name == wanted.tun.name);
  compare("tun.workers", running.tun.workers == wanted.tun.workers);
  compare("tun.offload", running.tun.offload == wanted.tun.offload);
  compare("tun.scheduling", running.tun.scheduling == wanted.tun.scheduling);
  compare("flows.max", running.flows.max == wanted.flows.max);
  compare("flows.state_dir", running.flows.state_dir == wanted.flows.state_dir);
  compare("kernel.table", running.kernel.table == wanted.kernel.table);
  compare("kernel.protocol", running.kernel.protocol == wanted.kernel.protocol);
  compare("control.socket", running.control.socket == wanted.control.socket);
  compare("control.group", running.control.group == wanted.control.group);
  compare("control.http", running.control.http == wanted.control.http);
  return names;
}

absl::Status being_taken_over() {
  return absl::FailedPreconditionError("another process is taking over; ask that one");
}

}  // namespace

Gateway::Gateway(boost::asio::io_context& context, Options options, Config config, KernelInterface& kernel)
    : context_(context),
      options_(std::move(options)),
      standby_(options_.standby),
      config_(std::move(config)),
      path_(context, {.device = config_.tun.name, .workers = workers_of(config_), .offload = config_.tun.offload},
            [this](const std::string& what) { bring_back_device(what); }),
      captures_(context, {.tap = [this](const TapSet& taps) { path_.tap(taps); },
                          .untap = [this](const TapSet& taps) { path_.untap(taps); }}),
      kernel_setup_(kernel, [](const std::string& line) { log_info(line); }) {}

absl::Status Gateway::run(const std::function<absl::Status()>& open_doors) {
  open_doors_ = open_doors;
  result_ = start(open_doors);
  if (result_.ok()) {
    context_.run();
    if (const absl::Status status = path_.stop(); !status.ok()) {
      log_warning(absl::StrCat(std::string(status.message()), "; it ends with the process"));
    } else {
      path_.log_totals();
    }
  }
  if (!in_charge_) return result_;
  tell_stopping();
  path_.end();
  kernel_setup_.restore();
  return result_;
}

absl::Status Gateway::start(const std::function<absl::Status()>& open_doors) {
  // Caught from here on, so that whatever is set up below is also undone.
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR2}) signals_.add(signal);

  const absl::StatusOr<bool> realtime = wants_realtime(config_.tun.scheduling);
  if (!realtime.ok()) return realtime.status();
  realtime_ = *realtime;
  if (options_.takeover) {
    if (absl::Status status = ask_for_takeover(); !status.ok()) return status;
  }
  absl::Status opened = takeover_ ? path_.take_over_device(takeover_->estate()) : path_.open_device();
  if (!opened.ok()) return opened;
  orders_.emplace(config_.flows.state_dir);
  make_health();
  rules_ = present_rules();
  if (absl::Status status = kernel_setup_.withdraw(unserved()); !status.ok()) return status;
  if (absl::Status status = kernel_setup_.apply(config_, tun_origin()); !status.ok()) return status;
  if (in_charge_) path_.keep_queues();
  rules_ = present_rules();
  if (absl::Status status = open_flows(); !status.ok()) return status;
  ruleset_ = compile(rules_, generation_);
  if (absl::Status status = open_doors(); !status.ok()) return status;
  if (takeover_) continue_signs(*ruleset_, takeover_->estate().signs);
  started_ = takeover_ ? takeover_->estate().started : boot_time_now();
  path_.prepare(ruleset_);
  if (takeover_) {
    if (absl::Status status = takeover_->take_charge(); !status.ok()) return status;
    in_charge_ = true;
    kernel_setup_.take_charge();
  }
  path_.start(realtime_);
  if (takeover_) {
    takeover_->say_running();
    path_.keep_queues();
  }
  if (absl::Status status = listen_for_takeovers(); !status.ok()) return status;
  takeover_.reset();
  wait_for_signal();
  if (standby_) log_info("standing by: nothing is announced");
  watch();
  tell_ready();
  log_info(absl::StrCat("ready: ", config_.rules.vips.size(), config_.rules.vips.size() == 1 ? " VIP, " : " VIPs, ",
                        path_.workers(), path_.workers() == 1 ? " worker, " : " workers, ", path_.max_flows(),
                        " flows at most"));
  return absl::OkStatus();
}

/// Checks begin when the context runs.
void Gateway::make_health() {
  const auto write = [](LogLevel level, const std::string& line) {
    level == LogLevel::warning ? log_warning(line) : log_info(line);
  };
  down_ = read_down_list(config_.flows.state_dir);
  health_.emplace(
      context_, HealthMonitor::Options{.down = down_},
      BackendHealth::Hooks{.changed =
                               [this] {
                                 keep_health();
                                 publish_rules();
                               },
                           .signs = [this](std::uint16_t service,
                                           std::uint16_t backend) { return signs_of(*ruleset_, service, backend); },
                           .write = write});
  health_->set_config(config_);
}

void Gateway::keep_health() {
  if (handing_over_) return;
  std::set<Endpoint> down = health_->down();
  if (down == down_) return;
  down_ = std::move(down);
  if (const absl::Status status = write_down_list(config_.flows.state_dir, down_); !status.ok()) {
    log_warning(absl::StrCat("the next start will not know which backends are down: ", std::string(status.message())));
  }
}

void Gateway::wait_for_signal() {
  signals_.async_wait([this](const boost::system::error_code& error, int signal) {
    if (error) return;
    if (signal == SIGHUP) {
      reload();
      wait_for_signal();
    } else if (signal == SIGUSR2) {
      upgrade();
      wait_for_signal();
    } else {
      log_info(signal == SIGTERM ? "ending: SIGTERM" : "ending: SIGINT");
      end(absl::OkStatus());
    }
  });
}

/// The program may be another one than the one that runs: a package has replaced it.
void Gateway::upgrade() {
  if (handing_over_) return;
  log_info(absl::StrCat("SIGUSR2: ", program_, " is started, to take over"));
  const absl::Status status = start_successor(program_, options_.config_file);
  if (!status.ok()) log_error(absl::StrCat(std::string(status.message()), "; this one goes on"));
}

absl::Status Gateway::open_flows() {
  const std::size_t capacity = config_.flows.max == 0 ? FlowStorage::default_capacity() : config_.flows.max;
  const FlowFileOptions options{.state_dir = config_.flows.state_dir,
                                .capacity = capacity,
                                .seed = options_.seed,
                                .log = [](const std::string& line) { log_info(line); }};
  return takeover_ ? path_.take_over_flows(takeover_->estate(), options) : path_.open_flows(options);
}

ReloadResult Gateway::reload() {
  const ReloadResult result = load_and_apply();
  ++(result.accepted ? reloads_accepted_ : reloads_refused_);
  if (!result.accepted) {
    for (const std::string& line : result.lines) log_error(line);
    log_error("reload refused; the running configuration stays");
    return result;
  }
  log_info(absl::StrCat("reloaded ", options_.config_file, result.lines.empty() ? ": nothing changed" : ""));
  for (std::size_t i = 0; i < std::min(result.lines.size(), kMaxChangesLogged); ++i) log_info("  " + result.lines[i]);
  if (result.lines.size() > kMaxChangesLogged) {
    log_info(absl::StrCat("  and ", result.lines.size() - kMaxChangesLogged, " more"));
  }
  return result;
}

/// Everything is checked before anything is changed: a configuration that is refused leaves the running one as it was.
ReloadResult Gateway::load_and_apply() {
  if (handing_over_) return {false, {std::string(being_taken_over().message())}};
  LoadResult loaded = load_config(options_.config_file);
  if (!loaded.config) return {false, std::move(loaded.errors)};
  Config& wanted = *loaded.config;
  if (const std::string names = fixed_at_start(config_, wanted); !names.empty()) {
    return {false, {absl::StrCat("only a new start can change ", names)}};
  }
  if (const absl::Status status = kernel_setup_.apply(wanted, TunOrigin::found); !status.ok()) {
    return {false, {std::string(status.message())}};
  }
  ReloadResult result{true, describe_changes(config_, wanted)};
  config_ = std::move(wanted);
  health_->set_config(config_);
  keep_health();
  publish_rules();
  return result;
}

void Gateway::status(std::function<void(const GatewayStatus&)> done) {
  path_.refresh([this, done = std::move(done)] {
    const Time now = boot_time_now();
    done({.now = now,
          .uptime = now - started_,
          .config_file = options_.config_file,
          .generation = generation_,
          .standby = standby_,
          .ruleset = ruleset_,
          .health = health_->reports(),
          .max_flows = path_.max_flows(),
          .reloads_accepted = reloads_accepted_,
          .reloads_refused = reloads_refused_,
          .workers = path_.reports()});
  });
}

absl::StatusOr<std::vector<std::string>> Gateway::drain(const std::string& backend) {
  if (handing_over_) return being_taken_over();
  auto meant = orders_->drain(backend, config_.rules);
  if (meant.ok()) log_info(absl::StrCat("drained: ", absl::StrJoin(*meant, ", ")));
  publish_rules();
  return meant;
}

absl::StatusOr<std::vector<std::string>> Gateway::undrain(const std::string& backend) {
  if (handing_over_) return being_taken_over();
  auto meant = orders_->undrain(backend, config_.rules);
  if (meant.ok()) log_info(absl::StrCat("no longer drained: ", absl::StrJoin(*meant, ", ")));
  publish_rules();
  return meant;
}

absl::StatusOr<std::vector<std::string>> Gateway::set_weight(const std::string& backend,
                                                             std::optional<std::uint32_t> weight) {
  if (handing_over_) return being_taken_over();
  auto meant =
      weight ? orders_->set_weight(backend, *weight, config_.rules) : orders_->reset_weight(backend, config_.rules);
  if (meant.ok()) {
    log_info(absl::StrCat(weight ? absl::StrCat("weight ", *weight, ", by an operator: ") : "weight as configured: ",
                          absl::StrJoin(*meant, ", ")));
  }
  publish_rules();
  return meant;
}

void Gateway::flows(FlowQuery query, std::function<void(absl::StatusOr<FlowPage>)> done) {
  if (handing_over_) return done(being_taken_over());
  const auto show = [this](std::size_t worker, auto look) { path_.show_engine(worker, std::move(look)); };
  std::make_shared<FlowSearch>(context_, path_.workers(), show, std::move(query), std::move(done))->start();
}

void Gateway::end_flows(FlowFilter filter, FlowPosition from, std::function<void(absl::StatusOr<EndedFlows>)> done) {
  if (handing_over_) return done(being_taken_over());
  const auto use = [this](std::size_t worker, auto step) { path_.use_engine(worker, std::move(step)); };
  const auto log_and_tell = [done = std::move(done)](absl::StatusOr<EndedFlows> ended) {
    if (ended.ok())
      log_info(absl::StrCat("ended by an operator: ", ended->flows, ended->flows == 1 ? " flow" : " flows"));
    done(std::move(ended));
  };
  std::make_shared<FlowEnd>(context_, path_.workers(), use, std::move(filter), from, log_and_tell)->start();
}

void Gateway::explain(std::vector<std::uint8_t> packet, std::function<void(absl::StatusOr<Explanation>)> done) {
  if (handing_over_) return done(being_taken_over());
  Rehearsal::Stage stage{
      .ruleset = ruleset_,
      .mtu = config_.tun.mtu,
      .seed = path_.seed(),
      .workers = path_.workers(),
      .show_engine = [this](std::size_t worker, auto look) { path_.show_engine(worker, std::move(look)); }};
  std::make_shared<Rehearsal>(context_, std::move(stage), std::move(packet), std::move(done))->start();
}

absl::StatusOr<std::shared_ptr<ByteSource>> Gateway::capture(CaptureQuery query) {
  if (handing_over_) return being_taken_over();
  if (ending_) return absl::UnavailableError("the gateway is ending");
  return captures_.start(std::move(query), config_.tun.name, path_.workers());
}

absl::Status Gateway::set_standby(bool standby) {
  if (handing_over_) return being_taken_over();
  if (std::exchange(standby_, standby) != standby) {
    log_info(standby ? "standing by: nothing is announced" : "active: the VIPs are announced");
  }
  announce();
  return absl::OkStatus();
}

/// What is not to be announced: VIPs without a backend that is up, and all while another gateway is active.
Withdrawn Gateway::unserved() const {
  Withdrawn withdrawn{.all = standby_, .vips = {}};
  for (const Vip& vip : rules_.vips) {
    if (!is_served(vip)) withdrawn.vips.insert(vip.address);
  }
  return withdrawn;
}

void Gateway::announce() {
  if (handing_over_) return;
  if (const absl::Status status = kernel_setup_.withdraw(unserved()); !status.ok()) {
    log_error(std::string(status.message()));
  }
  watch();  // the next announcement may be due in less than a second
}

/// The configuration's rules, and what is known of this host and of the backends.
Rules Gateway::present_rules() const {
  Rules rules = config_.rules;
  read_host(kernel_setup_.view(), config_.tun.name, rules);
  orders_->mark(rules);
  health_->mark(rules);
  return rules;
}

/// Gives the workers the present rules, if they differ from those they have: the configuration or this host's addresses
/// have changed.
void Gateway::publish_rules() {
  if (handing_over_) return;  // take_back() makes up for it
  Rules rules = present_rules();
  if (rules == rules_) return;
  rules_ = std::move(rules);
  auto ruleset = compile(rules_, ++generation_, ruleset_.get());
  old_rulesets_.push_back(std::exchange(ruleset_, std::move(ruleset)));
  path_.set_ruleset(ruleset_);
  announce();
}

void Gateway::free_old_rulesets() {
  std::erase_if(old_rulesets_, [](const auto& ruleset) { return ruleset.use_count() == 1; });
}

/// A ruleset for workers that take over all flows anew: one that has counted them already would count them twice.
void Gateway::renew_ruleset() {
  const auto earlier = std::exchange(ruleset_, nullptr);
  rules_ = present_rules();
  ruleset_ = compile(rules_, ++generation_);
  continue_signs(*ruleset_, signs_of(*earlier));
}

/// The TUN was deleted, or moved elsewhere: another one takes its place, and all flows go on.
void Gateway::bring_back_device(const std::string& why) {
  log_warning(absl::StrCat(why, "; it is made anew"));
  absl::Status status = path_.stop();
  if (status.ok()) status = path_.make_device_anew();
  if (status.ok()) status = kernel_setup_.device_came_anew(tun_origin());
  if (!status.ok()) return end(std::move(status));
  path_.keep_queues();
  renew_ruleset();
  path_.prepare(ruleset_);
  path_.start(realtime_);
  log_info(absl::StrCat(config_.tun.name, " is back"));
  watch();
}

void Gateway::watch() {
  if (handing_over_) return;  // the other one sets up the kernel
  const Duration due = kernel_setup_.due().value_or(kWatchInterval);
  watch_timer_.expires_after(std::clamp<Duration>(due, kShortestWatchInterval, kWatchInterval));
  watch_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    for (const std::string& line : path_.check()) log_warning(line);
    if (!path_.has_stuck_worker()) tell_alive();  // else a restart helps, and costs no flow
    path_.widen();
    free_old_rulesets();
    captures_.free_ended();
    const auto put_right = kernel_setup_.check();
    if (absl::IsNotFound(put_right.status())) {
      bring_back_device(std::string(put_right.status().message()));
      return;
    }
    if (put_right.ok()) {
      for (const std::string& line : *put_right) log_warning(line);
      publish_rules();
    } else if (put_right.status() != watch_trouble_) {  // what lasts is said once
      log_error(std::string(put_right.status().message()));
    }
    watch_trouble_ = put_right.status();
    watch();
  });
}

void Gateway::end(absl::Status status) {
  ending_ = true;
  if (result_.ok()) result_ = std::move(status);
  if (!result_.ok()) return context_.stop();  // what runs may be in pieces
  captures_.end_all([this] { context_.stop(); });
}

}  // namespace vipgate
