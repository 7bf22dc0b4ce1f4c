"""Who may look at the page, and what its server lets a browser do."""

import json
import re
from hashlib import sha256
from pathlib import Path

import pytest

import api.page.routes
from storage.engine import transaction
from storage.tokens import revoke_token

FOLDER = Path(api.page.routes.__file__).parent
COOKIE = re.compile(r"(sluice_\d+)=([^;]+); HttpOnly; Path=/; SameSite=strict")
SPEC = json.dumps({"source": {"kind": "list", "formulas": ["CsI"]}}).encode()


def signed_in(site, role: str = "run") -> str:
    body = json.dumps({"token": f"sluice_{role}"}).encode()
    response = site.ask("POST", "/page/session", body=body, Content_Type="application/json", Origin=site.url)
    assert response.status == 204, response.data
    found = COOKIE.fullmatch(response.headers["set-cookie"])
    assert found is not None, response.headers["set-cookie"]
    return f"{found[1]}={found[2]}"


def test_the_frame_tells_nothing_and_runs_only_its_own_scripts(site) -> None:
    response = site.ask("GET", "/")
    assert response.status == 200
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self' 'sha256-")
    assert "unsafe" not in policy
    assert "GaAs" not in response.data.decode()


@pytest.mark.parametrize("path", ["/page/context", "/v1/candidates/points?x=band_gap&y=score"])
def test_nothing_is_told_without_a_token(site, path: str) -> None:
    assert site.ask("GET", path).status == 401
    assert site.ask("GET", path, "read").status == 200


def test_a_cookie_opens_what_its_token_opens_until_that_is_revoked(site) -> None:
    cookie = signed_in(site, "read")
    assert site.ask("GET", "/page/context", Cookie=cookie).json()["may_run"] is False
    headers = {"Cookie": cookie, "Origin": site.url, "Content_Type": "application/json"}
    assert site.ask("POST", "/v1/campaigns", body=SPEC, **headers).status == 403
    with transaction(site.engine) as session:
        revoke_token(session, 1, now=0.0)
    assert site.ask("GET", "/page/context", Cookie=cookie).status == 401


@pytest.mark.parametrize("headers", [{"Origin": "http://127.0.0.1:1"}, {"Sec_Fetch_Site": "same-site"}])
def test_a_page_of_another_site_can_do_nothing_with_the_cookie(site, headers: dict[str, str]) -> None:
    cookie = signed_in(site)
    sent = {"Cookie": cookie, "Content_Type": "application/json", **headers}
    assert site.ask("POST", "/v1/campaigns", body=SPEC, **sent).json()["type"] == "urn:sluice:alien-site"
    assert site.ask("DELETE", "/page/session", **sent).status == 403
    own = {**sent, "Origin": site.url, "Sec_Fetch_Site": "same-origin"}
    assert site.ask("POST", "/v1/campaigns", body=SPEC, **own).status == 201


def test_a_wrong_token_gives_no_cookie(site) -> None:
    body = json.dumps({"token": "sluice_guessed"}).encode()
    response = site.ask("POST", "/page/session", body=body, Content_Type="application/json", Origin=site.url)
    assert response.status == 401
    assert "set-cookie" not in response.headers


def test_signing_out_forgets_the_cookie(site) -> None:
    response = site.ask("DELETE", "/page/session", Cookie=signed_in(site), Origin=site.url)
    assert response.status == 204
    assert "Max-Age=0" in response.headers["set-cookie"]


def test_all_that_the_page_needs_comes_from_this_server(site) -> None:
    own = [path for path in FOLDER.rglob("*") if path.suffix in (".js", ".css", ".html", ".svg")]
    written = [path for path in own if path.parent.name != "vendored"]
    assert len(written) > 10
    for path in written:
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert re.search(r"(https?|wss?)://|[\"'(]//", text) is None, path
    for path in own:
        if path.parent != FOLDER:
            response = site.ask("GET", f"/page/{path.relative_to(FOLDER)}")
            assert response.status == 200
            assert response.headers["x-content-type-options"] == "nosniff"


def test_what_others_wrote_is_what_they_published() -> None:
    listed = dict(
        re.findall(r"^\| `(\S+\.js)` .*`([0-9a-f]{64})` \|$", (FOLDER / "vendored/README.md").read_text(), re.M)
    )
    assert listed == {path.name: sha256(path.read_bytes()).hexdigest() for path in (FOLDER / "vendored").glob("*.js")}
