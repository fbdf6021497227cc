#include <iostream>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/replayed.h"
#include "vipgate/inspect.h"

namespace vipgate {
namespace {

using Json = nlohmann::ordered_json;

void print_json(const ReplayedPacket& packet) {
  Json line;
  line["packet"] = packet.number;
  line["time"] = format_time(packet.time);
  add_outcome(line, packet);
  line["in"] = packet.in;
  line["out"] = out_json(packet);
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
  if (!command.other_config_file.empty()) return replay_diff(command);
  auto reader = PcapReader::open(command.capture);
  if (!reader.ok()) return wrong_input(reader.status());
  const auto replay = replay_with(command.config_file, command.seed);
  if (!replay) return kWrongInput;
  std::optional<PcapWriter> writer;
  if (!command.write.empty()) {
    auto created = PcapWriter::create(command.write);
    if (!created.ok()) return wrong_input(created.status());
    writer.emplace(*std::move(created));
  }
  {
    ProgressBar progress(*reader);
    for (;;) {
      const auto captured = reader->next();
      if (!captured.ok()) return wrong_input(captured.status());
      if (!captured->has_value()) break;
      const ReplayedPacket packet = replay->process(**captured);
      progress.give_way();
      command.json ? print_json(packet) : print_text(packet);
      progress.update();
      if (!writer) continue;
      for (const auto& out : packet.out) writer->write(packet.time, out);
    }
  }
  command.json ? print_json(replay->summary()) : print_text(replay->summary());
  if (writer) {
    if (const absl::Status status = writer->finish(); !status.ok()) return wrong_input(status);
  }
  return kDone;
}

}  // namespace vipgate
