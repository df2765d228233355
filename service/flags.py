"""The settings as flags and variables give them, and what is said of those that are wrong."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from pydantic import ValidationError
from pydantic_settings import CliApp, CliSettingsSource, SettingsError

from service.reasons import Fault, did_you_mean, faults
from service.settings import Settings

PREFIX = "SEQSERVE_"
COMMAND = "python -m service"
OF_OTHERS = re.compile(r"DATA_DIR|SERVICE_(HOST|PORT)\w*|PORT_\d+_\w+")
"""Variables that are no settings: training's, and what Kubernetes makes of a service's name."""

GROUPS: dict[str, list[str]] = {
    "first": [
        "host", "port", "uds", "grpc_port", "repository", "poll_repository_s", "api_keys",
        "tls_certificate", "tls_key", "tls_client_ca", "workers", "engine_threads", "precision",
        "request_timeout_s", "log_level", "access_log",
    ],
    "where models come from, and who may change them": [
        "repository_options", "cache_dir", "trusted_keys", "require_signature",
        "allow_model_control", "strict_readiness", "max_models", "max_models_bytes",
        "max_upload_bytes",
    ],
    "how models run": [
        "pin_threads", "max_batch_size", "max_decoding_rows", "max_run_ms", "chunk_steps",
        "max_padding_ratio", "max_active_sequences", "calibration_ms", "max_graph_bytes",
        "max_hang_s", "quarantine_s", "cache_bytes",
    ],
    "what clients may ask and hold": [
        "max_queue_size", "max_queue_cells", "max_refusals_per_s", "max_request_sequences",
        "max_body_bytes", "inline_body_bytes", "max_bodies_bytes", "max_memory_bytes",
        "max_header_bytes", "max_rpcs", "max_connections", "keep_alive_s", "head_timeout_s",
        "transfer_timeout_s", "cors_origins", "allowed_hosts", "pages",
    ],
    "stopping": ["drain_delay_s", "shutdown_timeout_s"],
    "traces and drift": [
        "otlp_endpoint", "trace_sample_ratio", "input_sample_share", "input_window",
    ],
}  # fmt: skip
"""What `--help` shows, in this order; a field that is not here comes last, under `others`."""

METAVARS = {"_s": "SECONDS", "_ms": "MS", "_bytes": "BYTES"}
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def read_settings(flags: list[str]) -> Settings:
    """The settings by these flags and, where there is none, by the environment.

    Raises:
        ValueError: One is not as it should be; a line for each.
        SystemExit: Help was asked for, or a flag is unknown.
    """
    try:
        return CliApp.run(Settings, flags, cli_settings_source=_source())
    except ValidationError as error:
        secret = [name for name, field in Settings.model_fields.items() if not field.repr]
        lines = [_line(fault, flags) for fault in faults(error, Settings, secret)]
        raise ValueError("\nbad setting: ".join(lines)) from None
    except SettingsError as error:
        raise ValueError(_of_source(error)) from None


def unknown_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that look like settings and are none, each with a hint to the one that is near."""
    settings = [name.upper() for name in Settings.model_fields]
    ours = {
        name: name.upper().removeprefix(PREFIX)
        for name in sorted(environment)
        if name.upper().startswith(PREFIX)
    }
    return {
        name: did_you_mean(short, settings).replace("; did you mean ", f"did you mean {PREFIX}")
        for name, short in ours.items()
        if short not in settings and not OF_OTHERS.fullmatch(short)
    }


def _line(fault: Fault, flags: list[str]) -> str:
    """One wrong setting, and where it was given."""
    if not fault.field:
        return fault.message
    name = re.split(r"[.\[]", fault.field)[0]
    flag, variable = _flag(name), f"{PREFIX}{name.upper()}"
    if any(given.partition("=")[0] == flag for given in flags):
        return f"{fault.field} {fault.message} ({flag})"
    hint = ""
    if os.environ.get(variable, "").startswith("tcp://"):
        hint = (
            ": Kubernetes sets it for a service of the name seqserve; enableServiceLinks: false in "
            f"the pod keeps it away, and {flag} goes before it"
        )
    return f"{fault.field} {fault.message} ({variable}{hint})"


def _of_source(error: SettingsError) -> str:
    """What is wrong with a value that is to be JSON."""
    found = re.search(r'(?:field "|encountered for )(\w+)', str(error))
    if found is None:
        return str(error).splitlines()[0]
    name = found[1]
    return f"{name} is not JSON ({_flag(name)} or {PREFIX}{name.upper()})"


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in a line, not in the usage of all flags."""

    def error(self, message: str) -> NoReturn:
        """End with 2."""
        _, found, unknown = message.partition("unrecognized arguments: ")
        if found:
            known = [name for name in self._option_string_actions if name.startswith("--")]
            name = unknown.split()[0].partition("=")[0]
            message = f"{name} is unknown{did_you_mean(name, known)}"
        sys.stderr.write(f"bad setting: {message} (`{COMMAND} --help` lists all)\n")
        sys.exit(2)


def _source() -> CliSettingsSource[Settings]:
    """Reads flags, as the parser's groups show them."""
    parser = _Parser(
        COMMAND,
        usage=f"{COMMAND} [--FLAG VALUE]...",
        description="Serve sequence models over HTTP. Every flag is also an environment variable, "
        "SEQSERVE_HOST for --host; a flag wins.",
        allow_abbrev=False,
    )
    options: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {}

    def collect(_: object, *names: str, **options_of: Any) -> None:
        options[options_of["dest"]] = names, options_of

    source: CliSettingsSource[Settings] = CliSettingsSource(
        Settings, root_parser=parser, add_argument_method=collect
    )
    grouped = {name for names in GROUPS.values() for name in names}
    others = [name for name in options if name not in grouped]
    for title, names in (GROUPS | {"others": others}).items():
        group = parser.add_argument_group(title)
        for name in names:
            flags, kept = options[name]
            group.add_argument(*flags, **kept | _shown(name))
    return source


def _shown(name: str) -> dict[str, Any]:
    """How the help shows a setting."""
    field = Settings.model_fields[name]
    kind = str(field.annotation)
    options: dict[str, Any] = {"metavar": "N"}
    if "bool" in kind:
        options = {"metavar": "true|false", "nargs": "?", "const": "true"}
    elif "Literal" in kind:
        options["metavar"] = "|".join(re.findall(r"'(\w+)'", kind))
    elif "dict" in kind or "list" in kind:
        options["metavar"] = "JSON"
    elif "Path" in kind:
        options["metavar"] = "PATH"
    elif "str" in kind:
        options["metavar"] = "TEXT"
    else:
        unit = re.search("_(s|ms|bytes)$", name)
        options["metavar"] = METAVARS[unit[0]] if unit and not name.endswith("per_s") else "N"
    default = field.get_default(call_default_factory=False)
    text = str(field.description).replace("%", "%%")
    if default not in (None, [], {}):
        text += f" (default: {_readable(name, default)})"
    return options | {"help": text}


def _readable(name: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and name.endswith("_bytes"):
        for unit, size in reversed(UNITS.items()):
            if value >= size and value % size == 0:
                return f"{value}, {value // size} {unit}"
    return f"{value:g}" if isinstance(value, float) else str(value)
