#include "runtime/replay_diff.h"

#include <array>
#include <iostream>
#include <string>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/replayed.h"

namespace vipgate {
namespace {

using Json = nlohmann::ordered_json;

/// "forward web/10.0.0.2:8080", "drop no_service"
std::string outcome(const ReplayedPacket& packet) {
  std::string text = verdict_name(packet);
  if (const std::string reason = reason_name(packet); !reason.empty()) absl::StrAppend(&text, " ", reason);
  if (!packet.service.empty()) absl::StrAppend(&text, " ", packet.service, "/", packet.backend);
  return text;
}

/// The same, and what would be sent.
std::string outcome_with_output(const ReplayedPacket& packet) {
  std::string text = outcome(packet);
  for (const Json& out : out_json(packet)) absl::StrAppend(&text, " | ", out.get<std::string>());
  return text;
}

Json outcome_json(const ReplayedPacket& packet) {
  Json json = Json::object();
  add_outcome(json, packet);
  json["out"] = out_json(packet);
  return json;
}

void print_text(const ReplayedPacket& was, const ReplayedPacket& would_be, Difference difference) {
  const auto text = difference == Difference::output ? outcome_with_output : outcome;
  std::cout << was.number << ' ' << format_time(was.time) << ' ' << was.in << "  was: " << text(was)
            << "  would be: " << text(would_be) << '\n';
}

void print_json(const ReplayedPacket& was, const ReplayedPacket& would_be, Difference difference) {
  const Json line{{"packet", was.number},
                  {"time", format_time(was.time)},
                  {"in", was.in},
                  {"differs", std::string(name_of(difference))},
                  {"was", outcome_json(was)},
                  {"would_be", outcome_json(would_be)}};
  std::cout << line.dump() << '\n';
}

/// How many packets differ in what; those that do not are at Difference::none.
using Counts = std::array<std::uint64_t, kDifferences>;

std::uint64_t differing(const Counts& counts) {
  std::uint64_t sum = 0;
  for (std::size_t i = 1; i < kDifferences; ++i) sum += counts[i];
  return sum;
}

void print_text(const Counts& counts) {
  const std::uint64_t differ = differing(counts);
  std::cout << counts[0] + differ << " packets: " << counts[0] << " the same, " << differ << " otherwise";
  const char* separator = ": ";
  for (std::size_t i = 1; i < kDifferences; ++i) {
    if (counts[i] == 0) continue;
    std::cout << separator << "another " << name_of(static_cast<Difference>(i)) << ' ' << counts[i];
    separator = ", ";
  }
  std::cout << '\n';
}

void print_json(const Counts& counts) {
  Json kinds = Json::object();
  for (std::size_t i = 1; i < kDifferences; ++i) kinds[std::string(name_of(static_cast<Difference>(i)))] = counts[i];
  const std::uint64_t differ = differing(counts);
  const Json line{
      {"summary", {{"packets", counts[0] + differ}, {"same", counts[0]}, {"differ", differ}, {"kinds", kinds}}}};
  std::cout << line.dump() << '\n';
}

}  // namespace

/// Which packets are the gateway's own is said by the configuration that it had when they were captured.
ExitCode replay_diff(const ReplayCommand& command) {
  auto reader = PcapReader::open(command.capture);
  if (!reader.ok()) {
    std::cerr << reader.status().message() << '\n';
    return kWrongInput;
  }
  const auto present = replay_with(command.config_file, command.seed);
  const auto other = replay_with(command.other_config_file, command.seed);
  if (!present || !other) return kWrongInput;
  Counts counts{};
  {
    ProgressBar progress(*reader);
    for (;;) {
      const auto captured = reader->next();
      if (!captured.ok()) {
        std::cerr << captured.status().message() << '\n';
        return kWrongInput;
      }
      if (!captured->has_value()) break;
      const ReplayedPacket was = present->process(**captured);
      const ReplayedPacket would_be = other->process(**captured, was.own_output);
      const Difference difference = compare(was, would_be);
      ++counts[static_cast<std::size_t>(difference)];
      if (difference != Difference::none) {
        progress.give_way();
        command.json ? print_json(was, would_be, difference) : print_text(was, would_be, difference);
      }
      progress.update();
    }
  }
  command.json ? print_json(counts) : print_text(counts);
  return differing(counts) == 0 ? kDone : kDiffer;
}

}  // namespace vipgate
