"""What compares texts: weighted terms, embeddings, lines; and the caches of what was computed."""
