#include <algorithm>
#include <iomanip>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "cli/ask.h"
#include "config/load.h"
#include "control/flows_json.h"
#include "control/query.h"
#include "runtime/clock.h"
#include "runtime/replay.h"
#include "vipgate/inspect.h"

namespace vipgate {
namespace {

using Json = nlohmann::ordered_json;

/// Flows that a configuration is tried with; those of a capture's earlier packets among them.
constexpr std::size_t kCapacity = std::size_t{kShards} * 1024;

void print(const Json& explanation, bool json) {
  if (json) {
    std::cout << explanation.dump(2) << '\n';
    return;
  }
  for (const Json& step : explanation["steps"]) {
    std::cout << std::left << std::setw(10) << step["step"].get<std::string>() << step["finding"].get<std::string>()
              << '\n';
  }
}

ExitCode wrong_input(const std::string& what) {
  std::cerr << "vipgate: " << what << '\n';
  return kWrongInput;
}

/// The packet that is meant.
struct Subject {
  Time time;
  std::vector<std::uint8_t> ip;
};

/// Calls `before` for the packets of the capture before the one that is meant, and returns that one.
template <typename Before>
absl::StatusOr<Subject> packet_of(const ExplainCommand& command, Before&& before) {
  auto reader = PcapReader::open(command.capture);
  if (!reader.ok()) return reader.status();
  for (std::uint64_t number = 1;; ++number) {
    auto captured = reader->next();
    if (!captured.ok()) return captured.status();
    if (!captured->has_value()) {
      return absl::NotFoundError(absl::StrCat(command.capture, " has ", number - 1, " packets"));
    }
    if (number < command.number) {
      before(**captured);
      continue;
    }
    if ((*captured)->ip.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("packet ", number, " of ", command.capture, " is not IPv4"));
    }
    return Subject{(*captured)->time, {(*captured)->ip.begin(), (*captured)->ip.end()}};
  }
}

ExitCode explain_live(const ExplainCommand& command) {
  std::string parameter = absl::StrCat("packet=", control::encode_query(command.packet));
  if (command.packet.empty()) {
    const auto captured = packet_of(command, [](const CapturedPacket&) {});
    if (!captured.ok()) return wrong_input(std::string(captured.status().message()));
    const std::string bytes(captured->ip.begin(), captured->ip.end());
    parameter = absl::StrCat("bytes=", absl::BytesToHexString(bytes));
  }
  const Answer answer = ask(command.gateway, "GET", absl::StrCat("/v1/explain?", parameter));
  if (answer.code == kDone) print(answer.body, command.json);
  return answer.code;
}

}  // namespace

ExitCode explain(const ExplainCommand& command) {
  if (command.packet.empty() == command.capture.empty()) {
    return wrong_input("name the packet in words, or with --pcap and --packet");
  }
  if (command.live) return explain_live(command);
  LoadResult loaded = load_config(command.gateway.config_file);
  for (const std::string& error : loaded.errors) std::cerr << error << '\n';
  if (!loaded.config) return kWrongInput;
  auto storage = FlowStorage::allocate(kCapacity);
  if (!storage.ok()) return wrong_input(std::string(storage.status().message()));
  Replay replay(*std::move(storage), std::move(loaded.config->rules), loaded.config->tun.mtu, /*seed=*/1);

  Subject packet{boot_time_now(), {}};
  if (command.capture.empty()) {
    Composed composed = compose(command.packet);
    if (!composed.error.empty()) return wrong_input(composed.error);
    packet.ip = std::move(composed.bytes);
  } else {
    auto captured = packet_of(command, [&](const CapturedPacket& earlier) { (void)replay.process(earlier); });
    if (!captured.ok()) return wrong_input(std::string(captured.status().message()));
    packet = *std::move(captured);
  }
  print(control::explanation_json(replay.explain(packet.ip, packet.time)), command.json);
  return kDone;
}

}  // namespace vipgate
