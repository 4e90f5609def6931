"""Frames of other languages in JUnit XML."""

from xml.sax.saxutils import escape, quoteattr

import pytest

from flashwasm.qe import read_failures
from flashwasm.qe.defects.foreign_frames import foreign_frames

JAVA = """java.lang.IllegalStateException: the cart is empty
\tat com.shop.Cart.total(Cart.java:7)
\tat com.shop.Cart$Line.sum(Cart.java:31)
\tat app//com.shop.CartTest.testTotal(CartTest.java:19)
\tat java.base/java.lang.reflect.Method.invoke(Method.java:580)
\tat org.junit.runners.ParentRunner.run(ParentRunner.java:413)
Caused by: java.lang.NullPointerException
\tat com.shop.Stock.find(Stock.java:3)
"""
JAVASCRIPT = """Error: expect(received).toBe(expected)

Expected: 3
    at Cart.total (src/cart.js:9:20)
    at async Object.<anonymous> (/home/me/src/cart.test.js:4:11)
    at /home/me/node_modules/jest-circus/build/run.js:316:40
    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)
"""
GO = "=== RUN   TestTotal\n    cart_test.go:12: got 3, expected 4\n"
DOTNET = """System.InvalidOperationException : no cart
   at Shop.Cart.Total(Int32 x) in /src/Shop/Cart.cs:line 7
   at Shop.CartTests.Total() in /src/Shop.Tests/CartTests.cs:line 19
"""
RUBY = "expected 3\n./lib/cart.rb:5:in `total'\n./spec/cart_spec.rb:9:in `block'\n"
RUST = "thread 'total' panicked at src/cart.rs:10:5:\nassertion failed: left == right\n"


@pytest.mark.parametrize(
    ("kind", "text", "signature"),
    [
        ("", JAVA, ("IllegalStateException", "com/shop/Cart.java", "total")),
        ("", JAVASCRIPT, ("Error", "src/cart.js", "total")),
        ("Failed", GO, ("Failed", "cart_test.go", "")),
        ("System.InvalidOperationException", DOTNET, None),
        ("RSpec::ExpectationNotMet", RUBY, ("RSpec::ExpectationNotMet", "./lib/cart.rb", "total")),
        ("panic", RUST, ("panic", "src/cart.rs", "")),
    ],
    ids=["java", "javascript", "go", "dotnet", "ruby", "rust"],
)
def test_the_innermost_frame_of_the_product_is_found(folder, kind, text, signature):
    (folder / "x.xml").write_text(
        f'<testsuite><testcase classname="a" name="b"><failure type={quoteattr(kind)} '
        f'message="no">{escape(text)}</failure></testcase></testsuite>'
    )
    (found,) = read_failures("x.xml")
    signature = signature or ("InvalidOperationException", "/src/Shop/Cart.cs", "Total")
    assert found.failure.signature == signature


def test_the_innermost_frame_is_last():
    assert [frame.line for frame in foreign_frames(JAVA)] == [413, 580, 19, 31, 7]
    assert [frame.function for frame in foreign_frames(JAVASCRIPT)][-2:] == ["<anonymous>", "total"]


@pytest.mark.parametrize("text", ["", "at noon", "see notes.txt:12", "10:30:12 done", "at (x)"])
def test_other_texts_have_no_frames(text):
    assert foreign_frames(text) == ()
