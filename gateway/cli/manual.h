#pragma once

#include <string>

namespace CLI {
class App;
}

namespace vipgate {

// What is printed about the program is made from what the program itself goes by, and so cannot differ from it: the
// commands as they are parsed, and the schema of the configuration.

/// Manual pages, in roff (man(7)).
std::string commands_page(const CLI::App& app);  ///< vipgate(8)
std::string config_page();                       ///< vipgate.json(5)

/// What shells complete.
std::string bash_completion(const CLI::App& app);
std::string zsh_completion(const CLI::App& app);

}  // namespace vipgate
