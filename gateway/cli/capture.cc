#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "cli/ask.h"
#include "control/client.h"
#include "control/query.h"

namespace vipgate {
namespace {

/// Where a capture goes. Opened when it begins, so that a refused one leaves no file.
class Sink {
 public:
  explicit Sink(const std::string& path) : path_(path) {}

  /// False, and it is said why: there is no more room, for example.
  bool take(std::string_view piece) {
    const bool to_file = !path_.empty() && path_ != "-";
    if (!begun_) {
      begun_ = true;
      if (to_file) file_.open(path_, std::ios::binary | std::ios::trunc);
      std::cerr << "capturing; Ctrl-C ends it" << std::endl;
    }
    if (piece.empty()) return true;
    std::ostream& out = to_file ? file_ : std::cout;
    out.write(piece.data(), static_cast<std::streamsize>(piece.size()));
    out.flush();  // for those who read it while it grows
    if (out || failed_) return !failed_;
    std::cerr << "vipgate: cannot write " << (to_file ? path_ : "the standard output") << ": " << std::strerror(errno)
              << '\n';
    failed_ = true;
    return false;
  }

  bool has_failed() const { return failed_; }

 private:
  const std::string& path_;
  std::ofstream file_;
  bool begun_ = false;
  bool failed_ = false;
};

}  // namespace

ExitCode capture(const CaptureCommand& command) {
  if (command.write == "-" && ::isatty(STDOUT_FILENO) == 1) {
    std::cerr << "vipgate: a capture file is nothing for a terminal; name a file, or leave --write out\n";
    return kWrongInput;
  }
  std::string target = absl::StrCat("/v1/capture?format=", command.write.empty() ? "text" : "pcapng");
  for (const auto& [name, value] : command.wanted) {
    if (!value.empty()) absl::StrAppend(&target, "&", name, "=", control::encode_query(value));
  }
  const std::string socket = socket_of(command.gateway);
  if (socket.empty()) return kWrongInput;
  Sink sink(command.write);
  const auto stream =
      control::ask_for_stream(socket, {"POST", target, ""}, [&](std::string_view piece) { return sink.take(piece); });
  if (!stream.ok()) {
    std::cerr << "vipgate: " << stream.status().message() << '\n';
    return kFailed;
  }
  if (stream->response.status != 200) return answer_of(stream->response).code;
  if (!stream->whole) {
    std::cerr << "vipgate: the gateway, or this command, was ended before the capture was\n";
    return kFailed;
  }
  const auto count_of = [&](const char* name) {
    const auto found = stream->summary.find(name);
    return found == stream->summary.end() ? std::string("0") : found->second;
  };
  const std::string lost = count_of("Lost");
  std::cerr << count_of("Captured") << " packets captured, " << lost << " lost"
            << (lost == "0" ? "" : ": they came faster than they were taken") << '\n';
  return sink.has_failed() ? kFailed : kDone;
}

}  // namespace vipgate
