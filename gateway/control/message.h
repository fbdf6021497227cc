#pragma once

#include <memory>
#include <string>

namespace vipgate {
class ByteSource;
}

namespace vipgate::control {

/// What of HTTP (RFC 9110) the interface goes by.
struct Request {
  std::string method;
  std::string target;  ///< path, and perhaps a query
  std::string body;
};
struct Response {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::shared_ptr<ByteSource> stream{};  ///< the body, where it is made while it is sent
};

}  // namespace vipgate::control
