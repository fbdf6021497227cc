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
#include "runtime/log.h"
#include "runtime/rules_diff.h"

namespace vipgate {
namespace {

/// How often the kernel is looked at for what others have changed.
constexpr auto kWatchInterval = std::chrono::seconds(1);
/// At the soonest again, where KernelSetup has something to send, even when it cannot.
constexpr auto kShortestWatchInterval = std::chrono::milliseconds(50);

/// Lines in the log at most that say what a reload has changed.
constexpr std::size_t kMaxChangesLogged = 50;

std::uint32_t default_workers() {
  return std::clamp<std::uint32_t>(std::thread::hardware_concurrency(), 1, kShards);
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
  compare("flows.max", running.flows.max == wanted.flows.max);
  compare("flows.state_dir", running.flows.state_dir == wanted.flows.state_dir);
  compare("kernel.table", running.kernel.table == wanted.kernel.table);
  compare("kernel.protocol", running.kernel.protocol == wanted.kernel.protocol);
  compare("control.socket", running.control.socket == wanted.control.socket);
  return names;
}

}  // namespace

Gateway::Gateway(boost::asio::io_context& context, Options options, Config config, KernelInterface& kernel)
    : context_(context),
      options_(std::move(options)),
      standby_(options_.standby),
      config_(std::move(config)),
      keeper_(config_.tun.name),
      kernel_setup_(kernel, [](const std::string& line) { log_info(line); }) {}

absl::Status Gateway::run(const std::function<absl::Status()>& open_doors) {
  result_ = start(open_doors);
  if (result_.ok()) {
    context_.run();
    workers_->stop();
    storage_->file()->end();
    log_totals();
  }
  keeper_.dismiss();
  kernel_setup_.restore();
  return result_;
}

absl::Status Gateway::start(const std::function<absl::Status()>& open_doors) {
  // Caught from here on, so that whatever is set up below is also undone.
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) signals_.add(signal);

  const std::uint32_t workers = config_.tun.workers == 0 ? default_workers() : config_.tun.workers;
  auto tun =
      TunDevice::open({.name = config_.tun.name, .queues = workers, .offload = config_.tun.offload, .kept = [this] {
                         return keeper_.take_over();
                       }});
  if (!tun.ok()) return tun.status();
  tun_.emplace(*std::move(tun));
  const char* origin_text = tun_->created() ? "created " : tun_->kept() > 0 ? "took over " : "found ";
  log_info(absl::StrCat(origin_text, tun_->name(), " with ", workers, workers == 1 ? " queue" : " queues",
                        tun_->offload() == 0 ? ", offload off" : ", offload on"));
  const TunOrigin origin = tun_->created() ? TunOrigin::created : TunOrigin::found;
  drained_.emplace(config_.flows.state_dir);
  rules_ = present_rules();
  if (absl::Status status = kernel_setup_.withdraw(unserved()); !status.ok()) return status;
  if (absl::Status status = kernel_setup_.apply(config_, origin); !status.ok()) return status;
  keep_queues();
  rules_ = present_rules();

  const std::size_t capacity = config_.flows.max == 0 ? FlowStorage::default_capacity() : config_.flows.max;
  auto file = FlowFile::open({.state_dir = config_.flows.state_dir,
                              .capacity = capacity,
                              .seed = options_.seed,
                              .log = [](const std::string& line) { log_info(line); }});
  if (!file.ok()) return file.status();
  auto storage = FlowStorage::over(*std::move(file));
  if (!storage.ok()) return storage.status();
  storage_.emplace(*std::move(storage));

  ruleset_ = compile(rules_, generation_);
  workers_ = std::make_unique<WorkerPool>(
      *tun_, storage_->memory(), storage_->file()->seed(), ruleset_, [this](const std::string& what) {
        boost::asio::post(context_, [this, what] { end(absl::UnavailableError(what)); });
      });
  monitor_.emplace(context_, workers_->size(),
                   [this](std::size_t worker, auto answer) { workers_->ask(worker, std::move(answer)); });
  if (absl::Status status = open_doors(); !status.ok()) return status;
  if (storage_->file()->is_used()) adopt_flows();
  started_ = boot_time_now();
  workers_->start();
  wait_for_signal();
  if (standby_) log_info("standing by: nothing is announced");
  watch();
  log_info(absl::StrCat("ready: ", config_.rules.vips.size(), config_.rules.vips.size() == 1 ? " VIP, " : " VIPs, ",
                        workers, workers == 1 ? " worker, " : " workers, ", capacity, " flows at most"));
  return absl::OkStatus();
}

void Gateway::keep_queues() {
  std::vector<int> queues;
  for (const TunQueue& queue : tun_->queues()) queues.push_back(queue.fd());
  const absl::Status status = keeper_.hold(queues);
  if (!status.ok()) {
    log_warning(absl::StrCat("nobody keeps ", tun_->name(),
                             " open: when this process is killed, it loses its carrier (",
                             std::string(status.message()), ")"));
  }
}

void Gateway::adopt_flows() {
  const FlowFile& file = *storage_->file();
  const Time began = boot_time_now();
  const Adoption adopted = workers_->adopt(began);
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(boot_time_now() - began);
  log_info(absl::StrCat("took over ", adopted.flows, adopted.flows == 1 ? " flow" : " flows", " from ", file.path(),
                        " in ", took.count(), " ms; the last process ",
                        file.was_ended() ? "had ended in order" : "was killed"));
  if (adopted.broken > 0) log_warning(absl::StrCat(adopted.broken, " of its records were broken, and are gone"));
}

void Gateway::wait_for_signal() {
  signals_.async_wait([this](const boost::system::error_code& error, int signal) {
    if (error) return;
    if (signal == SIGHUP) {
      reload();
      wait_for_signal();
    } else {
      log_info(signal == SIGTERM ? "ending: SIGTERM" : "ending: SIGINT");
      end(absl::OkStatus());
    }
  });
}

ReloadResult Gateway::reload() {
  const ReloadResult result = load_and_apply();
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
  LoadResult loaded = load_config(options_.config_file);
  if (!loaded.config) return {false, std::move(loaded.errors)};
  Config& wanted = *loaded.config;
  if (const std::string names = fixed_at_start(config_, wanted); !names.empty()) {
    return {false, {absl::StrCat("only a new start can change ", names)}};
  }
  if (const absl::Status status = kernel_setup_.apply(wanted, TunOrigin::found); !status.ok()) {
    return {false, {std::string(status.message())}};
  }
  ReloadResult result{true, describe_changes(config_.rules, wanted.rules)};
  config_ = std::move(wanted);
  publish_rules();
  return result;
}

void Gateway::status(std::function<void(const GatewayStatus&)> done) {
  monitor_->refresh([this, done = std::move(done)] {
    done({.uptime = boot_time_now() - started_,
          .config_file = options_.config_file,
          .generation = generation_,
          .standby = standby_,
          .ruleset = ruleset_,
          .max_flows = storage_->memory().capacity,
          .workers = monitor_->reports()});
  });
}

absl::StatusOr<std::vector<std::string>> Gateway::drain(const std::string& backend) {
  auto meant = drained_->add(backend, config_.rules);
  if (meant.ok()) log_info(absl::StrCat("drained: ", absl::StrJoin(*meant, ", ")));
  publish_rules();
  return meant;
}

absl::StatusOr<std::vector<std::string>> Gateway::undrain(const std::string& backend) {
  auto meant = drained_->remove(backend, config_.rules);
  if (meant.ok()) log_info(absl::StrCat("no longer drained: ", absl::StrJoin(*meant, ", ")));
  publish_rules();
  return meant;
}

void Gateway::set_standby(bool standby) {
  if (std::exchange(standby_, standby) != standby) {
    log_info(standby ? "standing by: nothing is announced" : "active: the VIPs are announced");
  }
  announce();
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
  if (const absl::Status status = kernel_setup_.withdraw(unserved()); !status.ok()) {
    log_error(std::string(status.message()));
  }
  watch();  // the next announcement may be due in less than a second
}

/// The configuration's rules, and what is known of this host and of the backends.
Rules Gateway::present_rules() const {
  Rules rules = config_.rules;
  read_host_networks(kernel_setup_.view(), config_.tun.name, rules);
  for (Vip& vip : rules.vips) {
    for (Service& service : vip.services) {
      for (Backend& backend : service.backends) {
        if (drained_->holds(service, backend)) backend.state = BackendState::drained;
      }
    }
  }
  return rules;
}

/// Gives the workers the present rules, if they differ from those they have: the configuration or this host's addresses
/// have changed.
void Gateway::publish_rules() {
  Rules rules = present_rules();
  if (rules == rules_) return;
  rules_ = std::move(rules);
  auto ruleset = compile(rules_, ++generation_, ruleset_.get());
  old_rulesets_.push_back(std::exchange(ruleset_, std::move(ruleset)));
  workers_->set_ruleset(ruleset_);
  announce();
}

void Gateway::free_old_rulesets() {
  std::erase_if(old_rulesets_, [](const auto& ruleset) { return ruleset.use_count() == 1; });
}

void Gateway::watch() {
  const Duration due = kernel_setup_.due().value_or(kWatchInterval);
  watch_timer_.expires_after(std::clamp<Duration>(due, kShortestWatchInterval, kWatchInterval));
  watch_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    for (const std::string& line : monitor_->check(WorkerMonitor::Clock::now())) log_warning(line);
    free_old_rulesets();
    const auto put_right = kernel_setup_.check();
    if (absl::IsNotFound(put_right.status())) {
      end(put_right.status());
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
  if (result_.ok()) result_ = std::move(status);
  context_.stop();
}

void Gateway::log_totals() const {
  const WorkerCounters totals = workers_->counters();
  std::string line =
      absl::StrCat("totals: packets read ", totals.packets_read, " (", totals.super_packets_read,
                   " super-packets), written ", totals.packets_written, ", bytes read ", totals.bytes_read,
                   ", flows opened ", totals.engine.flows_opened, ", evicted ", totals.engine.flows_evicted,
                   ", handed off ", totals.engine.actions[static_cast<std::size_t>(Action::hand_off)]);
  if (totals.hand_off_full > 0) absl::StrAppend(&line, ", lost between workers ", totals.hand_off_full);
  if (totals.write_failures > 0) absl::StrAppend(&line, ", refused by the TUN ", totals.write_failures);
  for (std::size_t i = 1; i < kReasonCount; ++i) {
    if (totals.engine.reasons[i] == 0) continue;
    absl::StrAppend(&line, ", ", std::string(name_of(static_cast<Reason>(i))), " ", totals.engine.reasons[i]);
  }
  log_info(line);
}

}  // namespace vipgate
