#include "nat/ftp_lines.h"

#include <algorithm>
#include <string_view>

#include "flow/tcp_window.h"

namespace vipgate {
namespace {

using Phase = FtpLine::Phase;

static_assert(kMaxFtpArgument <= StreamEdit::kMaxText);

constexpr std::array<char, 3> kNoReply{};

bool is_digit(char byte) {
  return byte >= '0' && byte <= '9';
}

bool goes_on_with_numbers(char byte) {
  return is_digit(byte) || byte == ',';
}

bool is_code(std::string_view head) {
  return std::all_of(head.begin(), head.begin() + 3, is_digit);
}

/// One call of read_ftp_lines().
class Reader {
 public:
  Reader(FtpLine& line, StreamEdits& edits, Direction direction, const FtpNames& names, DataExpecter& expecter,
         FtpFindings& findings)
      : line_(line),
        edits_(edits),
        direction_(direction),
        names_(names),
        expecter_(expecter),
        findings_(findings),
        first_(edits.next) {}

  std::size_t read(std::span<const std::uint8_t> bytes) {
    std::size_t at = 0;
    while (at < bytes.size() && !findings_.secured) {
      if (line_.phase == Phase::rest) {
        const auto rest = bytes.subspan(at);
        const auto end = std::find(rest.begin(), rest.end(), '\n');
        const auto passed = static_cast<std::size_t>(end - rest.begin()) + (end == rest.end() ? 0 : 1);
        edits_.pass(static_cast<std::uint32_t>(passed));
        if (end != rest.end()) begin_line();
        at += passed;
      } else if (!read(static_cast<char>(bytes[at]))) {
        break;
      } else {
        ++at;
      }
    }
    return at;
  }

 private:
  /// False if there is no place for an edit that may begin here.
  bool read(char byte) {
    if (line_.phase == Phase::numbers && !goes_on_with_numbers(byte)) line_.phase = Phase::text;
    if (line_.phase == Phase::text && begins_ftp_argument(line_.kind, byte)) {
      if (!edits_.begin_hold()) return false;
      line_.phase = Phase::argument;
    }
    if (line_.phase == Phase::argument) {
      read_argument(byte);
      return true;
    }
    edits_.pass(1);
    if (byte == '\n') {
      begin_line();
    } else if (line_.phase == Phase::head) {
      read_head(byte);
    }
    return true;
  }

  void begin_line() {
    line_.phase = Phase::head;
    line_.head_length = 0;
  }

  void read_head(char byte) {
    line_.head[line_.head_length++] = byte;
    const std::string_view head(line_.head.data(), line_.head_length);
    if (head.size() < (direction_ == Direction::original ? kFtpCommandHead : kFtpReplyHead)) return;
    line_.kind = direction_ == Direction::original ? ftp_command(head) : reply(head);
    line_.phase = line_.kind == FtpLineKind::other ? Phase::rest : Phase::text;
  }

  FtpLineKind reply(std::string_view head) {
    const std::string_view code = head.substr(0, 3);
    const bool last = head[3] == ' ' || head[3] == '\r';
    if (line_.reply != kNoReply) {
      if (!last || code != std::string_view(line_.reply.data(), line_.reply.size())) return FtpLineKind::other;
      line_.reply = kNoReply;
    } else if (head[3] == '-' && is_code(head)) {
      std::copy(code.begin(), code.end(), line_.reply.begin());
    }
    if (!last) return FtpLineKind::other;
    if (code == "234") findings_.secured = true;
    if (code == "227") return FtpLineKind::passive;
    if (code == "229") return FtpLineKind::extended_passive;
    return FtpLineKind::other;
  }

  void read_argument(char byte) {
    edits_.hold(byte);
    const std::string_view held = edits_.held();
    const FtpArgument argument = read_ftp_argument(line_.kind, held);
    const bool full = held.size() == StreamEdit::kMaxText;
    if (argument.is == FtpArgument::Is::unfinished && !full) return;
    if (argument.is == FtpArgument::Is::complete) {
      announce(argument.endpoint);
      line_.phase = Phase::rest;
    } else {
      keep();
      // The text of a reply may have other numbers before the endpoint, within which none begins.
      const Phase in_reply = goes_on_with_numbers(byte) ? Phase::numbers : Phase::text;
      line_.phase = is_command(line_.kind) ? Phase::rest : in_reply;
    }
    if (byte == '\n') begin_line();
  }

  void announce(const Endpoint& named) {
    const bool by_client = is_command(line_.kind);
    const Endpoint target{by_client ? names_.client : names_.backend, named.port};
    std::optional<Endpoint> announced;
    if (may_name(named.address) && named.port >= kMinDataPort) {
      announced = expecter_.expect(by_client ? DataOpener::backend : DataOpener::client, target);
    }
    ++(announced ? findings_.announced : findings_.refused);
    if (!announced && !by_client) return keep();
    char text[kMaxFtpArgument];
    // Nobody's address and no port: every server refuses that (RFC 2577 §3).
    const std::size_t length = write_ftp_argument(line_.kind, edits_.held(), announced.value_or(Endpoint()), text);
    const std::string_view written(text, length);
    if (written == edits_.held()) return keep();
    edits_.replace_held(written);
  }

  bool may_name(Ipv4Address address) const {
    if (is_command(line_.kind)) return address == names_.client;
    if (line_.kind == FtpLineKind::extended_passive) return true;  // it names none
    return address == names_.backend || address == names_.vip || address == Ipv4Address();
  }

  /// What is held stays as it is. If some of it was held back in an earlier segment, that may never come again.
  void keep() {
    if (sequence::before(edits_.held_from(), first_)) {
      edits_.replace_held(edits_.held());
    } else {
      edits_.pass_held();
    }
  }

  FtpLine& line_;
  StreamEdits& edits_;
  Direction direction_;
  const FtpNames& names_;
  DataExpecter& expecter_;
  FtpFindings& findings_;
  std::uint32_t first_;  ///< sender's number of the first byte that is new
};

}  // namespace

bool FtpLine::is_sound() const {
  return static_cast<std::size_t>(phase) < kPhases && kind <= FtpLineKind::extended_passive &&
         (phase != Phase::head || head_length < head.size());
}

std::size_t read_ftp_lines(FtpLine& line, StreamEdits& edits, Direction direction, std::span<const std::uint8_t> bytes,
                           const FtpNames& names, DataExpecter& expecter, FtpFindings& findings) {
  return Reader(line, edits, direction, names, expecter, findings).read(bytes);
}

void give_up_ftp_line(FtpLine& line, StreamEdits& edits, std::uint8_t next_byte) {
  line.lose_track();
  if (edits.holding == 0) return;
  edits.hold(static_cast<char>(next_byte));
  edits.replace_held(edits.held());
}

}  // namespace vipgate
