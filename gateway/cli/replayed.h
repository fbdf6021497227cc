#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "runtime/replay.h"

// What the ways to replay a capture share.

namespace vipgate {

/// A replay with the rules of a file. nullptr: the standard error says why not.
std::unique_ptr<Replay> replay_with(const std::string& config_file, std::uint64_t seed);

std::string format_time(Time time);
std::string verdict_name(const ReplayedPacket& packet);
std::string reason_name(const ReplayedPacket& packet);  ///< empty where there is none

/// Adds verdict, reason, service and backend.
void add_outcome(nlohmann::ordered_json& line, const ReplayedPacket& packet);
nlohmann::ordered_json out_json(const ReplayedPacket& packet);

}  // namespace vipgate
