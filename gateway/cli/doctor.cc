#include <iostream>
#include <string>

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "config/load.h"
#include "device/netlink.h"
#include "runtime/doctor/doctor.h"
#include "runtime/doctor/probe.h"

namespace vipgate {
namespace {

using doctor::Finding;
using doctor::Report;
using doctor::Severity;
using Json = nlohmann::ordered_json;

const char* name_of(Severity severity) {
  switch (severity) {
    case Severity::stops:
      return "stops";
    case Severity::slows:
      return "slows";
    case Severity::note:
      return "note";
  }
  return "note";
}

Colour colour_of(Severity severity) {
  switch (severity) {
    case Severity::stops:
      return Colour::red;
    case Severity::slows:
      return Colour::yellow;
    case Severity::note:
      return Colour::none;
  }
  return Colour::none;
}

constexpr std::size_t kColumn = 8;

/// The first word of a line, in a column of its own.
std::string head(Colour colour, const std::string& word) {
  return coloured(colour, word) + std::string(kColumn - word.size(), ' ');
}

void print_finding(const Finding& finding) {
  std::cout << head(colour_of(finding.severity), name_of(finding.severity)) << finding.subject << ": " << finding.what
            << '\n';
  const std::string indent(kColumn, ' ');
  if (!finding.where.empty()) std::cout << indent << "at  " << finding.where << '\n';
  const char* begin = "do  ";
  for (const std::string& remedy : finding.remedies) {
    std::cout << indent << begin << remedy << '\n';
    begin = "    ";
  }
}

void print(const Report& report, bool quiet) {
  for (const Finding& finding : report.findings) print_finding(finding);
  if (quiet) return;
  for (const doctor::Well& well : report.well) {
    std::cout << head(Colour::green, "well") << well.subject << ": " << well.what << '\n';
  }
}

void print_json(const Report& report) {
  Json findings = Json::array();
  for (const Finding& finding : report.findings) {
    findings.push_back({{"severity", name_of(finding.severity)},
                        {"subject", finding.subject},
                        {"what", finding.what},
                        {"where", finding.where},
                        {"remedies", finding.remedies}});
  }
  Json well = Json::array();
  for (const doctor::Well& one : report.well) well.push_back({{"subject", one.subject}, {"what", one.what}});
  const Json document({{"findings", std::move(findings)}, {"well", std::move(well)}});
  // A comment in a firewall rule may be in any encoding.
  std::cout << document.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) << '\n';
}

}  // namespace

ExitCode examine_host(const DoctorCommand& command) {
  LoadResult loaded = load_config(command.config_file);
  for (const std::string& error : loaded.errors) std::cerr << error << '\n';
  if (!loaded.config) return kWrongInput;
  const auto kernel = NetlinkKernel::open();
  if (!kernel.ok()) {
    std::cerr << "vipgate: " << kernel.status().message() << '\n';
    return kFailed;
  }
  const auto facts = doctor::collect(*loaded.config, **kernel);
  if (!facts.ok()) {
    std::cerr << "vipgate: " << facts.status().message() << '\n';
    return kFailed;
  }
  Report report = doctor::examine(*loaded.config, *facts);
  if (command.probe) doctor::probe_backends(*loaded.config, report);
  command.json ? print_json(report) : print(report, command.quiet);
  return report.has(Severity::stops) ? kFailed : kDone;
}

}  // namespace vipgate
