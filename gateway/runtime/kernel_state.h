#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "device/kernel.h"
#include "device/unique_fd.h"
#include "runtime/port_set.h"

namespace vipgate {

/// What was there before vipgate changed it, and what of the rest is vipgate's. Written ahead of each change, so that
/// whoever starts after a kill can undo it.
struct KernelState {
  struct Value {
    std::string key;
    std::string before;
    std::string set;  ///< by vipgate; empty: the kernel changed it by itself when vipgate set another

    bool operator==(const Value&) const = default;
  };
  struct Tag {
    std::uint8_t protocol = 0;
    std::uint32_t table = 0;

    bool operator==(const Tag&) const = default;
  };

  std::string identity{};  ///< KernelInterface::identity(): elsewhere, nothing of this holds
  std::string device{};
  bool created = false;  ///< the device is vipgate's
  LinkChange link{};     ///< what to set on a device that is not
  std::vector<Tag> tags{};
  std::vector<std::uint32_t> announced_tables{};  ///< that others have routes in, too: the device's alone are ours
  std::vector<Value> values{};
  std::optional<std::uint8_t> local_rule{};  ///< the rule for the local table at priority 0 went; who had added it
  PortSet reserved_ports{};                  ///< that vipgate has added to ip_local_reserved_ports

  bool operator==(const KernelState&) const = default;

  std::string to_text() const;
  static std::optional<KernelState> parse(const std::string& text);
};

/// `kernel.state` in the state folder. The folder is locked: two gateways must not share it.
class KernelStateFile {
 public:
  static constexpr const char* kName = "kernel.state";

  /// Makes the folder (mode 0711: its files are ours alone, its socket may be a group's) where it is missing.
  static absl::StatusOr<KernelStateFile> open(const std::string& folder);

  /// Goes on with the lock of a gateway that hands it over.
  static KernelStateFile take_over(const std::string& folder, UniqueFd lock);
  const UniqueFd& lock() const { return lock_; }

  std::optional<KernelState> load() const;
  absl::Status save(const KernelState& state) const;  ///< at once or not at all
  void remove() const;

 private:
  KernelStateFile(std::string path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  UniqueFd lock_;
};

}  // namespace vipgate
