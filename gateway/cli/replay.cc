#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "cli/commands.h"
#include "config/load.h"
#include "nlohmann/json.hpp"
#include "runtime/replay.h"
#include "vipgate/inspect.h"

namespace vipgate {
namespace {

using Json = nlohmann::ordered_json;

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

Json text_or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

void print_json(const ReplayedPacket& packet) {
  Json line;
  line["packet"] = packet.number;
  line["time"] = format_time(packet.time);
  line["verdict"] = verdict_name(packet);
  line["reason"] = text_or_null(reason_name(packet));
  line["service"] = text_or_null(packet.service);
  line["backend"] = text_or_null(packet.backend);
  line["in"] = packet.in;
  line["out"] = Json::array();
  for (const auto& out : packet.out) line["out"].push_back(describe(out));
  std::cout << line.dump() << '\n';
}

void print_text(const ReplayedPacket& packet) {
  std::cout << packet.number << ' ' << format_time(packet.time) << ' ' << verdict_name(packet);
  if (const std::string reason = reason_name(packet); !reason.empty()) std::cout << " (" << reason << ')';
  if (!packet.service.empty()) std::cout << ' ' << packet.service << " -> " << packet.backend;
  std::cout << "\n   in  " << packet.in << '\n';
  for (const auto& out : packet.out) std::cout << "   out " << describe(out) << '\n';
}

void print_json(const ReplaySummary& summary) {
  Json counts;
  counts["packets"] = summary.packets;
  for (std::size_t i = 0; i < kActionCount; ++i) {
    counts[std::string(name_of(static_cast<Action>(i)))] = summary.engine.actions[i];
  }
  counts["own_output"] = summary.own_output;
  counts["not_ipv4"] = summary.not_ipv4;
  counts["flows_opened"] = summary.engine.flows_opened;
  counts["reasons"] = Json::object();
  for (std::size_t i = 0; i < kReasonCount; ++i) {
    if (summary.engine.reasons[i] > 0)
      counts["reasons"][std::string(name_of(static_cast<Reason>(i)))] = summary.engine.reasons[i];
  }
  Json line;
  line["summary"] = counts;
  std::cout << line.dump() << '\n';
}

void print_text(const ReplaySummary& summary) {
  std::cout << summary.packets << " packets:";
  for (std::size_t i = 0; i < kActionCount; ++i) {
    if (summary.engine.actions[i] > 0)
      std::cout << ' ' << name_of(static_cast<Action>(i)) << ' ' << summary.engine.actions[i];
  }
  if (summary.own_output > 0) std::cout << " own_output " << summary.own_output;
  if (summary.not_ipv4 > 0) std::cout << " not_ipv4 " << summary.not_ipv4;
  std::cout << "; flows opened " << summary.engine.flows_opened << '\n';
  for (std::size_t i = 0; i < kReasonCount; ++i) {
    if (summary.engine.reasons[i] == 0) continue;
    const auto reason = static_cast<Reason>(i);
    std::cout << "  " << name_of(reason) << ' ' << summary.engine.reasons[i] << ": " << describe(reason) << '\n';
  }
}

ExitCode wrong_input(const absl::Status& status) {
  std::cerr << std::string(status.message()) << '\n';
  return kWrongInput;
}

}  // namespace

ExitCode replay(const ReplayCommand& command) {
  LoadResult loaded = load_config(command.config_file);
  for (const std::string& error : loaded.errors) std::cerr << error << '\n';
  if (!loaded.config) return kWrongInput;
  auto reader = PcapReader::open(command.capture);
  if (!reader.ok()) return wrong_input(reader.status());
  std::optional<PcapWriter> writer;
  if (!command.write.empty()) {
    auto created = PcapWriter::create(command.write);
    if (!created.ok()) return wrong_input(created.status());
    writer.emplace(*std::move(created));
  }
  const std::size_t capacity =
      loaded.config->flows.max == 0 ? FlowStorage::default_capacity() : loaded.config->flows.max;
  auto storage = FlowStorage::allocate(capacity);
  if (!storage.ok()) return wrong_input(storage.status());

  Replay replay(*std::move(storage), std::move(loaded.config->rules), loaded.config->tun.mtu, command.seed);
  for (;;) {
    const auto captured = reader->next();
    if (!captured.ok()) return wrong_input(captured.status());
    if (!captured->has_value()) break;
    const ReplayedPacket packet = replay.process(**captured);
    command.json ? print_json(packet) : print_text(packet);
    if (!writer) continue;
    for (const auto& out : packet.out) writer->write(packet.time, out);
  }
  command.json ? print_json(replay.summary()) : print_text(replay.summary());
  if (writer) {
    if (const absl::Status status = writer->finish(); !status.ok()) return wrong_input(status);
  }
  return kDone;
}

}  // namespace vipgate
