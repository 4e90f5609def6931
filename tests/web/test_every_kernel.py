"""Every kernel in Chromium leaves the same bytes in memory as in wasmtime."""

import base64
import importlib.util

import pytest

from checkout import TESTS

# The calls of every kernel and the digests of memory after them.
_spec = importlib.util.spec_from_file_location(
    "calls_in_second_hosts", TESTS / "host" / "test_second_host.py"
)
second_host = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(second_host)

CALLS = """async ({ variant, pages, address, stackTop, given }) => {
    const file = `/plain/node_modules/flashwasm/_wasm/${variant}.wasm`;
    const module = await WebAssembly.compileStreaming(fetch(file));
    const found = [];
    for (const [image, calls] of given) {
        const memory = new WebAssembly.Memory({ initial: pages, maximum: 65536, shared: true });
        const { exports } = await WebAssembly.instantiate(module, { env: { memory } });
        exports.__stack_pointer.value = stackTop;
        const content = Uint8Array.from(atob(image), (letter) => letter.charCodeAt(0));
        const bytes = new Uint8Array(memory.buffer, address, content.length);
        bytes.set(content);
        const statuses = calls.map(([name, values]) => exports[name](...values));
        const hash = await crypto.subtle.digest("SHA-256", bytes.slice());
        found.push([statuses, [...new Uint8Array(hash)]]);
    }
    return found;
}"""


def given(operands):
    """Return the image of memory before the calls, and the calls."""
    image, calls = second_host.laid_out(operands)
    listed = [(name.split()[0], arguments) for name, arguments in calls.items()]
    return base64.b64encode(image).decode(), listed


@pytest.mark.parametrize("variant", ["relaxed", "simd128", "scalar"])
def test_every_kernel_gets_the_golden_bytes(variant, site, open_page):
    operands = [of for one, of in second_host.GOLDEN if one == variant]
    assert operands
    request = {
        "variant": variant,
        "pages": second_host.PAGES,
        "address": second_host.DATA,
        "stackTop": second_host.INSTANCE + second_host.STACK_BYTES,
        "given": [given(one) for one in operands],
    }
    page = open_page(site("node_modules/flashwasm/package.json"))
    for one, (statuses, digest) in zip(operands, page.evaluate(CALLS, request), strict=True):
        assert statuses == [0] * len(statuses)
        assert bytes(digest).hex() == second_host.GOLDEN[variant, one]
