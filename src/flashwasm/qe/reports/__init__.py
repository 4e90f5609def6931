"""Reports of findings: HTML pages, and SARIF for code-scanning tools."""
