#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "control/message.h"

namespace vipgate {

/// The path of a running gateway's socket. Empty, and the reasons are said: the file that names it cannot be read.
std::string socket_of(const GatewayAddress& gateway);

/// What a running gateway answered. Where it is not kDone, the standard error says why.
struct Answer {
  ExitCode code = kFailed;
  nlohmann::ordered_json body;
};
/// Of a response, with the standard error as above.
Answer answer_of(const control::Response& response);
Answer ask(const GatewayAddress& gateway, const std::string& method, const std::string& target,
           const nlohmann::ordered_json& body = nullptr);

/// For `--json`: the gateway's answer, also one that refuses, on the standard output. Returns the exit code.
ExitCode print_json(const Answer& answer);

}  // namespace vipgate
