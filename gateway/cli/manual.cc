#include "cli/manual.h"

#include <algorithm>
#include <sstream>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "config/schema.h"

namespace vipgate {
namespace {

using Json = nlohmann::ordered_json;

/// Text as roff prints it: no escapes, no requests.
std::string roff(const std::string& text) {
  std::string escaped = absl::StrReplaceAll(text, {{"\\", "\\e"}, {"-", "\\-"}});
  escaped = absl::StrReplaceAll(escaped, {{"\n.", "\n\\&."}, {"\n'", "\n\\&'"}});
  if (!escaped.empty() && (escaped[0] == '.' || escaped[0] == '\'')) escaped.insert(0, "\\&");
  return escaped;
}

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  std::vector<const CLI::App*> commands;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!command->get_group().empty()) commands.push_back(command);
  }
  return commands;
}

std::vector<const CLI::Option*> options_of(const CLI::App& app) {
  return app.get_options([](const CLI::Option*) { return true; });
}

bool is_flag(const CLI::Option& option) {
  return option.get_items_expected_max() == 0;
}

/// "--config FILE" and the like.
std::string form_of(const CLI::Option& option) {
  if (option.get_positional()) return option.get_name(true);
  const std::string names = absl::StrJoin(
      option.get_lnames(), ", ", [](std::string* out, const std::string& name) { absl::StrAppend(out, "--", name); });
  return is_flag(option) ? names
                         : absl::StrCat(names, " ", option.get_type_name().empty() ? "VALUE" : option.get_type_name());
}

void add_head(std::ostringstream& out, const char* name, const char* section, const char* what) {
  out << ".TH " << absl::AsciiStrToUpper(name) << ' ' << section << " \"\" \"vipgate " VIPGATE_VERSION "\"\n.SH NAME\n"
      << roff(name) << " \\- " << roff(what) << "\n";
}

void add_command(std::ostringstream& out, const CLI::App& command) {
  out << ".SS " << roff(command.get_name()) << '\n' << roff(command.get_description()) << ".\n";
  for (const CLI::Option* option : options_of(command)) {
    if (option->check_lname("help")) continue;
    out << ".TP\n.B " << roff(form_of(*option)) << '\n' << roff(option->get_description());
    if (!option->get_default_str().empty()) out << " (default: " << roff(option->get_default_str()) << ")";
    out << '\n';
  }
  const std::string footer = command.get_footer();
  const std::size_t example = footer.find("Example:");
  if (example > 0 && !footer.empty()) out << ".PP\n" << roff(footer.substr(0, example)) << '\n';
  if (example == std::string::npos) return;
  out << ".PP\n.EX\n" << roff(footer.substr(example + std::string_view("Example:\n").size())) << "\n.EE\n";
}

std::string values_of(const Json& schema) {
  std::string text;
  if (schema.contains("enum")) {
    text = absl::StrCat("One of ",
                        absl::StrJoin(schema["enum"], ", ",
                                      [](std::string* out, const Json& value) { absl::StrAppend(out, value.dump()); }),
                        ".");
  }
  if (schema.contains("minimum")) {
    text = absl::StrCat("From ", schema["minimum"].dump(), " to ", schema["maximum"].dump(), ".");
  }
  if (schema.contains("default"))
    absl::StrAppend(&text, text.empty() ? "" : " ", "Default: ", schema["default"].dump(), ".");
  return text;
}

/// The keys of a value, in whatever of its forms.
void add_keys(std::ostringstream& out, const std::string& path, const Json& schema) {
  if (!schema.is_object()) return;  // a list of forms, none of which has keys
  const Json required = schema.value("required", Json::array());
  const Json keys = schema.value("properties", Json::object());
  for (const auto& [name, key] : keys.items()) {
    const std::string key_path = path.empty() ? name : absl::StrCat(path, ".", name);
    const bool is_required = std::find(required.begin(), required.end(), name) != required.end();
    const std::string values = values_of(key);
    out << ".TP\n.B " << roff(key_path) << '\n'
        << roff(key.value("description", "")) << (is_required ? " Required." : "") << (values.empty() ? "" : " ")
        << roff(values) << '\n';
    if (key_path != "defaults") add_keys(out, key_path, key);  // which has those of a service
  }
  if (schema.contains("items")) add_keys(out, absl::StrCat(path, "[]"), schema["items"]);
  const Json forms = schema.value("anyOf", Json::array());
  for (const Json& form : forms) add_keys(out, path, form);
  if (path.empty()) return;  // what keys need each other for
  const Json parts = schema.value("allOf", Json::array());
  for (const Json& part : parts) {
    const std::string pointer = part.value("$ref", "#").substr(1);
    if (!pointer.empty()) add_keys(out, path, Json::parse(config_schema())[Json::json_pointer(pointer)]);
  }
}

/// The command's options for a shell; whether a file's name may stand there, too.
std::string words_of(const CLI::App& command) {
  return absl::StrJoin(options_of(command), " ", [](std::string* out, const CLI::Option* option) {
    if (!option->get_positional()) absl::StrAppend(out, "--", option->get_lnames().at(0));
  });
}

}  // namespace

std::string commands_page(const CLI::App& app) {
  std::ostringstream out;
  add_head(out, "vipgate", "8", "a user-space gateway for virtual IPs");
  out << ".SH SYNOPSIS\n.B vipgate\n.I COMMAND\n[\\fIOPTION\\fR ...]\n.SH DESCRIPTION\n"
      << roff(
             "A VIP is an address that no network card owns: a TUN device has it, and vipgate, in user space, sends "
             "each port of it to "
             "the private host that serves it. Connections outlive card failures, restarts and upgrades.")
      << "\n.SH COMMANDS\n";
  for (const CLI::App* command : commands_of(app)) add_command(out, *command);
  out << ".SH EXIT STATUS\n"
      << roff(
             "0: done. 1: failed while starting or running. 2: wrong input, of the command line, a file or a "
             "capture. 3: of status --quiet, the gateway stands by.")
      << "\n.SH SIGNALS\n"
      << roff(
             "A running gateway reads its configuration again on SIGHUP, starts the installed program in its own place "
             "on SIGUSR2, "
             "without losing a packet, and ends on SIGINT and SIGTERM.")
      << "\n.SH FILES\n.TP\n.B /etc/vipgate/vipgate.json\nThe configuration.\n.TP\n.B /run/vipgate\n"
      << roff("Flows, and what was changed in the kernel, to be taken over by the next start.")
      << "\n.SH SEE ALSO\n.BR vipgate.json (5)\n";
  return out.str();
}

std::string config_page() {
  std::ostringstream out;
  const Json schema = Json::parse(config_schema());
  add_head(out, "vipgate.json", "5", "configuration of vipgate");
  out << ".SH DESCRIPTION\n"
      << roff(
             "JSON; // and /* */ comments are allowed. \"vipgate check\" reports every error at once, each with line, "
             "column and "
             "remedy. \"vipgate schema\" prints the JSON Schema, for editors that complete and check while one writes: "
             "name it in "
             "the key $schema.")
      << "\n.SH EXAMPLE\n.EX\n"
      << roff(R"({
  "$schema": "/usr/share/vipgate/schema.json",
  "tun": { "subnet": "203.0.113.8/29" },
  "vips": [ {
    "address": "203.0.113.10",
    "services": [
      { "name": "web", "protocol": "tcp", "port": 8080, "backends": [ { "address": "10.0.0.2", "port": 80 } ] }
    ]
  } ]
})") << "\n.EE\n.SH KEYS\n"
      << roff("Of lists, [] stands for each entry.") << '\n';
  add_keys(out, "", schema);
  out << ".SH SEE ALSO\n.BR vipgate (8)\n";
  return out.str();
}

std::string bash_completion(const CLI::App& app) {
  std::ostringstream out;
  out << "# bash completion for vipgate\n_vipgate() {\n  local word=${COMP_WORDS[COMP_CWORD]} words\n"
      << "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    words=\"";
  for (const CLI::App* command : commands_of(app)) out << command->get_name() << ' ';
  out << "--help --version\"\n  else\n    case ${COMP_WORDS[1]} in\n";
  for (const CLI::App* command : commands_of(app)) {
    out << "      " << command->get_name() << ") words=\"" << words_of(*command) << "\" ;;\n";
  }
  out << "    esac\n  fi\n  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n}\ncomplete -o default -F _vipgate "
         "vipgate\n";
  return out.str();
}

std::string zsh_completion(const CLI::App& app) {
  const auto quoted = [](const std::string& text) {
    return absl::StrReplaceAll(text, {{"'", "'\\''"}, {":", "\\:"}, {"[", "\\["}, {"]", "\\]"}});
  };
  std::ostringstream out;
  out << "#compdef vipgate\n_vipgate() {\n  local -a commands=(\n";
  for (const CLI::App* command : commands_of(app)) {
    out << "    '" << command->get_name() << ':' << quoted(command->get_description()) << "'\n";
  }
  out << "  )\n  if (( CURRENT == 2 )); then\n    _describe command commands\n    return\n  fi\n  case $words[2] in\n";
  for (const CLI::App* command : commands_of(app)) {
    out << "    " << command->get_name() << ") _arguments";
    for (const CLI::Option* option : options_of(*command)) {
      if (option->get_positional()) continue;
      out << " \\\n      '--" << option->get_lnames().at(0) << '[' << quoted(option->get_description()) << ']'
          << (is_flag(*option) ? "" : ": :_files") << '\'';
    }
    out << " \\\n      '*: :_files' ;;\n";
  }
  out << "  esac\n}\n_vipgate \"$@\"\n";
  return out.str();
}

}  // namespace vipgate
