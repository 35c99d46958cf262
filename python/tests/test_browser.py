"""Drawings with a slider, in a real browser: pages without a server and without a network."""

import functools
import http.server
import shutil
import threading

import pytest

from conftest import program

selenium = pytest.importorskip("selenium", reason="selenium is not installed")

from selenium import webdriver  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

BROWSER, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="there is no chromium with its chromedriver")


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    # No name is resolved: what a page needs it must have.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1000,1400",
                     "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The walk-through as it is committed, as a page."""
    for name in ("markdown", "latex2mathml", "pygments"):
        pytest.importorskip(name)
    folder = tmp_path_factory.mktemp("html")
    program("notebooks/build.py").pages(folder)
    return (folder / "walk_through.html").as_uri()


def opened(browser, address: str):
    browser.get_log("browser")
    browser.get(address)
    return {drawing.find_element(By.TAG_NAME, "label").text: drawing for drawing in browser.find_elements(By.CLASS_NAME, "dq-plot")}


def complaints(browser) -> list[str]:
    """What the console holds but for notes."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] not in ("INFO", "DEBUG")]


def shown(drawing, selector: str) -> list[str]:
    return [element.get_attribute("textContent") for element in drawing.find_elements(By.CSS_SELECTOR, selector)]


def lines(drawing, selector: str) -> list[str]:
    return [element.get_attribute("points") for element in drawing.find_elements(By.CSS_SELECTOR, selector)]


def test_the_distance_moves_numbers_and_images(browser, page):
    drawing = opened(browser, page)["distance ε (ℓ2)"]
    slider = drawing.find_element(By.CSS_SELECTOR, "input[type=range]")
    assert slider.accessible_name == "distance ε (ℓ2)" and slider.aria_role == "slider"
    seen = []
    # By the keyboard alone.
    for key in (Keys.HOME, Keys.ARROW_RIGHT * 30, Keys.END):
        slider.send_keys(key)
        cursor = drawing.find_element(By.CSS_SELECTOR, ".dq-cursor").get_attribute("transform")
        value = drawing.find_element(By.TAG_NAME, "output").text
        assert slider.get_attribute("aria-valuetext") == value
        states = [cell.get_attribute("data-state") for cell in drawing.find_elements(By.CLASS_NAME, "dq-image")]
        images = [image.get_attribute("src") for image in drawing.find_elements(By.CSS_SELECTOR, ".dq-image img")]
        heights = [dot.get_attribute("cy") for dot in drawing.find_elements(By.CSS_SELECTOR, "svg circle")]
        seen.append((value, cursor, shown(drawing, ".dq-certified"), states, images, heights))
    assert [state[0] for state in seen] == ["ε = 0.000", "ε = 0.360", "ε = 1.200"]
    for part in range(1, 6):
        assert seen[0][part] != seen[1][part] != seen[2][part], part
    # Certified accuracy descends, and no image is proved and broken again.
    certified = [[float(text.split()[0]) for text in state[2]] for state in seen]
    assert all(a > b for a, b in zip(certified[0], certified[2])) and certified[1][0] < certified[1][1]
    assert seen[0][3].count("certified") > seen[1][3].count("certified") > 0 == seen[2][3].count("certified")
    assert "broken" in seen[2][3]
    assert complaints(browser) == []


def test_the_step_length_moves_trajectories_and_the_proof(browser, page):
    drawing = opened(browser, page)["step length h"]
    slider = drawing.find_element(By.CSS_SELECTOR, "input[type=range]")
    # It begins with the longest step that is proved not to expand; the next one is not.
    assert drawing.get_attribute("data-stable") == "true"
    assert shown(drawing, ".dq-bound")[0].startswith("1.000000") and "no two points" in shown(drawing, ".dq-verdict")[0]
    before = lines(drawing, ".dq-path"), lines(drawing, ".dq-distance"), drawing.find_element(By.TAG_NAME, "output").text
    stroke = drawing.find_elements(By.CLASS_NAME, "dq-path")[-1].value_of_css_property("stroke")
    slider.send_keys(Keys.ARROW_RIGHT)
    after = lines(drawing, ".dq-path"), lines(drawing, ".dq-distance"), drawing.find_element(By.TAG_NAME, "output").text
    assert drawing.get_attribute("data-stable") == "false" and "Not proved" in shown(drawing, ".dq-verdict")[0]
    assert float(shown(drawing, ".dq-bound")[0].split()[0]) > 1
    assert all(a != b for a, b in zip(before, after)) and all(a != b for a, b in zip(before[0], after[0]))
    assert drawing.find_elements(By.CLASS_NAME, "dq-path")[-1].value_of_css_property("stroke") != stroke
    assert complaints(browser) == []


def test_light_and_dark(browser, page):
    drawing = opened(browser, page)["step length h"]
    found = {}
    for scheme in ("light", "dark"):
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        colours = browser.execute_script(
            "const style = getComputedStyle(arguments[0]); return [style.backgroundColor, style.color]", drawing
        )
        found[scheme] = [sum(map(int, colour[4:-1].split(", "))) for colour in colours]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert found["light"][0] > 600 > 200 > found["light"][1] and found["dark"][0] < 200 < 600 < found["dark"][1]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, and says nothing about it."""

    def log_message(self, *_):
        pass


def test_the_site_is_whole_without_a_network(browser, built_site):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=built_site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        for name in ("index", "docs/chapter", "layers"):
            opened(browser, f"{address}/{name}.html")
            assert complaints(browser) == [], name
        drawing = opened(browser, f"{address}/notebooks/walk_through.html")["distance ε (ℓ2)"]
        drawing.find_element(By.CSS_SELECTOR, "input").send_keys(Keys.END)
        assert drawing.find_element(By.TAG_NAME, "output").text == "ε = 1.200"
        assert complaints(browser) == []
    finally:
        server.shutdown()
        server.server_close()
