"""The functions of sources that may keep results for later callers."""

from flashwasm.qe.changes.functions.function_lines import function_lines_of
from flashwasm.qe.changes.functions.project_functions import ProjectFunctions


def kept_functions(*sources):
    """Return the kept lines of the functions that may keep results, by name."""
    files = [function_lines_of(source) for source in sources]
    project = ProjectFunctions(files)
    found = {
        body.function.name: project.kept_lines(file, body)
        for file in files
        for _, body in file.uncached
    }
    return {name: kept for name, kept in found.items() if kept is not None}
