#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "config/config.h"
#include "device/kernel.h"
#include "device/unique_fd.h"
#include "runtime/arp_announcer.h"
#include "runtime/kernel_plan.h"
#include "runtime/kernel_state.h"

namespace vipgate {

/// Whether the TUN was there before TunDevice::open().
enum class TunOrigin { created, found };

/// Brings the kernel into the state that the configuration needs, keeps it there, and takes everything back at the end.
///
/// What belongs to vipgate carries its protocol number (rules), or that and its device or table (routes); nothing else
/// is ever removed. What is changed rather than added is noted in the state folder first. An object that is dropped
/// without restore() leaves all as it is, like a kill; the next one takes it over.
class KernelSetup {
 public:
  using Log = std::function<void(const std::string&)>;  ///< one line "what — why" a change

  KernelSetup(KernelInterface& kernel, Log log) : kernel_(kernel), log_(std::move(log)), announcer_(kernel.arp()) {}

  /// What a gateway holds while it runs.
  struct Locks {
    UniqueFd protocol;
    std::uint8_t protocol_number = 0;
    UniqueFd folder;
  };
  /// Before the first apply(): another gateway hands these over, and stays in charge until take_charge(). Until then an
  /// apply() that fails leaves things as they are, for the other one to put right.
  void take_over(Locks locks);
  void take_charge() { guest_ = false; }
  /// For a gateway that takes this one's place.
  Locks copy_locks() const;
  /// When that one did not: what it has changed is taken back by the next check(), and in the end.
  void resume();

  /// At the start and after each reload. When the first one fails, everything is undone, a killed predecessor's
  /// leftovers included; when a later one fails, the previous state holds. `origin` counts the first time; after it the
  /// TUN's name must not change.
  absl::Status apply(const Config& config, TunOrigin origin);

  /// What is not to be announced from now on, before the first apply() too. Takes effect at once; costs nothing when it
  /// is as before. An error may pass: the next check() tries again.
  absl::Status withdraw(const Withdrawn& withdrawn);

  /// Every second, or earlier where due() says so: looks whether all still stands, follows interfaces and routes that
  /// changed, and returns a line for each thing that it changed. NotFound: the TUN was deleted, nothing works any more.
  /// Other errors may pass: the next call tries again.
  absl::StatusOr<std::vector<std::string>> check();

  /// After the TUN was deleted, when there is one again: sets up what went with it.
  absl::Status device_came_anew(TunOrigin origin);

  /// How long until check() has something to do, if that is less than a second.
  std::optional<Duration> due() const { return announcer_.due(); }

  /// Takes back everything, the TUN included where it is vipgate's. What fails is logged, and left for the next start.
  void restore();

  /// Instead of everything else: takes back what a killed predecessor left, the TUN included where it was vipgate's. An
  /// error where a gateway runs.
  absl::Status clean_up(const Config& config);

  /// What was read last. Its links and addresses tell the engine about this host: read_host().
  const KernelView& view() const { return view_; }

 private:
  using Lines = std::vector<std::string>;

  absl::Status begin(const Config& config, TunOrigin origin);
  absl::Status take_lock(std::uint8_t protocol);
  absl::Status update(const Config& config, const std::string& removed_why, Lines& lines);
  absl::Status check_device(const KernelView& view);

  absl::Status reconcile(const KernelPlan& plan, const std::string& removed_why, Lines& lines);
  absl::Status reconcile_device(const KernelPlan& plan, Lines& lines);
  absl::Status reconcile_routes(const KernelPlan& plan, const std::string& removed_why, Lines& lines);
  absl::Status reconcile_rules(const KernelPlan& plan, const std::string& removed_why, Lines& lines);
  absl::Status reconcile_local_rule(bool moved, Lines& lines);
  absl::Status reconcile_reserved_ports(const PortSet& wanted, Lines& lines);
  absl::Status reconcile_sysctls(const std::vector<Wanted<Sysctl>>& wanted, Lines& lines);
  absl::Status reconcile_proxies(const KernelPlan& plan, const std::string& removed_why, Lines& lines);
  absl::Status answer_arp(Lines& lines);
  absl::Status await_arp(Lines& lines);
  bool is_of_device(const std::string& key) const;
  absl::Status note(const Sysctl& wanted, const std::string& before);

  void take_back();
  bool restore_sysctls(bool of_device);
  bool restore_routes();
  bool restore_rules();
  bool restore_local_rule();
  bool restore_reserved_ports();
  bool restore_proxies();
  bool restore_device();
  /// Logs the line, or the error. False: it is still there.
  bool logged(const absl::Status& status, const std::string& line);

  absl::StatusOr<std::vector<Route>> own_routes();
  absl::StatusOr<std::vector<PolicyRule>> own_rules();
  absl::StatusOr<std::vector<ProxyNeighbour>> own_proxies();

  KernelInterface& kernel_;
  Log log_;
  bool guest_ = false;    ///< another gateway is in charge
  UniqueFd folder_lock_;  ///< of the other one, until file_ has it
  UniqueFd lock_;
  std::uint8_t locked_protocol_ = 0;
  std::optional<KernelStateFile> file_;
  KernelState state_;
  std::optional<Config> config_;  ///< the one that holds
  KernelPlan plan_;
  KernelView view_;
  Withdrawn withdrawn_;
  ArpAnnouncer announcer_;
  std::set<ProxyNeighbour> answered_;  ///< that the kernel was told to answer for, or was found to
  int device_index_ = 0;
  int checks_ = 0;
  bool look_again_ = false;
};

}  // namespace vipgate
