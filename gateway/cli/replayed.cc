#include "cli/replayed.h"

#include <iostream>
#include <utility>

#include "absl/time/time.h"
#include "config/load.h"
#include "vipgate/inspect.h"

namespace vipgate {
namespace {

using Json = nlohmann::ordered_json;

Json text_or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

}  // namespace

std::unique_ptr<Replay> replay_with(const std::string& config_file, std::uint64_t seed) {
  LoadResult loaded = load_config(config_file);
  for (const std::string& error : loaded.errors) std::cerr << error << '\n';
  if (!loaded.config) return nullptr;
  Config& config = *loaded.config;
  auto storage = FlowStorage::allocate(config.flows.max == 0 ? FlowStorage::default_capacity() : config.flows.max);
  if (!storage.ok()) {
    std::cerr << storage.status().message() << '\n';
    return nullptr;
  }
  return std::make_unique<Replay>(*std::move(storage), std::move(config.rules), config.tun.mtu, seed);
}

std::string format_time(Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E9SZ", absl::FromUnixNanos(time.time_since_epoch().count()),
                          absl::UTCTimeZone());
}

std::string verdict_name(const ReplayedPacket& packet) {
  if (!packet.is_ipv4) return "not_ipv4";
  return std::string(packet.own_output ? "own_output" : name_of(packet.verdict.action));
}

std::string reason_name(const ReplayedPacket& packet) {
  return packet.verdict.reason == Reason::none ? "" : std::string(name_of(packet.verdict.reason));
}

void add_outcome(Json& line, const ReplayedPacket& packet) {
  line["verdict"] = verdict_name(packet);
  line["reason"] = text_or_null(reason_name(packet));
  line["service"] = text_or_null(packet.service);
  line["backend"] = text_or_null(packet.backend);
}

Json out_json(const ReplayedPacket& packet) {
  Json out = Json::array();
  for (const auto& one : packet.out) out.push_back(describe(one));
  return out;
}

}  // namespace vipgate
