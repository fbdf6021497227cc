#include "cli/options.h"

namespace vipgate {
namespace {

constexpr const char* kReloadFooter =
    R"(All of the file is checked first: a bad one changes nothing, and is reported with exit code 2.

Example:
  vipgate reload)";

void add_reload(CLI::App& program, Chosen& chosen) {
  const auto [app, command] = add_command(program, chosen, vipgate::reload, "reload",
                                          "Have the running gateway read its configuration file again", kReloadFooter);
  add_address(app, command.gateway);
  app->add_flag("--json", command.json, "As JSON");
}

constexpr const char* kDrainFooter =
    R"(The flows that it has go on. It stays drained over reloads, restarts and upgrades, until `vipgate undrain`.

Example:
  vipgate drain 10.0.0.3 --wait
  vipgate drain web/10.0.0.3:8080)";

void add_drain(CLI::App& program, Chosen& chosen) {
  const auto [app, command] =
      add_command(program, chosen, vipgate::drain, "drain", "Give a backend no new flow", kDrainFooter);
  add_address(app, command.gateway);
  app->add_option("BACKEND", command.backend, "ADDRESS (in every service) or SERVICE/BACKEND")->required();
  app->add_flag("--wait", command.wait, "Come back when its last flow has ended");
  app->add_flag("--json", command.json, "As JSON");
}

constexpr const char* kUndrainFooter = R"(Example:
  vipgate undrain 10.0.0.3)";

void add_undrain(CLI::App& program, Chosen& chosen) {
  const auto [app, command] =
      add_command(program, chosen, vipgate::drain, "undrain", "Give a drained backend flows again", kUndrainFooter);
  command.back = true;
  add_address(app, command.gateway);
  app->add_option("BACKEND", command.backend, "As it was drained, or its address")->required();
  app->add_flag("--json", command.json, "As JSON");
}

constexpr const char* kWeightFooter =
    R"(The flows that there are go on. It holds over reloads, restarts and upgrades, until it is taken back with `default`. 0: no new flow.

Example:
  vipgate weight web/10.0.0.3:8080 5
  vipgate weight 10.0.0.3 default)";

/// A weight, or "default" for the configured one.
CLI::Option* add_weight_option(CLI::App* app, std::optional<std::uint32_t>& weight) {
  constexpr std::uint32_t kMost = 65535;  // as in the configuration
  const auto take = [&weight](const std::string& text) {
    weight.reset();
    if (text == "default") return true;
    std::uint32_t number = 0;
    if (!CLI::detail::lexical_cast(text, number) || number > kMost) return false;
    weight = number;
    return true;
  };
  return app->add_option_function<std::string>(
      "WEIGHT",
      [take](const std::string& text) {
        if (!take(text)) throw CLI::ValidationError("WEIGHT", "must be 0 to 65535, or \"default\"");
      },
      "0 to 65535, or default: as configured");
}

void add_weight(CLI::App& program, Chosen& chosen) {
  const auto [app, command] = add_command(program, chosen, vipgate::set_weight, "weight",
                                          "Give a backend another share of new flows", kWeightFooter);
  add_address(app, command.gateway);
  app->add_option("BACKEND", command.backend, "ADDRESS (in every service) or SERVICE/BACKEND")->required();
  add_weight_option(app, command.weight)->required();
  app->add_flag("--json", command.json, "As JSON");
}

constexpr const char* kStandbyFooter =
    R"(Of two gateways with one configuration, one is active and the other stands by. Flows are not shared by them: after a change, clients have to connect anew.

Example:
  vipgate standby
  vipgate activate)";

void add_standby(CLI::App& program, Chosen& chosen) {
  const auto [app, command] =
      add_command(program, chosen, vipgate::set_standby, "standby",
                  "Withdraw all announcements of VIPs: another gateway is to have them", kStandbyFooter);
  add_address(app, command.gateway);
  app->add_flag("--json", command.json, "As JSON");
}

void add_activate(CLI::App& program, Chosen& chosen) {
  const auto [app, command] = add_command(program, chosen, vipgate::set_standby, "activate",
                                          "Announce the VIPs, after `standby` or `run --standby`", kStandbyFooter);
  command.standby = false;
  add_address(app, command.gateway);
  app->add_flag("--json", command.json, "As JSON");
}

}  // namespace

void add_order_commands(CLI::App& program, Chosen& chosen) {
  add_reload(program, chosen);
  add_drain(program, chosen);
  add_undrain(program, chosen);
  add_weight(program, chosen);
  add_standby(program, chosen);
  add_activate(program, chosen);
}

}  // namespace vipgate
