#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "vipgate/rules.h"

namespace vipgate {

/// Backends that an operator has taken out: they get no new flow, and keep those that they have. Kept in a file, so
/// that they stay so over reloads, restarts and take-overs until they are put back.
///
/// A backend is named as "10.0.0.3", which means every service, or as "web/10.0.0.3:8080" or "web/NAME".
class DrainList {
 public:
  static constexpr const char* kName = "drained";

  /// What the file in the state folder says.
  explicit DrainList(const std::string& folder);

  /// Returns the backends that the name means, as "web/NAME"; those were perhaps drained already. NotFound: `rules` has
  /// no such backend.
  absl::StatusOr<std::vector<std::string>> add(const std::string& name, const Rules& rules);
  /// The same, to put them back. NotFound: neither `rules` nor the list has such a backend. FailedPrecondition: it is
  /// drained by a name that means others, too.
  absl::StatusOr<std::vector<std::string>> remove(const std::string& name, const Rules& rules);

  bool holds(const Service& service, const Backend& backend) const;

 private:
  absl::Status save(std::set<std::string> names);

  std::string path_;
  std::set<std::string> names_;
};

}  // namespace vipgate
