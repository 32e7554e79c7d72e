"""The addresses from which a bundle's files are fetched, with queries, headers and cookies."""

import json
import shutil

import numpy as np
import pytest
from driving import JavaScriptError, Place
from hosting import serving

import rnvp_runtime

SAMPLE = "const flow = await load({}); return (await flow.sample(5, {{ seed: 1 }})).x.data;"


@pytest.fixture
def page(site):
    return site("unconditional")


@pytest.fixture
def expected(page):
    return rnvp_runtime.load(page / "model.rnvp").sample(5, seed=1).ravel()


@pytest.fixture(params=["node", "chromium"])
def visit(request, driver, root):
    """Return a function that runs code in Node or in a page, given the URL of a host."""

    def run(url: str, site, code: str, **args):
        place = Place(driver, url, request.param)
        return place.run(code, site, address=f"{url}/{site.name}/model.rnvp", **args)

    return run


@pytest.mark.parametrize("query", ["?sig=abc", "?X-Amz-Signature=a%2Fb%3D&expires=9"])
@pytest.mark.parametrize(
    "kind", ["args.address + args.query", "new URL(args.address + args.query)"]
)
def test_the_query_of_the_address_is_kept_for_every_file(visit, page, root, expected, query, kind):
    """A signed address permits a file only if the request has the signature."""
    seen = []
    signed = {"permitted": lambda path, _: "model.rnvp/" not in path or path.endswith(query)}
    with serving(root, seen=seen, **signed) as url:
        found = visit(url, page, SAMPLE.format(kind), query=query)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    asked = [path.rpartition("/")[2] for path, _ in seen if "model.rnvp/" in path]
    assert asked == [f"manifest.json{query}", f"flow.bin{query}"]


def test_fetch_may_add_headers(visit, page, root, expected) -> None:
    """A fetch that adds a header loads a bundle that the host refuses without the header."""
    allowed = {"permitted": lambda path, h: "model.rnvp/" not in path or h["x-key"] == "secret"}
    code = "const headers = { 'x-key': 'secret' };" + SAMPLE.format(
        "args.address, { fetch: (url, init) => fetch(url, { ...init, headers }) }"
    )
    with serving(root, **allowed) as url:
        found = visit(url, page, code)
        with pytest.raises(JavaScriptError, match=r"BundleError: .* the server answers 403"):
            visit(url, page, SAMPLE.format("args.address"))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_fetch_may_send_credentials_to_another_origin(driver, page, root, expected) -> None:
    """The host of the bundle sets the cookie. The page comes from another origin."""
    cors = {
        "Access-Control-Allow-Credentials": "true",
        "Set-Cookie": "session=open; Path=/",
    }
    allowed = {"permitted": lambda path, h: "model.rnvp/" not in path or "open" in h["cookie"]}
    with serving(root) as url:
        # The second host has another port, so it is another origin.
        origin = url
        headers = cors | {"Access-Control-Allow-Origin": origin}
        with serving(root, headers=headers, **allowed) as other:
            code = (
                "await fetch(args.other + '/icon.svg', { credentials: 'include' });"
                + SAMPLE.format(
                    "args.other + '/model.rnvp', { fetch: (url, init) => "
                    'fetch(url, { ...init, credentials: "include" }) }'
                )
            )
            place = Place(driver, url, "chromium")
            found = place.run(code, page, other=f"{other}/{page.name}")
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_fetch_that_is_not_a_function_is_refused(driver, page) -> None:
    """load gives an InputError for a fetch option that is not a function."""
    with pytest.raises(JavaScriptError, match="InputError: fetch is string, expected a function"):
        driver.run("return load('model.rnvp', { fetch: 'https://example.org' });")


def test_a_name_with_special_characters_is_fetched(visit, page, root, expected) -> None:
    """Characters with a meaning in URLs are escaped."""
    odd = root / "odd"
    shutil.copytree(page, odd)
    bundle = odd / "model.rnvp"
    text = (bundle / "manifest.json").read_text()
    (bundle / "manifest.json").write_text(text.replace('"flow.bin"', json.dumps("a b#c%20&+d.bin")))
    (bundle / "flow.bin").rename(bundle / "a b#c%20&+d.bin")
    try:
        with serving(root) as url:
            found = visit(url, odd, SAMPLE.format("args.source"))
    finally:
        shutil.rmtree(odd)
    np.testing.assert_allclose(found, expected, atol=1e-4)
