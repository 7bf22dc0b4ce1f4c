"""Every view in a real browser: opened, used, looked at."""

import time
from itertools import product
from pathlib import Path

import pytest
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from scheduler.campaigns import create_campaign
from scheduler.spec import parse_spec
from storage.campaigns import move_campaign, read_campaign
from storage.engine import reading, transaction
from storage.states import CampaignState

PLACES = ("campaigns", "campaign/1", "candidates", "candidate/1", "scatter", "new")
ROWS = ".candidates tbody tr"
DROP = """
const dropped = new DataTransfer();
dropped.items.add(new File([arguments[1]], "spec.toml"));
arguments[0].dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true }));
"""


def begun(site) -> int:
    """A campaign that runs, though nobody works on it."""
    spec = parse_spec({"name": "salts", "source": {"kind": "list", "formulas": ["NaCl", "KCl"]}}, "here")
    return create_campaign(site.engine, spec)


def state_of(site, campaign_id: int) -> CampaignState:
    with reading(site.engine) as session:
        return read_campaign(session, campaign_id).state


def candidate(page, formula: str) -> int:
    rows = page.site.ask("GET", f'/v1/candidates?filter=formula="{formula}"').json()["data"]
    return int(rows[0]["id"])


def typed(field, text: str) -> None:
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(text)


def test_only_a_known_token_comes_in(locked) -> None:
    locked.open()
    assert "Sign in" in locked.text("h1")
    locked.find("input[name=token]").send_keys("sluice_guessed", Keys.ENTER)
    locked.find(".problem", "not known")
    typed(locked.find("input[name=token]"), "sluice_read")
    locked.click("form button")
    locked.find("h1", "Campaigns")
    assert locked.driver.execute_script("return document.cookie") == ""  # which no script reads
    locked.open("new")
    locked.find(".problem", "may look, not run")
    locked.click("header button", "Sign out")
    locked.find("h1", "Sign in")


def test_campaigns_are_paused_resumed_and_cancelled(page) -> None:
    campaign_id = begun(page.site)
    page.open("campaigns")
    page.find("article a", "tellurides")
    mine = f"[data-campaign='{campaign_id}'] "
    page.click(mine + "button", "Pause")
    page.find(mine + ".badge", "paused")
    assert state_of(page.site, campaign_id) == CampaignState.PAUSED
    page.click(mine + "button", "Resume")
    page.find(mine + ".badge", "running")
    page.click(mine + "button", "Cancel")
    page.until(lambda: page.driver.switch_to.alert).dismiss()
    assert state_of(page.site, campaign_id) == CampaignState.RUNNING
    page.click(mine + "button", "Cancel")
    page.until(lambda: page.driver.switch_to.alert).accept()
    page.find(mine + ".badge", "cancelled")
    assert state_of(page.site, campaign_id) == CampaignState.CANCELLED


def test_a_campaign_is_watched_live(page) -> None:
    campaign_id = begun(page.site)
    page.open(f"campaign/{campaign_id}")
    page.find(".badge.running")
    with transaction(page.site.engine) as session:
        assert move_campaign(session, campaign_id, CampaignState.DONE, time.time())
    page.find(".badge.done")  # nobody loaded the page anew


def test_a_campaign_shows_its_funnel_and_origin(page) -> None:
    page.open("campaign/1")
    assert "6 of 6 · 5 survived · 1 rejected" in page.text("[data-stage=predict]")
    assert "8 lines: 6 unique, 1 invalid, 1 duplicate" in page.text("main")
    assert '"top": 2' in page.text("pre")
    page.click("a.button", "Candidates")
    page.find("h1", "Candidates")
    page.until(lambda: page.find("select[name=campaign]").get_attribute("value") == "1")


def test_candidates_are_filtered_sorted_and_turned_page_by_page(page) -> None:
    page.open("candidates")
    page.find("[role=status]", "125 candidates")
    first = page.texts(ROWS + " td:first-child")
    assert len(first) == 50 and first[0] == "GaAs"
    page.click("button", "Next")
    page.find(".small", "rows 51–100")
    second = page.texts(ROWS + " td:first-child")
    assert not set(first) & set(second)
    page.click("button", "Previous")
    page.find(".small", "rows 1–50")
    assert page.texts(ROWS + " td:first-child") == first
    page.find("input[name=filter]").send_keys('band_gap > 1.1 AND NOT elements HAS "Na"', Keys.ENTER)
    page.find("[role=status]", "4 candidates")
    page.click("th button", "band gap")
    page.find("th[aria-sort=descending]", "band gap")
    assert page.texts(ROWS + " td:first-child") == ["CsPbI3", "BaTe", "CdTe", "GaAs"]
    page.click("th button", "band gap")
    page.find("th[aria-sort=ascending]", "band gap")
    assert page.texts(ROWS + " td:first-child") == ["GaAs", "CdTe", "BaTe", "CsPbI3"]
    typed(page.find("input[name=filter]"), "band_gap >")
    page.click("button", "Apply")
    assert "filter" in page.text(".problem")
    assert len(page.complaints()) == 1  # the browser notes the 422


def test_elements_are_picked_with_the_keyboard_alone(page) -> None:
    page.open("candidates")
    page.find("summary").send_keys(Keys.ENTER)
    page.find("[data-symbol=H]").send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert page.driver.switch_to.active_element.text == "Na"
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    page.find("[role=status]", "120 candidates")
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)  # once more: without it
    page.find("[role=status]", "5 candidates")
    assert page.find("[data-symbol=Na]").get_attribute("aria-label") == "Na, must not be there"
    page.click("[data-symbol=Te]")
    page.find("[role=status]", "2 candidates")
    page.driver.back()
    page.find("[role=status]", "5 candidates")


def test_a_card_shows_a_crystal_that_can_be_turned(page, tmp_path: Path) -> None:
    page.open(f"candidate/{candidate(page, 'GaAs')}")
    crystal = page.find(".crystal[data-drawn='1']")
    before = colours(crystal, tmp_path / "one.png")
    assert before > 50  # shaded spheres; an empty frame has two
    one = crystal.screenshot_as_png
    crystal.send_keys(Keys.ARROW_RIGHT)
    page.until(lambda: crystal.screenshot_as_png != one)
    page.click("button", "2×2×2")
    page.find(".crystal[data-drawn='2']")
    with_bonds = page.find(".crystal").screenshot_as_png
    page.click("input[type=checkbox]")
    page.until(lambda: page.find(".crystal").screenshot_as_png != with_bonds)
    assert page.texts(".crystal + .legend span") == ["As", "Ga"]


def test_a_supercell_has_the_atoms_on_all_its_faces(page) -> None:
    page.open()
    structure = {
        "lattice": {"matrix": [[4, 0, 0], [0, 5, 0], [0, 0, 6]]},
        "sites": [
            {"species": [{"element": "Cs"}], "abc": [1.0, -1e-9, 0.0]},  # a corner, however it is written
            {"species": [{"element": "I"}], "abc": [0.5, 0.5, 0.5]},
        ],
    }
    code = """
        const [structure, n, done] = arguments;
        import("/page/scripts/lattice.js").then((lattice) =>
            done([lattice.supercell(structure, n), lattice.edges(structure, n)]));
    """
    for n in (1, 2):
        atoms, edges = page.driver.execute_async_script(code, structure, n)
        corners = {tuple(round(value) for value in place) for symbol, place in atoms if symbol == "Cs"}
        assert corners == set(product(*(range(0, side * n + 1, side) for side in (4, 5, 6))))
        assert [symbol for symbol, _ in atoms].count("I") == n**3
        lengths = sorted(sum(abs(a - b) for a, b in zip(start, end, strict=True)) for start, end in edges)
        assert lengths == sorted(4 * [4 * n, 5 * n, 6 * n])


def test_a_card_tells_what_is_predicted_why_and_where_from(page) -> None:
    candidate_id = candidate(page, "CdTe")
    page.open(f"candidate/{candidate_id}")
    charts = [each.get_attribute("aria-label") for each in page.all("svg.chart")]
    page.find("h2", "Why band gap is")
    charts = [each.get_attribute("aria-label") for each in page.all("svg.chart")]
    assert "band gap: composition 1.43 ± 0.20, structure 1.30 ± 0.30" in charts
    assert any(chart.startswith("Cd +") or chart.startswith("Cd 1.133") for chart in charts), charts
    assert "Network of interactions" in charts
    page.find("dd", "tellurides")
    for form in ("cif", "poscar", "extxyz", "json"):
        link = page.find(f"a[href*='format={form}']").get_attribute("href")
        assert page.site.ask("GET", link.removeprefix(page.site.url)).status == 200


def test_points_are_selected_and_go_on_as_a_filter(page) -> None:
    page.open("scatter")
    page.find("[role=status]", "All 125 points")
    Select(page.find("select[name=y]")).select_by_visible_text("score")
    canvas = page.find("canvas[aria-label^='score against']")
    width, height = canvas.size["width"], canvas.size["height"]
    drag = ActionChains(page.driver).move_to_element_with_offset(canvas, -width // 4, -height // 4)
    drag.click_and_hold().move_by_offset(width // 2, height // 3).release().perform()
    told = page.text("strong", "selected")
    number = int(told.split()[0].replace(",", ""))
    assert 0 < number < 125
    page.click("a.button", "Show in the table")
    page.find("[role=status]", f"{number} candidates")


def test_a_range_is_typed_as_well(page) -> None:
    page.open("scatter?x=band_gap&y=e_above_hull")
    low = page.find("input[name=x0]")
    low.send_keys("2.5", Keys.TAB)
    page.find("strong", "22 selected")


def test_a_campaign_is_started_from_a_form(page) -> None:
    page.open("new")
    page.find(".flaws .problem")  # no element is chosen yet
    assert not page.find("button.main").is_enabled()
    page.click("button", "Formulas")
    page.find("textarea[name=formulas]").send_keys("CsI Xx2O")
    page.find(".flaws", "'Xx' is not an element")
    typed(page.find("textarea[name=formulas]"), "CsI KBr CsI")
    page.find("[role=status]", "2 compositions")
    typed(page.find("input[name=where]"), "gap > 1")
    typed(page.find("input[name=seed]"), "-1")
    page.until(lambda: len(page.texts(".flaws li")) == 2)
    typed(page.find("input[name=where]"), "band_gap > 1")
    typed(page.find("input[name=seed]"), "5")
    page.find("[role=status]", "sound")
    page.click("button", "Elements")
    page.click("[data-symbol=Ba]")
    for _ in range(2):
        page.click("[data-symbol=Te]")
    page.find("[role=status]", "compositions")
    page.find("input[name=name]").send_keys("from the form")
    page.until(lambda: page.find("button.main").is_enabled())
    page.click("button.main")
    page.find("h1", "from the form")
    with reading(page.site.engine) as session:
        spec = read_campaign(session, 2).spec
    assert (spec["source"]["cations"], spec["source"]["anions"], spec["seed"]) == (["Ba"], ["Te"], 5)
    assert spec["predict"]["where"] == "band_gap > 1"


def test_a_campaign_is_started_from_a_file(page, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("formula\nBaTe\nXx2O\nBaTe\nCdTe\n")
    page.open("new")
    page.click("button", "File")
    page.find("input[type=file]").send_keys(str(path))
    page.until(lambda: page.find("button.main").is_enabled())
    page.click("button.main")
    page.find("h1", "mine.csv")
    assert "4 lines: 2 unique, 1 invalid, 1 duplicate" in page.text("main")


def test_a_spec_is_dropped_and_started(page, tmp_path: Path) -> None:
    path = tmp_path / "spec.toml"
    path.write_text('name = "as typed"\n[source]\nkind = "list"\nformulas = ["BaTe"]\n[csp]\nstructure = 4\n')
    page.open("new")
    page.click("button", "TOML spec")
    page.driver.execute_script(DROP, page.find(".drop"), path.read_text())
    page.find(".flaws", "unknown key 'csp.structure'")
    text = page.find("textarea[name=toml]")
    typed(text, path.read_text().replace("structure =", "structures ="))
    page.until(lambda: page.find("button.main").is_enabled())
    page.click("button.main")
    page.find("h1", "as typed")


@pytest.mark.parametrize(("width", "light"), product((1280, 390), ("light", "dark")))
def test_every_view_fits_a_phone_and_a_screen_in_light_and_dark(page, width: int, light: str, tmp_path: Path) -> None:
    page.size(width)
    page.light(light)
    for place in PLACES:
        page.open(place)
        page.until(lambda: not page.all("[aria-busy]"))
        assert page.driver.execute_script("return document.documentElement.scrollWidth") <= width, place
        assert colours(page.find("body"), tmp_path / "view.png") > 20, place
        ground = Image.open(tmp_path / "view.png").convert("L").getpixel((2, 200))
        assert ground < 60 if light == "dark" else ground > 200, place


def test_a_reader_chooses_light_or_dark(page) -> None:
    page.open()
    page.click("header button", "Auto")
    page.find("header button", "Light")
    light = ground(page)
    page.click("header button", "Light")
    page.find("header button", "Dark")
    assert ground(page) != light
    page.driver.refresh()
    page.click("header button", "Dark")  # as it was left
    page.find("header button", "Auto")


def ground(page) -> str:
    return str(page.driver.execute_script("return getComputedStyle(document.body).backgroundColor"))


def test_a_view_or_candidate_that_is_not_there_is_told(page) -> None:
    page.driver.get(f"{page.site.url}/#/nowhere")
    page.find(".problem", "no view nowhere")
    page.driver.get(f"{page.site.url}/#/candidate/999999")
    page.find(".problem", "candidate")
    assert len(page.complaints()) == 1  # the browser notes the 404


def test_what_is_stored_is_shown_as_text_and_never_run(page) -> None:
    name = "<img src=x onerror=document.title='run'>"
    spec = parse_spec({"name": name, "source": {"kind": "list", "formulas": ["NaCl"]}}, "here")
    campaign_id = create_campaign(page.site.engine, spec)
    page.open(f"campaign/{campaign_id}")
    assert page.text("h1") == name
    assert page.driver.title == "Sluice"


def colours(element, path: Path) -> int:
    """How many colours an element shows."""
    path.write_bytes(element.screenshot_as_png)
    found = Image.open(path).convert("RGB").getcolors(1 << 24)
    return len(found or ())
