#include <chrono>
#include <iostream>
#include <set>
#include <string>
#include <thread>

#include "cli/ask.h"

namespace vipgate {
namespace {

using Json = nlohmann::ordered_json;

constexpr auto kLookAgain = std::chrono::milliseconds(500);

/// Flows that the named backends ("SERVICE/NAME") still have.
std::uint64_t flows_of(const Json& status, const std::set<std::string>& names) {
  std::uint64_t flows = 0;
  for (const Json& vip : status["vips"]) {
    for (const Json& service : vip["services"]) {
      for (const Json& backend : service["backends"]) {
        const std::string name = service["name"].get<std::string>() + "/" + backend["name"].get<std::string>();
        if (names.contains(name)) flows += backend["flows"].get<std::uint64_t>();
      }
    }
  }
  return flows;
}

ExitCode wait_until_empty(const DrainCommand& command, const std::set<std::string>& names) {
  for (;;) {
    const Answer answer = ask(command.gateway, "GET", "/v1/status");
    if (answer.code != kDone) return answer.code;
    const std::uint64_t flows = flows_of(answer.body, names);
    if (flows == 0) return kDone;
    if (!command.json) std::cout << flows << " flows left" << std::endl;  // flushed: somebody watches
    std::this_thread::sleep_for(kLookAgain);
  }
}

}  // namespace

ExitCode drain(const DrainCommand& command) {
  const char* path = command.back ? "/v1/undrain" : "/v1/drain";
  const Answer answer = ask(command.gateway, "POST", path, {{"backend", command.backend}});
  if (command.json) (void)print_json(answer);
  if (answer.code != kDone) return answer.code;
  std::set<std::string> names;
  for (const Json& name : answer.body["backends"]) {
    names.insert(name.get<std::string>());
    if (command.json) continue;
    std::cout << name.get<std::string>() << (command.back ? " takes new flows" : " takes no new flow") << '\n';
  }
  return command.wait ? wait_until_empty(command, names) : kDone;
}

}  // namespace vipgate
