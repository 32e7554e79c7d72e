"""The documentation site builds without a warning and works in Chromium."""

import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = ("index", "questions", "commands", "embedding", "reference/rnvp_runtime", "gallery")

LOOK = """
const page = await newPage(args.options);
const foreign = [];
page.on("request", (request) => {
  if (!request.url().startsWith(args.host) && !request.url().startsWith("data:")) {
    foreign.push(request.url());
  }
});
try {
  await page.goto(args.url);
  await page.screenshot({ path: args.path });
  await page.addScriptTag({ path: packages.resolve("axe-core/axe.min.js") });
  const { violations } = await page.evaluate(() => axe.run());
  return {
    foreign,
    complaints: page.complaints,
    overflow: await page.evaluate(() => document.documentElement.scrollWidth - innerWidth),
    faults: violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => [id, ...nodes.slice(0, 3).map((node) => node.html)]),
  };
} finally { await page.context().close(); }
"""

SEARCH = """
const page = await newPage({ viewport: { width: 1280, height: 900 } });
try {
  await page.goto(args.url);
  await page.waitForFunction(() => /Search finished|did not match|found/i.test(
    document.querySelector("#search-results")?.textContent ?? ""), null, { timeout: 20000 });
  return await page.$$eval("#search-results li a", (links) =>
    links.map((link) => new URL(link.href).pathname));
} finally { await page.context().close(); }
"""

# What a new reader may type into the search, and the pages that answer it. One of these pages must
# be among the first three results.
QUESTIONS = {
    "keep conditions in the output": {"questions", "tutorials/conditions", "commands"},
    "which onnxruntime do I need": {"questions", "compatibility"},
    "safe to load a stranger's bundle": {"questions", "security"},
    "same samples python javascript": {"questions", "stream", "javascript", "embedding"},
    "convert nflows": {"conversion", "questions", "tutorials/own-flow"},
    "log_prob positive": {"questions"},
    "which column makes a row an anomaly": {"questions", "anomalies", "tutorials/anomalies"},
    "without pytorch": {"questions", "embedding", "index"},
    "run on a gpu": {"engines", "questions", "compatibility"},
    "resume after a crash": {"questions", "scaling"},
    "exit code": {"commands", "questions", "troubleshooting", "compatibility"},
    "telemetry": {"security", "questions"},
    "format of the checkpoint": {"checkpoint"},
    "integer column": {"training", "questions", "tutorials/conditions"},
}


@pytest.fixture(scope="session")
def built(root: Path) -> str:
    """Build the site and return the name of its folder below the host's root."""
    if find_spec("sphinx") is None:
        pytest.fail("sphinx is not installed: pip install -e '.[docs]'")
    command = [sys.executable, "-m", "sphinx", "--fresh-env", "--fail-on-warning", "--keep-going"]
    done = subprocess.run(
        [*command, "--quiet", "-b", "html", str(ROOT / "docs"), str(root / "docs-site")],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return "docs-site"


class Anchors(HTMLParser):
    """The links and the ids of a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids |= {value for name in ("id", "name") if (value := found.get(name))}
        self.links += [value for name in ("href", "src") if (value := found.get(name))]


def test_every_link_and_anchor_of_the_site_leads_somewhere(built: str, root: Path) -> None:
    """Links of the theme and of generated pages are checked too."""
    site = root / built
    pages = {path.resolve(): Anchors(path) for path in site.rglob("*.html")}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            target, _, anchor = link.partition("#")
            if "://" in target or target.startswith(("mailto:", "data:")):
                continue
            place = (path.parent / target.partition("?")[0]).resolve() if target else path
            if not place.exists() or (anchor and place in pages and anchor not in pages[place].ids):
                broken.append((path.name, link))
    assert broken == []
    assert len(pages) > 30


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible_in_every_guise(
    driver, server, built, artefacts, width: int, scheme: str
) -> None:
    """Pages load nothing foreign, log nothing, do not overflow and have no serious axe fault."""
    for page in PAGES:
        name = f"docs-{page.replace('/', '-')}-{width}-{scheme}.png"
        found = driver.run(
            LOOK,
            url=f"{server}/{built}/{page}.html",
            host=server,
            path=str(artefacts / name),
            options={"viewport": {"width": width, "height": 900}, "colorScheme": scheme},
        )
        assert (page, found["foreign"], found["complaints"]) == (page, [], [])
        assert (page, found["faults"]) == (page, [])
        assert (page, found["overflow"] <= 0) == (page, True)


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_leads_to_the_page_that_answers_it(driver, server, built, question: str) -> None:
    """The site's own search lists the page among the first three."""
    results = driver.run(SEARCH, url=f"{server}/{built}/search.html?q={quote(question)}")
    pages = [path.removeprefix(f"/{built}/").removesuffix(".html") for path in results]
    first = list(dict.fromkeys(pages))[:3]
    assert QUESTIONS[question] & set(first), first
