#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "control/message.h"

namespace vipgate::control {

/// Asks the gateway behind a UNIX socket once, and waits for the answer. Unavailable, with the remedy: nobody answers.
/// PermissionDenied: this user may not.
absl::StatusOr<Response> ask(const std::string& socket, const Request& request);

/// What a stream was.
struct Stream {
  Response response;  ///< with a body where the status is not 200
  bool whole = true;  ///< false: it broke off
  std::map<std::string, std::string> summary;
};

/// Asks for a stream, and calls `take` when it begins, with nothing, and for each piece that comes, until its end.
/// SIGINT and SIGTERM meanwhile, or `take` with false, ask the gateway to end it; a second signal ends it at once.
/// Unavailable: as above.
absl::StatusOr<Stream> ask_for_stream(const std::string& socket, const Request& request,
                                      const std::function<bool(std::string_view)>& take);

}  // namespace vipgate::control
