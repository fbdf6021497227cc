#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>

#include "flow/direction.h"
#include "flow/stream_edits.h"
#include "nat/ftp_commands.h"

namespace vipgate {

/// Where one side of a control connection is in its lines. Plain data.
struct FtpLine {
  enum class Phase : std::uint8_t {
    head,      ///< in the first bytes, which tell what the line is
    text,      ///< before the argument
    numbers,   ///< in a list of numbers that is no endpoint
    argument,  ///< in the argument: its bytes are held
    rest,      ///< in what does not matter, up to the end of the line
  };
  static constexpr std::size_t kPhases = 5;

  Phase phase = Phase::head;
  FtpLineKind kind = FtpLineKind::other;  ///< in the three phases behind the head
  std::uint8_t head_length = 0;
  std::array<char, kFtpCommandHead> head{};
  std::array<char, 3> reply{};  ///< the code of the multi-line reply that we are in (RFC 959 §4.2); else zeros

  /// Nothing is known of the line that we are in.
  void lose_track() {
    phase = Phase::rest;
    head_length = 0;
  }
  bool is_sound() const;
};
static_assert(std::is_trivially_copyable_v<FtpLine> && std::has_unique_object_representations_v<FtpLine>);

/// Who opens a data connection.
enum class DataOpener : std::uint8_t {
  client,   ///< passive: to the port that the backend has announced
  backend,  ///< active: to the port that the client has announced
};

/// Makes way for data connections.
class DataExpecter {
 public:
  virtual ~DataExpecter() = default;
  /// A data connection to `target` is about to be opened. Returns what has to be announced to `opener` in its place
  /// (for the client: a port of the VIP), or nothing if it cannot be.
  virtual std::optional<Endpoint> expect(DataOpener opener, const Endpoint& target) = 0;
};

/// The addresses of a control connection: those of its ends, and what the client takes for the server's.
struct FtpNames {
  Ipv4Address client;
  Ipv4Address vip;
  Ipv4Address backend;
};

/// What was read in a segment.
struct FtpFindings {
  std::uint8_t announced = 0;  ///< lines for which a data connection is expected
  std::uint8_t refused = 0;    ///< lines that announce what is not allowed, or for which there was no port
  bool secured = false;        ///< reply 234: from here on all is encrypted (RFC 4217 §4)
};

/// RFC 2577 §3: no server or client offers data at a well-known port.
inline constexpr std::uint16_t kMinDataPort = 1024;

/// Reads the bytes that follow edits.next, and puts into `edits` what has to change of them. Returns how many were
/// read: less than all where a line needs an edit and all places are taken, or behind a reply 234.
///
/// A line counts only from its first byte on; of the client PORT and EPRT, of the backend 227 and 229, and no line
/// within a multi-line reply. PORT and EPRT must name the client's own address, 227 the backend's (or the VIP's, or
/// none), and all a port from kMinDataPort on. A 227 or 229 that does not is left as it is. A PORT or EPRT that does
/// not gets an endpoint that every server refuses, so that the backend connects to nobody.
std::size_t read_ftp_lines(FtpLine& line, StreamEdits& edits, Direction direction, std::span<const std::uint8_t> bytes,
                           const FtpNames& names, DataExpecter& expecter, FtpFindings& findings);

/// What is held for want of a line end is passed on, with the next byte as it is.
void give_up_ftp_line(FtpLine& line, StreamEdits& edits, std::uint8_t next_byte);

}  // namespace vipgate
