"""Changes since a git revision, in real repositories."""

import shutil

import pytest

import flashwasm as fw
from flashwasm.qe.changes.diffs import git_changes
from flashwasm.qe.changes.diffs.git_changes import GitRepository
from git_repository import commit_all, git

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")


@pytest.fixture
def repository(tmp_path):
    """Return a repository with a file, a package and an ignored folder."""
    (tmp_path / "a.py").write_text("one = 1\ntwo = 2\n")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "b.py").write_text("b = 1\n")
    (tmp_path / ".gitignore").write_text("build/\n")
    commit_all(tmp_path)
    return tmp_path


def changes(folder, revision="HEAD", **options):
    """Return the changed files by their paths."""
    found = GitRepository(folder).changes_since(revision, **options)
    return {one.path: one for one in found}


def test_edits_staged_files_and_untracked_files_are_changes(repository):
    (repository / "a.py").write_text("one = 1\ntwo = 3\n")
    (repository / "staged.py").write_text("x = 1\n")
    git(repository, "add", "staged.py")
    (repository / "shop" / "größe ma.py").write_text("x = 1\ny = 2\n")
    (repository / "build").mkdir()
    (repository / "build" / "made.py").write_text("x = 1\n")
    # The repository is that which holds the path, whatever the working folder is.
    found = changes(repository / "shop")
    assert set(found) == {"a.py", "staged.py", "shop/größe ma.py"}
    assert (found["a.py"].old_lines, found["a.py"].new_lines) == ({2}, {2})
    new = found["shop/größe ma.py"]
    assert (new.old_path, new.old_lines, new.new_lines) == (new.path, set(), {1, 2})
    assert new.text == "x = 1\ny = 2"


def test_renamed_and_deleted_files_count_by_their_old_name(repository):
    git(repository, "mv", "a.py", "c.py")
    (repository / "shop" / "b.py").unlink()
    found = changes(repository)
    assert (found["c.py"].old_path, found["shop/b.py"].old_path) == ("a.py", "shop/b.py")


def test_products_binary_files_and_given_files_are_not_read_as_programs(repository):
    for name in ("x.pyc", ".coverage", ".coverage.host.1", "times.xml", "picture.bin", "empty.py"):
        (repository / name).write_bytes(b"\0" if name == "picture.bin" else b"")
    (repository / "link.py").symlink_to("nowhere")
    found = changes(repository, without=(repository / "times.xml", None))
    assert {path: (one.new_lines, one.text) for path, one in found.items()} == {
        "picture.bin": (set(), ""),
        "empty.py": (set(), ""),
    }


def test_a_revision_with_three_dots_is_where_the_branch_began(repository):
    git(repository, "checkout", "-q", "-b", "work")
    (repository / "shop" / "b.py").write_text("b = 2\n")
    commit_all(repository)
    git(repository, "checkout", "-q", "main")
    (repository / "a.py").write_text("one = 1\ntwo = 3\n")
    commit_all(repository)
    git(repository, "checkout", "-q", "work")
    (repository / "new.py").write_text("x = 1\n")
    # As `git diff main` does, the first takes back what main has more than this branch.
    assert set(changes(repository, "main")) == {"a.py", "shop/b.py", "new.py"}
    assert set(changes(repository, "main...")) == {"shop/b.py", "new.py"}
    assert set(changes(repository, "main..work")) == {"a.py", "shop/b.py", "new.py"}


@pytest.mark.parametrize(
    "setting",
    [
        "color.ui=always",
        "color.diff=always",
        "diff.noprefix=true",
        "diff.mnemonicPrefix=true",
        "diff.relative=true",
        "diff.external=false",
        "diff.submodule=log",
        "diff.upper.textconv=tr a-z A-Z <",
        "core.quotePath=false",
    ],
)
def test_settings_of_git_make_no_difference(repository, setting):
    name, value = setting.split("=")
    git(repository, "config", name, value)
    (repository / ".gitattributes").write_text("*.py diff=upper\n")
    commit_all(repository)
    (repository / "a.py").write_text("one = 1\ntwo = 3\n")
    git(repository, "add", "-A")
    found = changes(repository / "shop")
    [changed] = found.values()
    assert (changed.path, changed.new_lines) == ("a.py", {2})
    assert changed.text.splitlines() == ["two = 2", "two = 3"]


def test_a_submodule_that_a_setting_ignores_is_part_of_the_change(repository, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    (other / "c.py").write_text("x = 1\n")
    commit_all(other)
    git(repository, "-c", "protocol.file.allow=always", "submodule", "add", "-q", other, "lib")
    commit_all(repository)
    git(repository, "config", "diff.ignoreSubmodules", "all")
    (repository / "lib/c.py").write_text("x = 2\n")
    assert set(changes(repository)) == {"lib"}


def test_variables_of_a_hook_make_no_difference(repository, monkeypatch):
    (repository / "a.py").write_text("one = 1\n")
    for name, value in {"GIT_DIR": ".git", "GIT_PREFIX": "x/", "GIT_INDEX_FILE": "no"}.items():
        monkeypatch.setenv(name, value)
    assert set(changes(repository / "shop")) == {"a.py"}


def test_an_empty_change(repository):
    assert changes(repository) == {}


def test_the_last_commit_of_a_file(repository):
    made = int(git(repository, "log", "-1", "--format=%ct"))
    of = GitRepository(repository).last_commit
    for revision in ("HEAD", "main...", "HEAD.."):
        assert of(revision, repository / "shop" / "b.py") == made
    assert of("HEAD", repository / "no.py") == of("HEAD", repository.parent / "a.py") == 0.0


def test_the_content_of_a_file_before_a_change(repository):
    before = (repository / "a.py").read_bytes()
    (repository / ".gitattributes").write_text("*.py text eol=crlf\n")
    (repository / "a.py").write_text("one = 1\n")
    commit_all(repository)
    content = GitRepository(repository).content_at
    for revision in ("HEAD~1", "HEAD~1..HEAD", "HEAD~1..."):
        # Line ends are those of the working tree.
        assert content(revision, repository / "a.py") == before.replace(b"\n", b"\r\n")
    assert content("HEAD", repository / "no.py") is None
    assert content("HEAD", repository.parent / "a.py") is None


# Wrong arguments.


@pytest.mark.parametrize(
    "revision", ["no-such", "", "no-such...", "HEAD..no", "--output=x", "a.py"]
)
def test_a_revision_that_git_does_not_know_is_refused(repository, revision):
    with pytest.raises(fw.ShapeError, match=r"' is not a revision that git knows; git says: \S"):
        changes(repository, revision)
    assert not (repository / "x").exists()


def test_a_folder_outside_all_repositories_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(fw.ShapeError, match="is not in a git working tree: not a git repository"):
        changes(tmp_path)


def test_a_repository_of_another_user_is_refused_with_the_remedy(repository, monkeypatch):
    """So it is in a container whose user does not own the mounted checkout."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git reads it for its own tests.
    message = "repository of another user, which git refuses to read: .* safe.directory"
    with pytest.raises(fw.ShapeError, match=message):
        changes(repository)


def test_a_machine_without_git(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(fw.CapabilityError, match="git is not installed"):
        changes(tmp_path)


def test_an_untracked_file_that_another_process_removes_is_no_change(repository, monkeypatch):
    (repository / "kept.txt").write_text("x\n")
    (repository / "temporary.txt").write_text("x\n")

    def removed_before(file):
        if file.name == "temporary.txt":
            file.unlink()
        return False

    # This is the last question before the file is read.
    monkeypatch.setattr(git_changes, "_is_output", removed_before)
    assert set(changes(repository)) == {"kept.txt"}
