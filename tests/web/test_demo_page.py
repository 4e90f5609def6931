"""Pages in Chromium get the bytes that Python gets, with threads and without."""

import pytest

import golden_cases

PAGE = "node_modules/flashwasm/page/index.html?milliseconds=50"
# Chromium as it is on a processor without SSE4.1, where WebAssembly has no SIMD.
NO_SIMD = "--js-flags=--no-enable-sse4-1"
# No flag of Chromium takes relaxed SIMD alone away. 0xfd 0x85 0x02 is its multiply-add.
NO_RELAXED = """
const validate = WebAssembly.validate.bind(WebAssembly);
WebAssembly.validate = (bytes) =>
  !bytes.some((_, i) => [0xfd, 0x85, 2].every((byte, j) => bytes[i + j] === byte)) &&
  validate(bytes);
"""
# An engine that rounds a multiply-add twice. Only the module that tries one imports nothing.
NOT_FUSED = """
const { Instance } = WebAssembly;
WebAssembly.Instance = function (module, imports) {
  return imports ? new Instance(module, imports) : { exports: { f: () => 0 } };
};
"""
# The beginning of a script in a page that lies beside the package.
LOADED = """async () => {
    const { load } = await import("/plain/node_modules/flashwasm/src/index.js");
    const said = (error) => `${error.name}: ${error.message}`;
    const refusal = (promise) => promise.then(() => "", said);
    const fw = await load();
    const x = { data: Float32Array.of(1, 2, 3, 4), shape: [2, 2] };
    const product = [...(await fw.matmul(x, x)).data];
"""
IMPORTING = """<!doctype html>
<link rel="icon" href="data:,">
<script type="importmap">
  {"imports": {"flashwasm": "./node_modules/flashwasm/src/index.js"}}
</script>
<script type="module">
  import { load } from "flashwasm";
  import { digestOf } from "./node_modules/flashwasm/page/golden_cases.js";
  const { cases } = await (await fetch("./node_modules/flashwasm/page/golden.json")).json();
  const fw = await load();
  document.body.textContent = await digestOf(fw, cases[0]);
</script>
"""


def finished(page):
    """Wait for the page's end, and return its last line and the digests by case."""
    page.wait_for_selector("body[data-state]", timeout=300_000)
    rows = page.locator("#digests tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    assert {row[3] for row in rows} == {"equal"}
    return page.locator("#status").text_content(), {name: digest for name, _, digest, _ in rows}


@pytest.mark.parametrize("variant", ["relaxed", "scalar"])
def test_the_page_gets_pythons_digests(variant, site, open_page):
    page = open_page(site(f"{PAGE}&variant={variant}"))
    said, digests = finished(page)
    golden = golden_cases.read()["digests"][variant]
    assert digests == golden
    assert said == f"Variant {variant}, one thread. All {len(golden)} digests equal Python's."
    assert page.locator("#speed tbody tr").count() == 2


@pytest.mark.parametrize(
    ("flags", "script", "variant", "reason"),
    [
        ([], "", "relaxed", ""),
        ([], NO_RELAXED, "simd128", "it has no relaxed WebAssembly SIMD"),
        ([], NOT_FUSED, "simd128", "it rounds a multiply-add twice"),
        ([NO_SIMD], "", "scalar", "it has no WebAssembly SIMD"),
    ],
)
def test_the_variant_is_chosen_by_what_the_browser_has(
    flags, script, variant, reason, site, open_page
):
    page = open_page(site("node_modules/flashwasm/package.json"), *flags, script=script)
    ask = "return [fw.variant, product, await refusal(load({ variant: 'relaxed' }))]; }"
    found, product, refused = page.evaluate(LOADED + ask)
    assert (found, product) == (variant, [7, 10, 15, 22])
    assert refused.startswith("CapabilityError: variant: ") == bool(reason)
    assert reason in refused


def test_workers_get_the_same_bytes_on_an_isolated_page(site, open_page):
    page = open_page(site(f"{PAGE}&threads=2", isolated=True))
    said, digests = finished(page)
    assert said.startswith("Variant relaxed, 2 threads. All ")
    assert digests == golden_cases.read()["digests"]["relaxed"]


def test_a_worker_that_does_not_start_is_an_error(site, open_page):
    page = open_page(site("node_modules/flashwasm/package.json", isolated=True))
    page.route("**/worker.js", lambda route: route.fulfill(body="throw new Error('no')"))
    code = """async () => {
        const { load } = await import("/isolated/node_modules/flashwasm/src/index.js");
        return load({ threads: 2 }).then(() => "", (error) => `${error.name}: ${error.message}`);
    }"""
    assert page.evaluate(code).startswith("FlashWasmError: a worker did not start or ended")


def test_threads_on_another_page_are_refused_with_a_warning(site, open_page):
    """Shared memory is there without isolation; only workers are not. One thread computes all."""
    warnings = []
    page = open_page(site(f"{PAGE}&threads=2&variant=simd128"), warnings=warnings)
    said, digests = finished(page)
    assert digests == golden_cases.read()["digests"]["simd128"]
    (warning,) = warnings
    assert "2 threads were asked for, but this page is not cross-origin isolated" in warning
    assert "Cross-Origin-Opener-Policy: same-origin" in warning
    assert said.startswith("Variant simd128, one thread. All ")
    assert said.endswith(
        "This page is not cross-origin isolated, so more threads are not possible."
    )


def test_a_page_that_is_no_secure_context_computes_but_has_no_digest(site, open_page):
    page = open_page(site("node_modules/flashwasm/package.json", host="insecure.test"))
    ask = "return [isSecureContext, product, await refusal(fw.digest(x))]; }"
    secure, product, refused = page.evaluate(LOADED + ask)
    assert (secure, product) == (False, [7, 10, 15, 22])
    assert refused.startswith("CapabilityError: digests need a secure context")


def test_a_page_imports_the_packed_package(package, site, open_page):
    (package.parents[1] / "importing.html").write_text(IMPORTING)
    page = open_page(site("importing.html"))
    page.wait_for_function("document.body?.textContent.length === 64")
    golden = golden_cases.read()
    name = golden["cases"][0]["name"]
    assert page.text_content("body") == golden["digests"]["relaxed"][name]
