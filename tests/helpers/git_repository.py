"""A git repository in a folder, created by the real git."""

import shutil
import subprocess


def git(folder, *arguments):
    """Run git in a folder, without the settings of the user; return its output."""
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    command = [shutil.which("git"), *identity, *arguments]
    return subprocess.run(command, check=True, cwd=folder, capture_output=True, text=True).stdout


def commit_all(folder, message="x"):
    """Commit all files of a folder, and make it a repository if necessary; return the commit."""
    if not (folder / ".git").exists():
        git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD").strip()
