#include "nat/ftp_commands.h"

#include <algorithm>
#include <charconv>

namespace vipgate {
namespace {

using Is = FtpArgument::Is;

bool is_digit(char byte) {
  return byte >= '0' && byte <= '9';
}

/// RFC 2428 §2: a delimiter is one of the characters 33 to 126. A digit would make the numbers ambiguous.
bool is_delimiter(char byte) {
  return byte >= 33 && byte <= 126 && !is_digit(byte);
}

/// Reads a text part by part. After a part that is not there, the others are not looked for, and result() tells why.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : left_(text) {}

  /// Of the whole text: what goes on behind its end is not what was looked for.
  Is result() const { return failed() || at_end() ? is_ : Is::something_else; }
  bool failed() const { return is_ != Is::complete; }
  bool at_end() const { return left_.empty(); }

  void expect(char byte) {
    if (begins() && take() != byte) fail(Is::something_else);
  }

  char delimiter() {
    if (!begins()) return 0;
    const char byte = take();
    if (!is_delimiter(byte)) fail(Is::something_else);
    return byte;
  }

  /// A decimal number up to `most`, with no more digits than that has. All digits belong to it, so something must
  /// follow.
  std::uint16_t number(std::uint32_t most) {
    const std::size_t most_digits = most > 255 ? 5 : 3;
    if (!begins()) return 0;
    const auto digits =
        static_cast<std::size_t>(std::find_if_not(left_.begin(), left_.end(), is_digit) - left_.begin());
    std::uint32_t value = 0;
    if (digits > 0 && digits <= most_digits) std::from_chars(left_.data(), left_.data() + digits, value);
    if (digits == 0 || digits > most_digits || value > most) fail(Is::something_else);
    left_.remove_prefix(digits);
    return static_cast<std::uint16_t>(value);
  }

  /// h1,h2,h3,h4,p1,p2
  Endpoint host_port() {
    std::uint32_t address = 0;
    std::uint32_t port = 0;
    for (int i = 0; i < 6; ++i) {
      if (i > 0) expect(',');
      const std::uint16_t byte = number(255);
      std::uint32_t& part = i < 4 ? address : port;
      part = part << 8 | byte;
    }
    return {Ipv4Address(address), static_cast<std::uint16_t>(port)};
  }

  /// A dotted address and the delimiter behind it.
  Ipv4Address address(char delimiter) {
    constexpr std::size_t kLongest = std::string_view("255.255.255.255").size();
    if (failed()) return {};
    const std::string_view text = left_.substr(0, std::min(left_.find(delimiter), left_.size()));
    const auto parsed = Ipv4Address::parse(text);
    left_.remove_prefix(text.size());
    if (at_end()) {
      fail(text.size() <= kLongest ? Is::unfinished : Is::something_else);
    } else if (!parsed) {
      fail(Is::something_else);
    } else {
      expect(delimiter);
    }
    return parsed.value_or(Ipv4Address());
  }

  /// CRLF, or LF alone, after spaces.
  void line_end() {
    if (failed()) return;
    left_.remove_prefix(std::min(left_.find_first_not_of(' '), left_.size()));
    if (!at_end() && left_.front() == '\r') left_.remove_prefix(1);
    expect('\n');
  }

  /// One byte that does not go on with a list of numbers.
  void list_end() {
    if (begins() && take() == ',') fail(Is::something_else);
  }

 private:
  void fail(Is why) {
    if (!failed()) is_ = why;
  }
  bool begins() {
    if (at_end()) fail(Is::unfinished);
    return !failed();
  }
  char take() {
    const char byte = left_.front();
    left_.remove_prefix(1);
    return byte;
  }

  std::string_view left_;
  Is is_ = Is::complete;
};

FtpArgument read_port(std::string_view text) {
  Scanner scanner(text);
  const Endpoint endpoint = scanner.host_port();
  scanner.line_end();
  return {scanner.result(), endpoint};
}

FtpArgument read_extended_port(std::string_view text) {
  Scanner scanner(text);
  const char delimiter = scanner.delimiter();
  scanner.expect('1');  // RFC 2428 §2: address family 1 is IPv4
  scanner.expect(delimiter);
  Endpoint endpoint;
  endpoint.address = scanner.address(delimiter);
  endpoint.port = scanner.number(65535);
  scanner.expect(delimiter);
  scanner.line_end();
  return {scanner.result(), endpoint};
}

FtpArgument read_passive(std::string_view text) {
  Scanner scanner(text);
  const Endpoint endpoint = scanner.host_port();
  scanner.list_end();
  return {scanner.result(), endpoint};
}

FtpArgument read_extended_passive(std::string_view text) {
  Scanner scanner(text);
  scanner.expect('(');
  const char delimiter = scanner.delimiter();
  scanner.expect(delimiter);
  scanner.expect(delimiter);
  const std::uint16_t port = scanner.number(65535);
  scanner.expect(delimiter);
  return {scanner.result(), {Ipv4Address(), port}};
}

/// Appends to the text of an argument.
class Writer {
 public:
  explicit Writer(char (&out)[kMaxFtpArgument]) : begin_(out), at_(out), end_(out + kMaxFtpArgument) {}

  void text(std::string_view part) {
    at_ = std::copy_n(part.begin(), std::min(part.size(), static_cast<std::size_t>(end_ - at_)), at_);
  }
  void character(char byte) { text({&byte, 1}); }
  void number(std::uint32_t value) { at_ = std::to_chars(at_, end_, value).ptr; }
  void bytes(std::uint32_t value, int count, char separator) {
    for (int i = count - 1; i >= 0; --i) {
      number(value >> (8 * i) & 0xff);
      if (i > 0) character(separator);
    }
  }
  void host_port(const Endpoint& endpoint) {
    bytes(endpoint.address.value(), 4, ',');
    character(',');
    bytes(endpoint.port, 2, ',');
  }
  std::size_t length() const { return static_cast<std::size_t>(at_ - begin_); }

 private:
  char* begin_;
  char* at_;
  char* end_;
};

std::string_view line_end_of(std::string_view argument) {
  return argument.substr(argument.size() - (argument.ends_with("\r\n") ? 2 : 1));
}

}  // namespace

FtpLineKind ftp_command(std::string_view head) {
  const auto is = [head](std::string_view command) {
    return std::equal(head.begin(), head.end(), command.begin(), command.end(), [](char byte, char capital) {
      return (byte >= 'a' && byte <= 'z' ? byte - 'a' + 'A' : byte) == capital;
    });
  };
  if (is("PORT ")) return FtpLineKind::port;
  if (is("EPRT ")) return FtpLineKind::extended_port;
  return FtpLineKind::other;
}

bool begins_ftp_argument(FtpLineKind kind, char byte) {
  switch (kind) {
    case FtpLineKind::port:
    case FtpLineKind::extended_port:
      return byte != ' ';
    case FtpLineKind::passive:
      return is_digit(byte);
    case FtpLineKind::extended_passive:
      return byte == '(';
    case FtpLineKind::other:
      break;
  }
  return false;
}

FtpArgument read_ftp_argument(FtpLineKind kind, std::string_view text) {
  switch (kind) {
    case FtpLineKind::port:
      return read_port(text);
    case FtpLineKind::extended_port:
      return read_extended_port(text);
    case FtpLineKind::passive:
      return read_passive(text);
    case FtpLineKind::extended_passive:
      return read_extended_passive(text);
    case FtpLineKind::other:
      break;
  }
  return {};
}

std::size_t write_ftp_argument(FtpLineKind kind, std::string_view argument, const Endpoint& endpoint,
                               char (&out)[kMaxFtpArgument]) {
  Writer writer(out);
  const char delimiter = argument[kind == FtpLineKind::extended_passive ? 1 : 0];
  switch (kind) {
    case FtpLineKind::port:
      writer.host_port(endpoint);
      writer.text(line_end_of(argument));
      break;
    case FtpLineKind::extended_port:
      writer.character(delimiter);
      writer.character('1');
      writer.character(delimiter);
      writer.bytes(endpoint.address.value(), 4, '.');
      writer.character(delimiter);
      writer.number(endpoint.port);
      writer.character(delimiter);
      writer.text(line_end_of(argument));
      break;
    case FtpLineKind::passive:
      writer.host_port(endpoint);
      writer.character(argument.back());
      break;
    case FtpLineKind::extended_passive:
      writer.text(argument.substr(0, 4));
      writer.number(endpoint.port);
      writer.character(delimiter);
      break;
    case FtpLineKind::other:
      break;
  }
  return writer.length();
}

}  // namespace vipgate
