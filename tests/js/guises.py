"""JavaScript that surveys a page: a screenshot, accessibility faults and overflow."""

__all__ = ["SURVEY"]

SURVEY = """
  await page.screenshot({ path: args.path, fullPage: true });
  await page.addScriptTag({ path: packages.resolve("axe-core/axe.min.js") });
  const { violations } = await page.evaluate(() => axe.run());
  const survey = {
    faults: violations.map(({ id, nodes }) => [id, ...nodes.map((node) => node.html)]),
    overflow: await page.evaluate(() => document.documentElement.scrollWidth - innerWidth),
    complaints: page.complaints,
  };
"""
"""JavaScript that saves a screenshot of ``page`` at ``args.path`` and defines ``survey``."""
