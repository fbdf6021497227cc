#include <iomanip>
#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "cli/ask.h"
#include "control/query.h"

namespace vipgate {
namespace {

using Json = nlohmann::ordered_json;

std::string seconds_text(const Json& seconds) {
  return absl::FormatDuration(absl::Trunc(absl::Seconds(seconds.get<double>()), absl::Seconds(1)));
}

std::string text_of(const Json& value) {
  return value.is_null() ? "-" : value.get<std::string>();
}

void print_row(const std::string& protocol, const std::string& state, const std::string& idle, const std::string& left,
               const std::string& source, const std::string& destination, const std::string& service,
               const std::string& backend, const std::string& as) {
  std::cout << std::left << std::setw(5) << protocol << std::setw(12) << state << std::setw(9) << idle << std::setw(9)
            << left << std::setw(22) << source << std::setw(22) << destination << std::setw(14) << service
            << std::setw(22) << backend << as << '\n';
}

void print(const Json& flow) {
  print_row(flow["protocol"], flow["state"], seconds_text(flow["idle_seconds"]), seconds_text(flow["left_seconds"]),
            flow["source"], flow["destination"],
            flow["origin"] == "service" ? text_of(flow["service"]) : flow["origin"].get<std::string>(),
            flow["translated_destination"], flow["translated_source"]);
}

}  // namespace

ExitCode flows(const FlowsCommand& command) {
  if (command.end) return end_flows(command);
  std::string fixed;
  for (const auto& [name, value] : command.wanted) {
    if (!value.empty()) absl::StrAppend(&fixed, "&", name, "=", control::encode_query(value));
  }
  if (!command.json) print_row("", "STATE", "IDLE", "LEFT", "SOURCE", "DESTINATION", "SERVICE", "BACKEND", "SEEN AS");
  std::size_t shown = 0;
  std::string from = "0.0";
  for (;;) {
    const Answer answer = ask(command.gateway, "GET", absl::StrCat("/v1/flows?from=", from, fixed));
    if (answer.code != kDone) return answer.code;
    for (const Json& flow : answer.body["flows"]) {
      if (command.limit != 0 && shown == command.limit) break;
      ++shown;
      if (command.json) {
        std::cout << flow.dump() << '\n';
      } else {
        print(flow);
      }
    }
    const bool enough = command.limit != 0 && shown == command.limit;
    if (answer.body["next"].is_null() || enough) break;
    from = answer.body["next"].get<std::string>();
  }
  if (!command.json) std::cout << shown << (shown == 1 ? " flow" : " flows") << '\n';
  return kDone;
}

}  // namespace vipgate
