"""The page of a real study in a real browser: it opens, explains every cell and can be read."""

import re
from pathlib import Path

import pytest

from tests.workflow.chromium import MISSING, PROGRAM, Chromium
from tests.workflow.conftest import Copy

pytestmark = [pytest.mark.slow, pytest.mark.skipif(PROGRAM is None, reason=MISSING)]
WIDTHS, SCHEMES = (390, 1280), ("light", "dark")
CELL = "main.folk.full"
LINK = f'[data-evidence="evidence-{CELL}"] a'
FOCUS = f"document.activeElement === document.querySelector('{LINK}')"
COMPLAINTS = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
OPEN = "document.getElementById('panel').open"

# Every text that can be seen, with its contrast against what lies behind it (WCAG 2.2, 1.4.3).
TOO_FAINT = """
(() => {
  const parse = (color) => {
    const found = color.match(/^rgba?\\(([^)]+)\\)$/);
    if (!found) throw new Error("cannot read the color " + color);
    const [r, g, b, a = 1] = found[1].split(/[ ,/]+/).map(Number);
    return [r, g, b, a];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const light = (color) => {
    const [r, g, b] = color.slice(0, 3).map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      layers.push(parse(getComputedStyle(e).backgroundColor));
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const root = document.querySelector("dialog[open]") ?? document.body;
  const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const faint = [];
  let seen = 0;
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement, text = walk.currentNode.data.trim();
    if (!text || /^(script|style|title|desc|metadata)$/i.test(element.tagName)) continue;
    if (!element.checkVisibility({ checkVisibilityCSS: true })) continue;
    seen += 1;
    const style = getComputedStyle(element), back = behind(element);
    const inked = parse(element instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [light(over(inked, back)), light(back)];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (contrast < (large ? 3 : 4.5)) faint.push([text.slice(0, 40), contrast.toFixed(2)]);
  }
  return { seen, faint };
})()
"""
UNFOLD = "document.querySelectorAll('details').forEach((part) => { part.open = true; })"
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def page(finished_study: Copy) -> Path:
    return finished_study.folder / "results/tiny/report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Chromium(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


def panel(browser: Chromium) -> str:
    return browser.run("document.getElementById('panel').innerText")


def test_the_page_says_nothing_on_the_console_and_asks_nobody_for_anything(browser, page):
    browser.show(page, 1280)
    browser.run(UNFOLD)
    browser.click(LINK)
    assert browser.run(OPEN)

    sent = [e["params"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
    asked = {request["request"]["url"] for request in sent}
    complaints = [event for event in browser.events if event["method"] in COMPLAINTS]
    assert {url for url in asked if not url.startswith("data:")} == {page.resolve().as_uri()}
    assert complaints == []


def test_a_clicked_cell_tells_its_chain_and_what_is_established(browser, page):
    browser.show(page, 1280)
    browser.click(LINK)

    said = panel(browser)
    jobs = browser.run(
        "[...document.querySelectorAll('#panel .chain summary')].map((s) => s.firstChild.data)"
    )
    assert jobs == ["prepare scenes", "pretrain folk-s0", "finetune folk-s0/full"]
    assert re.search(r"folk-s0/full: stated 0\.\d+, derived again 0\.\d+", said)
    assert "follows from the predictions" in said
    assert "Established: when this page was made" in said
    assert "Not established: on trust" in said
    assert browser.run("document.getElementById('panel').getAttribute('aria-labeledby')") == (
        browser.run("document.querySelector('#panel h4').id")
    )

    browser.run("document.querySelectorAll('#panel .chain details')[1].open = true")
    said = panel(browser)
    for word in ("encoder", "fingerprint", "lock", "set by the study", "optim.batch", "finished"):
        assert word in said, word
    ids = browser.run("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("key", ["Enter", " "])
def test_a_cell_opens_by_keyboard_and_escape_leads_back_to_it(browser, page, key):
    browser.show(page, 1280)
    before = browser.run(f"scrollTo(0, 0); document.querySelector('{LINK}').focus(); {FOCUS}")
    browser.press(key)
    opened, told = browser.run(OPEN), panel(browser)
    browser.press("Tab")
    inside = browser.run("document.activeElement.closest('#panel') !== null")
    browser.press("Escape")

    assert (before, opened, inside) == (True, True, True)
    assert "main/folk/full" in told
    assert not browser.run(OPEN)
    assert browser.run(FOCUS)


def test_tab_reaches_every_cell(browser, page):
    browser.show(page, 1280)
    count = browser.run("document.querySelectorAll('.grid [data-cell] a').length")
    browser.run("document.querySelector('#results .scroll').focus()")
    reached = []
    for _ in range(3):
        browser.press("Tab")
        reached.append(browser.run("document.activeElement.closest('[data-cell]')?.dataset.cell"))

    assert count == 19
    assert reached == ["main/scratch/full", "main/scratch/avg", "main/scratch/knn"]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_text_can_be_read_and_nothing_is_wider_than_the_screen(
    browser, page, tmp_path, width, scheme
):
    browser.show(page, width, scheme)
    browser.screenshot(tmp_path / f"page-{width}-{scheme}.png")
    browser.run(UNFOLD)

    page_text = browser.run(TOO_FAINT)
    assert page_text["faint"] == []
    assert page_text["seen"] > 500
    assert browser.run(TOO_WIDE) <= 0

    browser.click(LINK)
    browser.run(UNFOLD)
    browser.screenshot(tmp_path / f"panel-{width}-{scheme}.png")
    assert browser.run(TOO_FAINT)["faint"] == []
    assert browser.run("panel.scrollWidth - panel.clientWidth") <= 0
    assert browser.run(TOO_WIDE) <= 0


def test_on_paper_everything_is_unfolded_and_nothing_is_cut(browser, page):
    browser.show(page, 1280)
    browser.call("Emulation.setEmulatedMedia", media="print")
    browser.run("dispatchEvent(new Event('beforeprint'))")

    shown = browser.run("document.querySelector('main').innerText")
    folded = browser.run("document.querySelectorAll('main details:not([open])').length")
    browser.call("Emulation.setEmulatedMedia", media="")
    assert folded == 0
    for words in ("How a verdict is reached", "pretrain folk-s0", "Not established", "Quoted"):
        assert words.lower() in shown.lower(), words


def test_snakemakes_own_report_holds_the_page_and_the_tables(finished_study, tmp_path):
    done = finished_study.snakemake("--report", str(tmp_path / "report.html"))

    assert done.returncode == 0, done.stderr
    text = (tmp_path / "report.html").read_text()
    for name in ("report.html", "main.md", "claims.md"):
        assert name in text, name
