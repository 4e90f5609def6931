"""A small program, and a diff that changes its function total_price."""

SHOP = """\
def add_item(basket, item):
    return [*basket, item]

def total_price(basket):
    price = sum(basket)
    return price

def empty_basket(basket):
    return []
"""

# An empty line of context is a single blank, which an editor would strip.
DIFF = """\
diff --git a/shop.py b/shop.py
--- a/shop.py
+++ b/shop.py
@@ -4,5 +4,6 @@ def add_item(basket, item):
 def total_price(basket):
-    price = sum(basket)
+    price = 0 + sum(basket)
+    price += 0
     return price
{blank}
 def empty_basket(basket):
""".format(blank=" ")
