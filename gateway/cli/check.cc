#include <iostream>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "cli/commands.h"
#include "config/load.h"

namespace vipgate {
namespace {

using Json = nlohmann::ordered_json;

template <typename List>
Json texts(const List& list) {
  Json json = Json::array();
  for (const auto& item : list) json.push_back(item.to_string());
  return json;
}

Json ports_json(const Service& service) {
  if (service.wildcard) return Json::array({"*"});
  Json json = Json::array();
  for (const PortRange& ports : service.ports) {
    json.push_back(ports.first == ports.last ? absl::StrCat(ports.first) : absl::StrCat(ports.first, "-", ports.last));
  }
  return json;
}

Json service_json(const Service& service) {
  Json json{{"name", service.name}, {"protocol", Json::array()}, {"port", ports_json(service)}};
  for (const Protocol protocol : service.protocols) {
    json["protocol"].push_back(protocol == Protocol::tcp ? "tcp" : "udp");
  }
  json["source"] = service.source == SourceMode::preserve ? "preserve" : "masquerade";
  json["helper"] = service.helper == Helper::ftp ? "ftp" : "none";
  json["backends"] = Json::array();
  for (const Backend& backend : service.backends) {
    Json& one = json["backends"].emplace_back(Json{{"name", backend.name}, {"address", backend.address.to_string()}});
    if (backend.port) one["port"] = *backend.port;
    one["weight"] = backend.weight;
  }
  return json;
}

/// What the configuration comes to.
Json summary_of(const Config& config) {
  Json json{{"device", config.tun.name},
            {"subnets", texts(config.rules.subnets)},
            {"masquerade", texts(config.rules.masquerade)},
            {"vips", Json::array()},
            {"egress", Json::array()}};
  for (const Vip& vip : config.rules.vips) {
    Json services = Json::array();
    for (const Service& service : vip.services) services.push_back(service_json(service));
    json["vips"].push_back({{"address", name_of(vip)}, {"services", std::move(services)}});
  }
  for (const Egress& egress : config.rules.egress) {
    json["egress"].push_back(
        {{"from", egress.from.to_string()}, {"as", egress.as.to_string()}, {"except", texts(egress.except)}});
  }
  return json;
}

std::string joined(const Json& list, const char* separator) {
  std::string text;
  for (const Json& item : list) absl::StrAppend(&text, text.empty() ? "" : separator, item.get<std::string>());
  return text;
}

std::string text_of(const Json& value) {
  return value.get<std::string>();
}

void print(const Json& summary) {
  std::cout << "device " << text_of(summary["device"]);
  for (const Json& subnet : summary["subnets"]) std::cout << ' ' << text_of(subnet);
  std::cout << "\nmasquerade";
  for (const Json& address : summary["masquerade"]) std::cout << ' ' << text_of(address);
  std::cout << '\n';
  for (const Json& vip : summary["vips"]) {
    std::cout << "vip " << text_of(vip["address"]) << '\n';
    for (const Json& service : vip["services"]) {
      std::cout << "  " << text_of(service["name"]) << ": " << joined(service["protocol"], "+") << ' '
                << joined(service["port"], ",") << " ->";
      for (const Json& backend : service["backends"]) {
        std::cout << ' ' << text_of(backend["address"]);
        if (backend.contains("port")) std::cout << ':' << backend["port"];
        if (backend["weight"] != 1) std::cout << " weight " << backend["weight"];
      }
      std::cout << (service["source"] == "preserve" ? " (clients' addresses preserved)" : "")
                << (service["helper"] == "ftp" ? " (FTP)" : "") << '\n';
    }
  }
  for (const Json& egress : summary["egress"]) {
    std::cout << "egress " << text_of(egress["from"]) << " as " << text_of(egress["as"]);
    if (!egress["except"].empty()) std::cout << " except to " << joined(egress["except"], ", ");
    std::cout << '\n';
  }
}

Json errors_json(const LoadResult& loaded) {
  Json errors = Json::array();
  for (const ConfigError& error : loaded.details) {
    errors.push_back({{"line", error.line}, {"column", error.column}, {"what", error.what}});
  }
  if (loaded.details.empty()) {
    for (const std::string& what : loaded.errors) errors.push_back({{"what", what}});
  }
  return errors;
}

}  // namespace

ExitCode check(const CheckCommand& command) {
  const LoadResult loaded = load_config(command.config_file);
  if (command.json) {
    Json json{{"file", command.config_file}, {"valid", loaded.config.has_value()}};
    if (loaded.config) {
      json.update(summary_of(*loaded.config));
    } else {
      json["errors"] = errors_json(loaded);
    }
    std::cout << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
  } else {
    for (const std::string& error : loaded.errors) std::cerr << error << '\n';
    if (loaded.config) print(summary_of(*loaded.config));
  }
  return loaded.config ? kDone : kWrongInput;
}

}  // namespace vipgate
