"""Completion for shells: a script with all commands, options and names of values in it.

The script runs no Python, so a shell answers at once: typer's own asks the program at every key, which takes
this one 300 ms of processor time. What it knows is that of the version that wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgeroberta.errors import UsageError, did_you_mean

PROGRAM = "edgeroberta"


@dataclass(frozen=True)
class OptionFacts:
    """An option, or with no names the argument of a command."""

    names: tuple[str, ...]
    help: str
    takes_value: bool
    values: tuple[str, ...]  # names that its value may be; none where it is a file, a number or a text


@dataclass(frozen=True)
class CommandFacts:
    """A command, or with no name the program itself."""

    name: str
    help: str
    options: tuple[OptionFacts, ...]
    values: tuple[str, ...]  # names that its first argument may be


def script(shell: str) -> str:
    """Write the script for a shell. Raises UsageError: there is none for it."""
    make = SHELLS.get(shell)
    if make is None:
        hint = did_you_mean(shell, SHELLS) or f"one of {', '.join(SHELLS)}"
        raise UsageError(f"there is no completion for {shell!r}", where="--show-completion", hint=hint)
    return make(_commands())


def _commands() -> list[CommandFacts]:
    """Read all commands as typer has them; the first is the program itself."""
    import typer.main

    from edgeroberta import cli

    group: Any = typer.main.get_command(cli.application())
    known = _values()
    return [
        _command("", group, known),
        *(_command(name, each, known) for name, each in group.commands.items()),
    ]


def _values() -> dict[str, tuple[str, ...]]:
    """Return the names that values of options and arguments may have, by the options' names."""
    from edgeroberta import extras, targets
    from edgeroberta.annotation.filtering import OnError
    from edgeroberta.annotation.formats import Format
    from edgeroberta.runtime.longtexts import LongText
    from edgeroberta.runtime.session import ENGINES
    from edgeroberta.tasks.entities import AGGREGATIONS

    recipes: tuple[str, ...] = ()
    if not extras.missing("compress"):
        from edgeroberta import recipe

        recipes = recipe.names()
    formats, engines = tuple(map(str, Format)), tuple(ENGINES)
    return {
        "--recipe": recipes, "recipe": recipes, "--target": targets.names(), "--engine": engines,
        "--engines": engines, "--format": formats,
        "--output-format": tuple(each for each in formats if each != Format.TXT),
        "--on-error": tuple(map(str, OnError)), "--long-text": tuple(map(str, LongText)),
        "--aggregation": tuple(AGGREGATIONS), "--show-completion": tuple(SHELLS),
    }  # fmt: skip


def _command(name: str, command: Any, known: Mapping[str, tuple[str, ...]]) -> CommandFacts:
    options: list[OptionFacts] = []
    values: tuple[str, ...] = ()
    for each in command.params:
        if each.param_type_name == "argument":
            values = values or known.get(each.name, ())
            continue
        names = tuple(each.opts)
        found = next((known[option] for option in names if option in known), ())
        options.append(OptionFacts(names, _first(each.help), not each.is_flag, found))
    options.append(OptionFacts(("--help",), "Show the options, and stop.", False, ()))
    return CommandFacts(name, _first(command.help), tuple(options), values)


def _first(text: str | None) -> str:
    """Return the first sentence of a help text, on one line."""
    return " ".join((text or "").split("\n\n")[0].split()).partition(". ")[0].rstrip(".")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _cases(commands: Sequence[CommandFacts], mark: str) -> list[tuple[str, tuple[str, ...]]]:
    """List ``command --option`` with the names that follow it; files where there are none."""
    found = []
    for command in commands:
        for option in command.options:
            if option.takes_value:
                found.append(
                    ("|".join(f'"{command.name}{mark}{name}"' for name in option.names), option.values)
                )
    return found


def _bash(commands: Sequence[CommandFacts]) -> str:
    """Write a function for ``complete -F``, for bash 4 and later."""
    names = " ".join(each.name for each in commands[1:])
    followed = "\n".join(
        f'    {case}) _{PROGRAM}_names "{" ".join(values)}"; return ;;'
        if values
        else f"    {case}) return ;;"
        for case, values in _cases(commands, " ")
    )
    options = "\n".join(
        f'    "{each.name}") options="{" ".join(name for option in each.options for name in option.names)}"'
        f' values="{" ".join(each.values)}" ;;'
        for each in commands
    )
    return f'''# Completion of {PROGRAM} for bash, written by: {PROGRAM} --show-completion bash
_{PROGRAM}_names() {{
  COMPREPLY=($(compgen -W "$1" -- "$word"))
}}
_{PROGRAM}() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" command="" options values i
  # bash takes = for a word of its own.
  if [[ $before == "=" ]]; then before="${{COMP_WORDS[COMP_CWORD-2]}}"; fi
  if [[ $word == "=" ]]; then word=""; fi
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case " {names} " in *" ${{COMP_WORDS[i]}} "*) command="${{COMP_WORDS[i]}}"; break ;; esac
  done
  case "$command $before" in
{followed}
  esac
  case "$command" in
{options}
  esac
  if [[ $word == -* ]]; then
    _{PROGRAM}_names "$options"
  elif [[ -z $command ]]; then
    _{PROGRAM}_names "{names}"
  elif [[ -n $values ]]; then
    _{PROGRAM}_names "$values"
  fi
}}
complete -o bashdefault -o default -F _{PROGRAM} {PROGRAM}
'''


def _zsh(commands: Sequence[CommandFacts]) -> str:
    """Write a function for zsh's ``compsys``, with what options mean."""

    def described(pairs: Sequence[tuple[str, str]]) -> str:
        return " ".join(_quoted(f"{name}:{text}" if text else name) for name, text in pairs)

    names = described([(each.name, each.help) for each in commands[1:]])
    followed = "\n".join(
        f"    ({case}) compadd -- {' '.join(values)}; _files; return ;;"
        if values
        else f"    ({case}) _files; return ;;"
        for case, values in _cases(commands, " ")
    )
    options = "\n".join(
        f'    ("{each.name}") options=('
        + described([(name, option.help) for option in each.options for name in option.names])
        + f") values=({' '.join(each.values)}) ;;"
        for each in commands
    )
    return f"""#compdef {PROGRAM}
# Completion of {PROGRAM} for zsh, written by: {PROGRAM} --show-completion zsh
_{PROGRAM}() {{
  local command="" each before="${{words[CURRENT-1]}}"
  local -a commands options values
  commands=({names})
  for each in "${{(@)words[2,CURRENT-1]}}"; do
    if (( ${{commands[(I)$each:*]}} )); then command="$each"; break; fi
  done
  case "$command $before" in
{followed}
  esac
  case "$command" in
{options}
  esac
  if [[ "${{words[CURRENT]}}" == -* ]]; then
    _describe -o option options
  elif [[ -z "$command" ]]; then
    _describe command commands
  elif (( $#values )); then
    compadd -- $values
  else
    _files
  fi
}}
if [[ "$funcstack[1]" == "_{PROGRAM}" ]]; then
  _{PROGRAM} "$@"
else
  compdef _{PROGRAM} {PROGRAM}
fi
"""


def _fish(commands: Sequence[CommandFacts]) -> str:
    """Write a line for each command and option, as fish has them."""
    lines = [
        f"# Completion of {PROGRAM} for fish, written by: {PROGRAM} --show-completion fish",
        f"complete -c {PROGRAM} -e",
    ]
    for command in commands:
        seen = f"'__fish_seen_subcommand_from {command.name}'" if command.name else "__fish_use_subcommand"
        if command.name:
            told = f"-a {command.name} -d {_fished(command.help)}"
            lines.append(f"complete -c {PROGRAM} -f -n __fish_use_subcommand {told}")
        if command.values:
            lines.append(f"complete -c {PROGRAM} -f -n {seen} -a {_fished(' '.join(command.values))}")
        for option in command.options:
            flags = " ".join(
                f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names
            )
            value = ""
            if option.takes_value:
                value = f" -x -a {_fished(' '.join(option.values))}" if option.values else " -r -F"
            lines.append(f"complete -c {PROGRAM} -n {seen} {flags}{value} -d {_fished(option.help)}")
    return "\n".join(lines) + "\n"


def _fished(text: str) -> str:
    """Quote a text for fish, where a backslash escapes within single quotes, too."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
