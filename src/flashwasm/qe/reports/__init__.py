"""Reports: HTML pages and SARIF."""
