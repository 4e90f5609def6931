"""A diff that changes the function total_price of shop.py."""

# The blank line of its context has a blank before it.
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
