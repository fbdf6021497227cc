#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace vipgate::doctor {

enum class Severity : std::uint8_t {
  stops,  ///< vipgate would not start, or traffic would not flow
  slows,  ///< it works, and costs time, memory or interruptions
  note,   ///< worth knowing; perhaps as it is meant
};

/// Something on this host that is not as vipgate has use for it.
struct Finding {
  Severity severity = Severity::note;
  std::string subject{};              ///< "firewall", "routes" ...
  std::string what{};                 ///< what is wrong, and what comes of it
  std::string where{};                ///< the file, table and chain, device or sysctl
  std::vector<std::string> remedies;  ///< commands to type, or what to write into which file; all of them

  bool operator==(const Finding&) const = default;
};

/// What was looked at and found well.
struct Well {
  std::string subject{};
  std::string what{};
};

/// What doctor says of a host.
struct Report {
  std::vector<Finding> findings{};
  std::vector<Well> well{};

  void stops(std::string subject, std::string what, std::string where, std::vector<std::string> remedies) {
    add({Severity::stops, std::move(subject), std::move(what), std::move(where), std::move(remedies)});
  }
  void slows(std::string subject, std::string what, std::string where, std::vector<std::string> remedies) {
    add({Severity::slows, std::move(subject), std::move(what), std::move(where), std::move(remedies)});
  }
  void note(std::string subject, std::string what, std::string where, std::vector<std::string> remedies) {
    add({Severity::note, std::move(subject), std::move(what), std::move(where), std::move(remedies)});
  }
  void add(Finding finding) { findings.push_back(std::move(finding)); }
  void good(std::string subject, std::string what) { well.push_back({std::move(subject), std::move(what)}); }

  bool has(Severity severity) const {
    return std::any_of(findings.begin(), findings.end(),
                       [severity](const Finding& finding) { return finding.severity == severity; });
  }
};

}  // namespace vipgate::doctor
