"""How a page is looked at in each guise: its size, its colours, and what axe-core says of it."""

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
"""JavaScript: keeps a screenshot of ``page`` at ``args.path``, and makes ``survey``."""
