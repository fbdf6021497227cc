#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "vipgate/rules.h"

namespace vipgate {

/// What an operator says about backends, beside the configuration: which are drained, that is get no new flow and keep
/// those that they have, and which have another weight. Kept in a file, so that it holds over reloads, restarts and
/// take-overs until it is taken back.
///
/// A backend is named as "10.0.0.3", which means every service, or as "web/10.0.0.3:8080" or "web/NAME". All that
/// change something return the backends that the name means, as "web/NAME", whether they were so already or not.
/// Errors: NotFound, no backend is called so; Unavailable, the file cannot be written. Nothing has changed then.
class BackendOrders {
 public:
  /// The file has a line each: the name of one that is drained, or a name, a tab, "weight" and the weight. Lines that
  /// another version has written, and that mean nothing here, stay in it.
  static constexpr const char* kName = "drained";

  /// What the file in the state folder says.
  explicit BackendOrders(const std::string& folder);

  using Meant = absl::StatusOr<std::vector<std::string>>;
  Meant drain(const std::string& name, const Rules& rules);
  /// Puts them back; one may be named that `rules` no longer have. FailedPrecondition: it is drained by a name that
  /// means others, too.
  Meant undrain(const std::string& name, const Rules& rules);

  /// In place of what was said before of the same backends. A name that means one alone goes before one that means
  /// several.
  Meant set_weight(const std::string& name, std::uint32_t weight, const Rules& rules);
  /// The configured one again; otherwise as undrain().
  Meant reset_weight(const std::string& name, const Rules& rules);

  /// Writes it into the configuration's rules.
  void mark(Rules& rules) const;

 private:
  /// All that is said.
  struct Orders {
    std::set<std::string> drained;                 ///< names
    std::map<std::string, std::uint32_t> weights;  ///< by name
    std::set<std::string> others;                  ///< lines of another version
  };

  absl::Status save(Orders orders);

  std::string path_;
  Orders orders_;
};

}  // namespace vipgate
