#include <iostream>

#include <CLI/CLI.hpp>

#include "cli/manual.h"
#include "cli/options.h"
#include "config/schema.h"
#include "runtime/keeper.h"

namespace {

constexpr const char* kSchemaFooter = R"(Example:
  vipgate schema > /etc/vipgate/schema.json     and in the configuration: "$schema": "schema.json")";

}  // namespace

int main(int argc, char** argv) {
  using namespace vipgate;

  CLI::App app("vipgate: a user-space gateway for virtual IPs", "vipgate");
  app.set_version_flag("--version", "vipgate " VIPGATE_VERSION);
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::help);
  app.get_formatter()->column_width(32);

  Chosen chosen;
  add_host_commands(app, chosen);
  add_look_commands(app, chosen);
  add_order_commands(app, chosen);

  auto* schema_app = app.add_subcommand("schema", "Print the JSON Schema of the configuration, for editors");
  schema_app->footer(kSchemaFooter);

  // For the package: what it installs beside the program.
  auto* manual_app = app.add_subcommand("manual")->group("");
  std::string manual;
  manual_app->add_option("PART", manual)->required()->check(CLI::IsMember({"commands", "config", "bash", "zsh"}));

  // For the process that Keeper starts; nobody else has the sockets that it needs.
  auto* keep_app = app.add_subcommand("keep")->group("");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kWrongInput;
  }

  if (chosen) return chosen();
  if (keep_app->parsed()) {
    run_keeper();
  } else if (manual_app->parsed()) {
    std::cout << (manual == "commands" ? commands_page(app)
                  : manual == "config" ? config_page()
                  : manual == "bash"   ? bash_completion(app)
                                       : zsh_completion(app));
  } else if (schema_app->parsed()) {
    std::cout << config_schema();
  }
  return kDone;
}
