"""Index files: reading, inspecting and verifying what `flashwasm index` writes."""
