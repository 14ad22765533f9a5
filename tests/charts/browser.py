"""A page in a headless browser: what it draws, what it says on the console, whom it asks."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True)
class Seen:
    """The drawn page, its lines on the console, and the addresses that it asked for."""

    dom: str
    console: list[str]
    requested: list[str]


def find_browser() -> str | None:
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def see(browser: str, page: Path, scratch: Path) -> Seen:
    """`page` opened from disk without a network, its requests written down in `scratch`."""
    log = scratch / "requests.json"
    command = [
        *(browser, "--headless", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--proxy-server=127.0.0.1:9", f"--log-net-log={log}", "--enable-logging=stderr"),
        *("--virtual-time-budget=20000", f"--user-data-dir={scratch / 'profile'}"),
        *("--dump-dom", page.as_uri()),
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.insert(1, "--no-sandbox")  # Chromium's sandbox refuses to run as root
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Seen(done.stdout, console, _asked(log))


def _asked(log: Path) -> list[str]:
    """The addresses that a page asked for; what the browser asks of its own has no origin."""
    events = [event.get("params", {}) for event in json.loads(log.read_text())["events"]]
    return [
        event["url"]
        for event in events
        if "url" in event and event.get("initiator", "not an origin") != "not an origin"
    ]
