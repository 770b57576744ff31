"""Builds what a Hugging Face Space would start, and uses it: `python tests/space.py`.

For Python 3.10 and the version of the README's front matter, where they can be had, a virtual
environment gets gradio at the front matter's `sdk_version` and the requirements; in a copy of
what git has, the front matter's `app_file` is started in it as a Space starts it, and a client
uses the endpoints. Takes minutes and gigabytes. Exits 1 where a version fails.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]

USE = """
import sys
from gradio_client import Client, handle_file
client = Client(sys.argv[1], verbose=False)
seven = [[[0, 0], [1, 0], [0.3, 2]]]
photo = handle_file("assets/examples/ship.jpg")
assert client.predict(seven, api_name="/classify_digit")["label"] == "7"
assert client.predict(photo, api_name="/classify_photo")["label"] == "ship"
opinions = client.predict(seven, None, api_name="/probabilities")
network = next(iter(opinions))
stages = client.predict(network, api_name="/network_stages")
assert client.predict(stages[1]["name"], seven, None, network, api_name="/feature_maps")
assert len(client.view_api(return_format="dict")["named_endpoints"]) >= 7
"""


def front_matter() -> dict[str, str]:
    """What the README tells a Space."""
    block = (ROOT / "README.md").read_text(encoding="utf-8").split("---")[1]
    return dict(re.findall(r'^(\w+): "?([^"\n]+)"?$', block, re.MULTILINE))


def used(python: str, space: dict[str, str], folder: Path) -> bool:
    """Build a Space with that Python, start it and use it; says whether all went well."""
    clone, python_there = folder / "space", str(folder / "venv/bin/python")
    install = [python_there, "-m", "pip", "install", "-q"]
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    subprocess.run([python, "-m", "venv", str(folder / "venv")], check=True)
    subprocess.run([*install, f"gradio=={space['sdk_version']}"], check=True)
    subprocess.run([*install, "-r", str(clone / "requirements.txt")], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {
        **os.environ,
        **{"SPACE_ID": "a/space", "CPU_CORES": "2", "GRADIO_SERVER_NAME": "0.0.0.0"},
        **{"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(folder / "uploads")},
    }
    app = subprocess.Popen([python_there, space["app_file"]], cwd=clone, env=place)
    try:
        for _ in range(120):
            with socket.socket() as knock:
                if app.poll() is not None or knock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(1)
        asked = [python_there, "-c", USE, f"http://127.0.0.1:{port}"]
        return app.poll() is None and subprocess.run(asked, cwd=clone).returncode == 0
    finally:
        app.terminate()
        app.wait()


def _python(version: str) -> str | None:
    """Where a Python is; what only stands for one that is not there, as pyenv's shims, is none."""
    found = shutil.which(f"python{version}")
    if found and subprocess.run([found, "--version"], capture_output=True).returncode == 0:
        return found
    return None


def main() -> int:
    space = front_matter()
    failed = []
    for version in ("3.10", space["python_version"]):
        python = _python(version)
        if python is None:
            print(f"Python {version} is not here")
            continue
        with tempfile.TemporaryDirectory() as folder:
            well = used(python, space, Path(folder))
        print(f"Python {version}, gradio {space['sdk_version']}: {'well' if well else 'failed'}")
        failed += [] if well else [version]
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
