#include <unistd.h>

#include <iomanip>
#include <iostream>
#include <string>

#include <nlohmann/json.hpp>

#include "cli/commands.h"
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

const char* colour_of(Severity severity) {
  return severity == Severity::stops ? "\x1b[1;31m" : severity == Severity::slows ? "\x1b[1;33m" : "\x1b[1;36m";
}

constexpr int kColumn = 8;

void print_finding(const Finding& finding, bool colours) {
  std::cout << (colours ? colour_of(finding.severity) : "") << std::left << std::setw(kColumn)
            << name_of(finding.severity) << (colours ? "\x1b[0m" : "") << finding.subject << ": " << finding.what
            << '\n';
  if (!finding.where.empty())
    std::cout << std::setw(kColumn) << ""
              << "at  " << finding.where << '\n';
  const char* begin = "do  ";
  for (const std::string& remedy : finding.remedies) {
    std::cout << std::setw(kColumn) << "" << begin << remedy << '\n';
    begin = "    ";
  }
}

void print(const Report& report, bool quiet) {
  const bool colours = ::isatty(STDOUT_FILENO) != 0;
  for (const Finding& finding : report.findings) print_finding(finding, colours);
  if (quiet) return;
  for (const doctor::Well& well : report.well) {
    std::cout << (colours ? "\x1b[1;32m" : "") << std::left << std::setw(kColumn) << "well"
              << (colours ? "\x1b[0m" : "") << well.subject << ": " << well.what << '\n';
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
