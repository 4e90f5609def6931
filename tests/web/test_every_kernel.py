"""Every kernel in Chromium, by the documented interface, leaves memory as it does in wasmtime."""

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

CALLS = """async ({ variant, image, pages, address, stackTop, calls }) => {
    const memory = new WebAssembly.Memory({ initial: pages, maximum: 65536, shared: true });
    const answer = fetch(`/plain/node_modules/flashwasm/_wasm/${variant}.wasm`);
    const made = await WebAssembly.instantiateStreaming(answer, { env: { memory } });
    const { exports } = made.instance;
    exports.__stack_pointer.value = stackTop;
    const content = Uint8Array.from(atob(image), (letter) => letter.charCodeAt(0));
    const bytes = new Uint8Array(memory.buffer, address, content.length);
    bytes.set(content);
    const statuses = calls.map(([name, values]) => exports[name](...values));
    const hash = await crypto.subtle.digest("SHA-256", bytes.slice());
    return [statuses, [...new Uint8Array(hash)]];
}"""


@pytest.mark.parametrize(("variant", "operands"), second_host.GOLDEN)
def test_every_kernel_gets_the_golden_bytes(variant, operands, site, open_page):
    image, calls = second_host.laid_out(operands)
    request = {
        "variant": variant,
        "image": base64.b64encode(image).decode(),
        "pages": second_host.PAGES,
        "address": second_host.DATA,
        "stackTop": second_host.INSTANCE + second_host.STACK_BYTES,
        "calls": [(name.split()[0], arguments) for name, arguments in calls.items()],
    }
    page = open_page(site("node_modules/flashwasm/package.json"))
    statuses, digest = page.evaluate(CALLS, request)
    assert statuses == [0] * len(calls)
    assert bytes(digest).hex() == second_host.GOLDEN[variant, operands]
