#include <algorithm>
#include <iomanip>
#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "cli/ask.h"
#include "cli/terminal.h"

namespace vipgate {
namespace {

using Json = nlohmann::ordered_json;

std::string joined(const Json& list, const char* separator) {
  std::string text;
  for (const Json& item : list) absl::StrAppend(&text, text.empty() ? "" : separator, item.get<std::string>());
  return text;
}

std::string duration_text(const Json& seconds) {
  return absl::FormatDuration(absl::Trunc(absl::Seconds(seconds.get<double>()), absl::Seconds(1)));
}

/// ", down for 12s: connection refused; 40 of 52 checks failed"
std::string health_text(const Json& health) {
  const std::uint64_t checks = health["checks"];
  std::string text =
      absl::StrCat(", ", health["state"].get<std::string>(), " for ", duration_text(health["since_seconds"]));
  if (health.contains("result")) {
    const absl::Duration latency = absl::Seconds(health["latency_seconds"].get<double>());
    absl::StrAppend(&text, ": ", health["result"].get<std::string>(), " (",
                    absl::FormatDuration(absl::Trunc(latency, absl::Microseconds(10))), ")");
  }
  if (health["failures"] > 0)
    absl::StrAppend(&text, "; ", health["failures"].get<std::uint64_t>(), " of ", checks, " checks failed");
  return text;
}

/// In a column of its own, and in its colour.
std::string state_text(const Json& backend) {
  constexpr std::size_t kWidth = 8;
  const std::string state = backend["state"];
  return absl::StrCat(coloured(colour_of(backend), state), std::string(kWidth - std::min(kWidth, state.size()), ' '));
}

void print_service(const Json& service) {
  std::cout << "  " << std::left << std::setw(16) << service["name"].get<std::string>() << ' '
            << joined(service["protocol"], "+") << ' ' << joined(service["port"], ",") << '\n';
  for (const Json& backend : service["backends"]) {
    std::cout << "    " << std::setw(24) << backend["name"].get<std::string>();
    std::cout << ' ' << state_text(backend) << backend["flows"] << " flows";
    if (backend["weight"] != 1 || backend.contains("configured_weight")) std::cout << ", weight " << backend["weight"];
    if (backend.contains("configured_weight")) {
      std::cout << " by an operator (configured: " << backend["configured_weight"] << ')';
    }
    if (backend.contains("health")) std::cout << health_text(backend["health"]);
    std::cout << '\n';
  }
}

void print(const Json& status) {
  std::cout << "vipgate " << status["version"].get<std::string>() << ", process " << status["pid"] << ", up "
            << duration_text(status["uptime_seconds"]) << ", generation " << status["generation"]
            << (status["standby"].get<bool>() ? ", " + coloured(Colour::yellow, "STANDING BY") : "") << '\n'
            << "flows " << status["flows"]["now"] << " of " << status["flows"]["max"] << ", packets read "
            << status["counters"]["packets_read"] << ", written " << status["counters"]["packets_written"] << '\n';
  for (std::size_t i = 0; i < status["workers"].size(); ++i) {
    if (!status["workers"][i]["stuck"].get<bool>()) continue;
    std::cout << "worker " << i << ' ' << coloured(Colour::red, "IS STUCK") << '\n';
  }
  for (const Json& vip : status["vips"]) {
    std::cout << "VIP " << (vip["address"].is_null() ? "without an address" : vip["address"].get<std::string>())
              << (vip.contains("interface") ? " of " + vip["interface"].get<std::string>() : "")
              << (vip["served"].get<bool>() ? "" : " " + coloured(Colour::red, "NOT SERVED")) << '\n';
    for (const Json& service : vip["services"]) print_service(service);
  }
}

ExitCode in_short(const Json& status) {
  const auto is_served = [](const Json& vip) { return vip["served"].get<bool>(); };
  if (!std::all_of(status["vips"].begin(), status["vips"].end(), is_served)) return kFailed;
  return status["standby"].get<bool>() ? kStandingBy : kDone;
}

}  // namespace

ExitCode status(const StatusCommand& command) {
  const Answer answer = ask(command.gateway, "GET", "/v1/status");
  if (answer.code != kDone) return answer.code;
  if (command.quiet) return in_short(answer.body);
  if (command.json) return print_json(answer);
  print(answer.body);
  return kDone;
}

}  // namespace vipgate
