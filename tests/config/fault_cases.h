#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

// Texts with one fault each. '@' stands before the byte that the error must point to, '#' before a second place that
// its message must name.
namespace vipgate {

struct FaultCase {
  std::string name;
  std::string text;
  std::string message;  ///< must be part of the error's
};

struct MarkedText {
  std::string text;
  std::string at;     ///< "LINE:COLUMN" of '@'
  std::string other;  ///< of '#', or empty
};

inline MarkedText take_marks(std::string_view marked) {
  MarkedText result;
  std::size_t line = 1;
  std::size_t column = 1;
  for (const char c : marked) {
    const std::string place = std::to_string(line) + ":" + std::to_string(column);
    if (c == '@') {
      result.at = place;
    } else if (c == '#') {
      result.other = place;
    } else {
      result.text += c;
      column = c == '\n' ? 1 : column + 1;
      line += c == '\n' ? 1 : 0;
    }
  }
  return result;
}

/// For tests that something is not done once for each pair: what else the machine does is not in it.
class ProcessorTime {
 public:
  /// Far more than it takes with sanitizers (optimised, some 50 ms).
  static constexpr double kTooMuch = 15;

  double seconds() const { return static_cast<double>(std::clock() - start_) / CLOCKS_PER_SEC; }

 private:
  std::clock_t start_ = std::clock();
};

inline std::vector<std::string> errors_of(std::string_view text) {
  std::vector<std::string> errors;
  for (const ConfigError& error : parse_config(text).errors) errors.push_back(format_error("f", error));
  return errors;
}

/// The fault, and nothing else, is reported at its place.
inline void expect_fault(const FaultCase& fault) {
  SCOPED_TRACE(fault.name);
  const MarkedText marked = take_marks(fault.text);
  SCOPED_TRACE(marked.text);
  ASSERT_FALSE(marked.at.empty()) << "no '@' in the case";
  const ConfigResult result = parse_config(marked.text);
  EXPECT_FALSE(result.config.has_value());
  std::vector<std::string> errors;
  for (const ConfigError& error : result.errors) errors.push_back(format_error("f", error));
  EXPECT_THAT(errors, testing::ElementsAre(testing::AllOf(testing::StartsWith("f:" + marked.at + ": "),
                                                          testing::HasSubstr(fault.message),
                                                          testing::HasSubstr(marked.other))));
}

/// The configuration that must come out of `text`; a default one, and a failure, if it does not.
inline Config accept(const std::string& text) {
  ConfigResult result = parse_config(text);
  EXPECT_THAT(errors_of(text), testing::IsEmpty()) << text;
  EXPECT_TRUE(result.config.has_value());
  return result.config.value_or(Config{});
}

// A small file with something put in at one place.

inline std::string in_file(const std::string& members) {
  return R"({"vips": [{"address": "203.0.113.10", "services": [{"protocol": "tcp", "port": 80, "backends": [{"address": "10.0.0.2"}]}]}],)"
         "\n" +
         members + "}";
}
inline std::string in_top(const std::string& members) {
  return in_file(R"("tun": {"subnet": "203.0.113.8/29"}, )" + members);
}
inline std::string in_tun(const std::string& members) {
  return in_file(R"("tun": {"subnet": "203.0.113.8/29", )" + members + "}");
}
inline std::string with_subnet(const std::string& subnet) {
  return in_file(R"("tun": {"subnet": )" + subnet + "}");
}

inline std::string with_vips(const std::string& vips, const std::string& members = "") {
  return R"({"tun": {"subnet": "203.0.113.8/29"}, )" + members + "\n\"vips\": [" + vips + "]}";
}
inline std::string with_services(const std::string& services, const std::string& members = "") {
  return with_vips(R"({"address": "203.0.113.10", "services": [)" + services + "]}", members);
}
inline std::string in_vip(const std::string& members) {
  return with_vips(
      R"({"address": "203.0.113.10", "services": [{"protocol": "tcp", "port": 80, "backends": [{"address": "10.0.0.2"}]}], )" +
      members + "}");
}
inline std::string in_service(const std::string& members) {
  return with_services(R"({"protocol": "tcp", "port": 80, "backends": [{"address": "10.0.0.2"}], )" + members + "}");
}
inline std::string with_port(const std::string& port) {
  return with_services(R"({"protocol": "tcp", "port": )" + port + R"(, "backends": [{"address": "10.0.0.2"}]})");
}
inline std::string with_backends(const std::string& backends, const std::string& port = "80") {
  return with_services(R"({"protocol": "tcp", "port": )" + port + ",\n\"backends\": [" + backends + "]}");
}
inline std::string in_backend(const std::string& members) {
  return with_backends(R"({"address": "10.0.0.2", )" + members + "}");
}

inline const Service& first_service(const Config& config) {
  return config.rules.vips.at(0).services.at(0);
}

}  // namespace vipgate
