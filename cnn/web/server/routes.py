"""What may be asked of the server: an allow-list of routes, and the form of a request's body."""

import json
import re
from collections.abc import Set
from pathlib import Path

from gradio import Blocks
from gradio.utils import get_upload_folder
from python_multipart.multipart import parse_options_header

API = "/gradio_api"
FILE = f"{API}/file="
UPLOAD = f"{API}/upload"
DRAWING = "/predictions/drawing"
SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
PAGES = {"/", "/config", "/config/"}  # each takes as long to build as thirty drawings

_NAME = r"[\w.-]+"
_GET = re.compile(
    r"/|/config/?|/healthz|/theme\.css|/favicon\.ico|/robots\.txt|/manifest\.json|/pwa_icon"
    r"|/(static|assets|svelte)/.+"
    rf"|{API}/(info/?|openapi\.json|app_id/?|startup-events|theme\.css)"
    rf"|{API}/(heartbeat/{SESSION.pattern}|queue/data|queue/status|upload_progress)"
    rf"|{API}/call/(v2/)?{_NAME}/{_NAME}"
)
_POST = re.compile(
    rf"{API}/(queue/join|cancel|upload|component_server/?|reset/?)"
    rf"|{API}/(run|api|call|call/v2)/{_NAME}/?"
    rf"|{DRAWING}"
)
_LARGEST_NUMBER = 10**9
MAX_NAME = 255  # bytes between two slashes of a path: no file has a longer name
MAX_BOUNDARY = 200  # bytes; browsers use about 40


def is_served(method: str, path: str) -> bool:
    """Return whether the page uses a route. A file must lie in the folder of uploads.

    Without this Gradio fetches `file=https://...` from there and serves it as its own.
    """
    if method not in ("GET", "HEAD", "POST"):
        return False
    if any(len(name.encode(errors="replace")) > MAX_NAME for name in path.split("/")):
        return False
    if method == "POST":
        return bool(_POST.fullmatch(path))
    if path.startswith(FILE):
        return _is_upload(path.removeprefix(FILE))
    return bool(_GET.fullmatch(path))


def _is_upload(path: str) -> bool:
    try:
        return Path(path).resolve().is_relative_to(Path(get_upload_folder()).resolve())
    except (OSError, ValueError):  # too long, or with a null byte
        return False


def parse_object(body: bytes) -> dict | None:
    """Return the JSON object that a body holds; None if it holds none."""
    try:
        message = json.loads(body, parse_int=_integer, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def _integer(text: str) -> int:
    """Read an integer that an answer can hold too: Gradio writes 64 bits at most."""
    number = int(text)
    if number.bit_length() >= 64:
        raise ValueError("an integer of more than 64 bits")
    return number


def _refuse_constant(name: str) -> None:
    """Refuse NaN and Infinity, which JSON does not have."""
    raise ValueError(f"{name} is no number of JSON")


def describe_error(message: dict, body: bytes, path: str, blocks: Blocks) -> str | None:
    """Return what is wrong with a JSON object, as a sentence; None if Gradio can read it.

    `body` is what it was parsed from. Gradio raises `KeyError`, `TypeError` and others for these,
    which are errors of the server.
    """
    session = message.get("session_hash")
    if not (session is None or isinstance(session, str) and SESSION.fullmatch(session)):
        return "session_hash must be 1 to 64 letters, digits, - or _."
    for name in ("event_id", "trigger_id", "fn_name"):
        if isinstance(message.get(name), (list, dict, bool)):
            return f"{name} has the wrong type."
    if not isinstance(message.get("event_data"), dict | None):
        return "event_data must be an object."
    if (b'"path"' in body or b"\\u" in body) and not _names_uploads(message):
        return "A file must be uploaded first."
    if path.startswith(f"{API}/component_server"):
        return _component_error(message, blocks)
    return _function_error(message, path, blocks)


def _names_uploads(value: object) -> bool:
    """Return whether each file that a value names is an upload; Gradio would fetch others."""
    if isinstance(value, list):
        return all(map(_names_uploads, value))
    if not isinstance(value, dict):
        return True
    path = value.get("path")
    if "path" in value and path is not None and not (isinstance(path, str) and _is_upload(path)):
        return False
    return all(map(_names_uploads, value.values()))


def _component_error(message: dict, blocks: Blocks) -> str | None:
    number, name = message.get("component_id"), message.get("fn_name")
    if message.get("session_hash") is None or "data" not in message:
        return "session_hash and data must be given."
    if not _is_number(number) or not isinstance(name, str):
        return "component_id must be a number and fn_name a text."
    functions = {
        function.__name__ for function in getattr(blocks.blocks.get(number), "server_fns", [])
    }
    return None if name in functions else "There is no such server function."


def _function_error(message: dict, path: str, blocks: Blocks) -> str | None:
    number, data = message.get("fn_index"), message.get("data")
    if number is not None and not (_is_number(number) and number in blocks.fns):
        return "There is no function of that fn_index."
    if path == f"{API}/queue/join" and number is None:
        return "fn_index must be given."
    if path.startswith((f"{API}/cancel", f"{API}/reset", f"{API}/call/v2")):
        return None
    if not isinstance(data, list):
        return "data must be a list."
    function = blocks.fns.get(number) or _by_api_name(path, blocks)
    if function is None:
        return "There is no endpoint of that name."
    if len(data) > len(function.inputs):
        return f"data must hold at most {len(function.inputs)} values."
    is_call = path.startswith(f"{API}/call/")  # where Gradio adds the session's values
    needed = sum(not (is_call and block.skip_api) for block in function.inputs)
    return None if len(data) >= needed else f"data must hold {needed} values."


def _by_api_name(path: str, blocks: Blocks):
    name = path.rstrip("/").rsplit("/", 1)[-1]
    return next((fn for fn in blocks.fns.values() if fn.api_name == name), None)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST_NUMBER


def session_of(message: dict, path: str) -> str | None:
    """Return whom a message names as its sender: a session, or by its token the pad of one."""
    name = message.get("token" if path == DRAWING else "session_hash")
    return name if isinstance(name, str) and SESSION.fullmatch(name) else None


def parts_mark(content_type: str) -> bytes:
    """Return what stands before each part of a form; a `ValueError` says that it is not one."""
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= MAX_BOUNDARY:
        raise ValueError("no multipart/form-data with a boundary")
    return b"--" + boundary


def is_allowed_host(host: str, allowed: Set[str]) -> bool:
    """Return whether a `Host` header names this machine or an allowed host.

    Another name that leads to 127.0.0.1 belongs to a page that attacks by DNS rebinding.
    """
    name = re.sub(r":\d+$", "", host).strip("[]").lower().rstrip(".")
    return name in {"localhost", "127.0.0.1", "::1", *allowed} or name.endswith(".localhost")
