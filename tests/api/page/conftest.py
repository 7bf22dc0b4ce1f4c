"""A real headless Chromium, and a server on a database as a finished campaign leaves it."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
import uvicorn
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait
from sqlalchemy import Engine

from api.app import create_app
from api.service import Access
from storage.candidates import NewCandidate, record_candidates
from storage.engine import open_database, transaction
from storage.tokens import NewToken, TokenRole, add_token

POOL = urllib3.PoolManager(retries=False)
PATIENCE = 60.0  # seconds, for a machine that is busy with other things
MANY = 120  # candidates beside those of the campaign: more than two pages
# WebGL without a GPU; a container's /dev/shm is too small for a browser.
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)


@dataclass(frozen=True)
class Site:
    """A server, its database, and a token of each role: its secret is the role behind `sluice_`."""

    url: str
    engine: Engine

    def ask(self, method: str, path: str, role: str | None = None, body: bytes | None = None, **headers: str) -> Any:
        """The response to a request."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if role is not None:
            sent["Authorization"] = f"Bearer sluice_{role}"
        return POOL.request(method, self.url + path, body=body, headers=sent, timeout=PATIENCE)


class Page:
    """A browser at a site."""

    def __init__(self, driver: webdriver.Chrome, site: Site) -> None:
        self.driver = driver
        self.site = site

    def open(self, place: str = "") -> None:
        """Go to a view, and wait for its heading."""
        self.driver.get("about:blank")
        self.driver.get(f"{self.site.url}/#/{place}")
        self.find("h1")

    def find(self, css: str, text: str = "") -> WebElement:
        """The first element that is shown and says so, once there is one."""
        return self.until(lambda: self._seen(css, text))

    def click(self, css: str, text: str = "") -> None:
        """Click the first such element, which may be drawn anew meanwhile."""
        self.until(lambda: self._seen(css, text) and (self._seen(css, text).click() or True))

    def text(self, css: str, text: str = "") -> str:
        """What the first such element says."""
        return str(self.until(lambda: (found := self._seen(css, text)) and found.text))

    def all(self, css: str) -> list[WebElement]:
        """All elements as they stand."""
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def _seen(self, css: str, text: str) -> Any:
        return next((each for each in self.all(css) if each.is_displayed() and text in each.text), None)

    def until(self, done: Callable[[], Any]) -> Any:
        """What is true at last."""
        wait = WebDriverWait(self.driver, PATIENCE, 0.1, ignored_exceptions=[StaleElementReferenceException])
        return wait.until(lambda driver: done())

    def texts(self, css: str) -> list[str]:
        """What all these elements say, read at one moment."""
        script = "return [...document.querySelectorAll(arguments[0])].map((each) => each.innerText)"
        return list(self.driver.execute_script(script, css))

    def size(self, width: int, height: int = 900) -> None:
        """Make the window as large as a phone or a screen."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def light(self, name: str) -> None:
        """Let the system prefer light or dark."""
        feature = {"name": "prefers-color-scheme", "value": name}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def complaints(self) -> list[str]:
        """What the browser itself has to say: errors of scripts, breaches of the policy, files that did not come."""
        return [entry["message"] for entry in self.driver.get_log("browser") if "favicon" not in entry["message"]]


@contextmanager
def served(engine: Engine, access: Access | None = None) -> Iterator[Site]:
    """A server on a free port."""
    config = uvicorn.Config(create_app(engine, access), log_config=None, access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Site(f"http://127.0.0.1:{listener.getsockname()[1]}", engine)
        finally:
            server.should_exit = True
            thread.join()


def predicted(number: int) -> dict[str, tuple[float, float]]:
    """What is predicted of one of many."""
    return {"band_gap": (number / 40, 0.1), "e_above_hull": (number / 10, 0.02)}


@pytest.fixture
def engine(screened: Path, tmp_path: Path) -> Iterator[Engine]:
    """The campaign's database with more candidates, and a token of each role."""
    engine = open_database(str(shutil.copy(screened, tmp_path / "page.db")))
    with transaction(engine) as session:
        for role in TokenRole:
            add_token(session, f"sluice_{role}", NewToken(role, role), time.time())
        rows = [
            NewCandidate(f"Na{number}Cl", ("Cl", "Na"), -number / 10, predicted(number))
            for number in range(2, 2 + MANY)
        ]
        record_candidates(session, 1, 1, rows)
    yield engine
    engine.dispose()


@pytest.fixture
def site(engine: Engine) -> Iterator[Site]:
    """A server that asks for tokens."""
    with served(engine, Access(rate=1e6)) as site:
        yield site


@pytest.fixture
def open_site(engine: Engine) -> Iterator[Site]:
    """A server that trusts this machine."""
    with served(engine, Access(insecure_loopback=True, rate=1e6)) as site:
        yield site


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    """Chromium; skips where there is none, but fails in CI."""
    programs = shutil.which("chromium"), shutil.which("chromedriver")
    try:
        driver = _started(*programs)
    except (OSError, WebDriverException) as exc:
        missing = f"chromium and chromedriver do not start here: {exc}"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    yield driver
    driver.quit()


def _started(chromium: str | None, chromedriver: str | None) -> webdriver.Chrome:
    if chromium is None or chromedriver is None:
        raise FileNotFoundError("one of them is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for option in OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))


@pytest.fixture
def page(browser: webdriver.Chrome, open_site: Site) -> Iterator[Page]:
    """A browser at a server that trusts it; at the end it has nothing to complain of."""
    page = _fresh(browser, open_site)
    yield page
    assert page.complaints() == []


@pytest.fixture
def locked(browser: webdriver.Chrome, site: Site) -> Page:
    """A browser at a server that asks who it is."""
    return _fresh(browser, site)


def _fresh(browser: webdriver.Chrome, site: Site) -> Page:
    page = Page(browser, site)
    browser.delete_all_cookies()
    page.size(1280)
    page.light("light")
    page.complaints()
    return page
