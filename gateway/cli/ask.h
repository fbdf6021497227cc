#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "cli/commands.h"

namespace vipgate {

/// What a running gateway answered. Where it is not kDone, the standard error says why.
struct Answer {
  ExitCode code = kFailed;
  nlohmann::ordered_json body;
};
Answer ask(const GatewayAddress& gateway, const std::string& method, const std::string& target,
           const nlohmann::ordered_json& body = nullptr);

/// For `--json`: the gateway's answer, also one that refuses, on the standard output. Returns the exit code.
ExitCode print_json(const Answer& answer);

}  // namespace vipgate
