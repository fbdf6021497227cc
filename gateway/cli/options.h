#pragma once

#include <functional>
#include <memory>

#include <CLI/CLI.hpp>

#include "cli/commands.h"

// The options of all commands, by what one does with them.

namespace vipgate {

/// Executes the command that the command line names; empty before it is parsed.
using Chosen = std::function<ExitCode()>;

void add_host_commands(CLI::App& program, Chosen& chosen);   ///< run, and what works on files and the host alone
void add_look_commands(CLI::App& program, Chosen& chosen);   ///< what the running gateway is asked
void add_order_commands(CLI::App& program, Chosen& chosen);  ///< what it is told to do

/// A command as the parser knows it, and where its options go.
template <typename Command>
struct Added {
  CLI::App* app;
  Command& command;
};

template <typename Command>
Added<Command> add_command(CLI::App& program, Chosen& chosen, ExitCode (*execute)(const Command&), const char* name,
                           const char* help, const char* footer) {
  const auto command = std::make_shared<Command>();
  CLI::App* app = program.add_subcommand(name, help);
  app->footer(footer);
  app->callback([&chosen, execute, command] { chosen = [execute, command] { return execute(*command); }; });
  return {app, *command};
}

/// How commands find the running gateway.
inline void add_address(CLI::App* app, GatewayAddress& address) {
  app->add_option("--config", address.config_file, "The gateway's configuration file, which names its socket")
      ->capture_default_str();
  app->add_option("--socket", address.socket, "The gateway's control socket itself");
}

}  // namespace vipgate
