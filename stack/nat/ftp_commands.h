#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "vipgate/address.h"

namespace vipgate {

// The lines of FTP that announce a data connection (RFC 959 §4.1.2, RFC 2428):
//
//     client   PORT 198,51,100,7,156,64        server   227 Entering Passive Mode (10,0,0,2,156,64).
//              EPRT |1|198.51.100.7|40000|              229 Entering Extended Passive Mode (|||40000|)
//
// Here is what stands behind "PORT ", "EPRT ", "227 ", "229 ". Numbers are taken whole, so that 10.0.0.20 is never
// found in 10.0.0.200 or 110.0.0.20.

enum class FtpLineKind : std::uint8_t {
  other,
  port,              ///< PORT: RFC 959
  extended_port,     ///< EPRT: RFC 2428 §2
  passive,           ///< 227: RFC 959
  extended_passive,  ///< 229: RFC 2428 §3
};

constexpr bool is_command(FtpLineKind kind) {
  return kind == FtpLineKind::port || kind == FtpLineKind::extended_port;
}

/// Bytes at the beginning of a line that tell its kind: a verb and a space; a code and what follows it.
inline constexpr std::size_t kFtpCommandHead = 5;
inline constexpr std::size_t kFtpReplyHead = 4;

/// The command that a line begins with, in any case (RFC 959 §5.3). `head` has kFtpCommandHead bytes.
FtpLineKind ftp_command(std::string_view head);

/// Whether an argument may begin with this byte. Those before it are text: spaces in a command; in a reply, anything
/// (RFC 1123 §4.1.2.6: the text and the parentheses of a 227 differ, so look for the first digit).
bool begins_ftp_argument(FtpLineKind kind, char byte);

/// What a beginning of an argument is.
struct FtpArgument {
  enum class Is : std::uint8_t {
    unfinished,  ///< more bytes must tell
    complete,    ///< with its last byte, which ends a command's line, or is what follows a reply's last number
    something_else,
  };
  Is is = Is::something_else;
  Endpoint endpoint;  ///< if complete. 229 names no address
};

/// Reads an argument from its first byte on. EPRT with another protocol than IPv4 is something else.
FtpArgument read_ftp_argument(FtpLineKind kind, std::string_view text);

/// Room that a complete argument takes at most when write_ftp_argument() has written it.
inline constexpr std::size_t kMaxFtpArgument = std::string_view("|1|255.255.255.255|65535|\r\n").size();

/// A complete argument with the endpoint (of 229: the port) put in the place of its own; delimiters, line end and what
/// follows the numbers stay, spaces before the line end do not. Returns the bytes written.
std::size_t write_ftp_argument(FtpLineKind kind, std::string_view argument, const Endpoint& endpoint,
                               char (&out)[kMaxFtpArgument]);

}  // namespace vipgate
