"""Comparison of a failure with a failure of a known defect, and the result for a whole library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from flashwasm.html_tables import html_table
from flashwasm.qe.defects.failure_fingerprint import Fingerprint, masked, same_test_name
from flashwasm.summaries import counted

__all__ = ["Comparison", "DefectMatch", "Status"]

Status = Literal["new", "known", "regressed", "perhaps"]
# Minimum share of the tests that failed because of a defect which must fail again.
_AGAIN = 0.8
# Part of the message of an error that None causes where a value is expected.
_NONE = "'NoneType'"
# Minimum cosine of similar texts.
_SIMILAR = 0.85


@dataclass(frozen=True)
class DefectMatch:
    """The result of comparing a failure with the defects in a library.

    Parameters
    ----------
    status : {"new", "known", "regressed", "perhaps"}
        "known" if the evidence points to one open defect, "regressed" if it points to one resolved
        defect. "perhaps" if a failure of the defect is only similar, or if several defects match.
        "new" if no defect matches.
    defect : str or None
        Name of the defect; for a new failure, of the nearest one.
    evidence : str
        Reason for the status, as a sentence.
    score : float or None
        Cosine of the ends of both texts; None if the library is empty.
    note : str
        Note on the defect in the library.
    components : mapping of str to float
        Comparison with one failure in the library. ``exception``, ``frame``, ``test`` and
        ``message`` are 1 if they are the same in both failures, else 0. ``text`` is the score.
    example : str
        End of the text of that failure.
    evidence_for, evidence_against : tuple of str
        Common parts and differences of both failures, as phrases.
    others : tuple of str
        Names of other matching defects.
    """

    status: Status
    defect: str | None
    evidence: str
    score: float | None
    note: str = ""
    components: Mapping[str, float] = field(default_factory=dict)
    example: str = ""
    evidence_for: tuple[str, ...] = ()
    evidence_against: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    _repr_html_ = html_table


@dataclass(frozen=True)
class Comparison:
    """Comparison of a failure with a failure of a known defect.

    Parameters
    ----------
    failure, known : Fingerprint
        The new failure, and the failure in the library.
    score : float or None
        Cosine of the ends of both texts, if it was computed.
    tests_again : (int, int), default (0, 0)
        Number of tests in this report that fail as they failed because of the defect, and number of
        tests in the library that failed because of it. Both count only tests whose own code failed.
    """

    failure: Fingerprint
    known: Fingerprint
    score: float | None = None
    tests_again: tuple[int, int] = (0, 0)

    @property
    def exception(self) -> bool:
        """True if both texts name the same exception."""
        return bool(self.failure.exception) and self.failure.exception == self.known.exception

    @property
    def raiser(self) -> bool:
        """True if the same function of the product raised both."""
        return bool(self.failure.raiser) and self.failure.raiser == self.known.raiser

    @property
    def caller(self) -> bool:
        """True if the same function called the one that raised the exception."""
        return bool(self.failure.caller) and self.failure.caller == self.known.caller

    @property
    def test(self) -> bool:
        """True if both are failures of the same test function, with any parameters.

        Failures of one fixture or set-up function count as failures of one test.
        """
        failure, known = self.failure, self.known
        ours, theirs = failure.test_function, known.test_function
        same = bool(ours and theirs) and ours == theirs
        if not (failure.names_its_test and known.names_its_test):
            return same
        # Two classes may have methods of one name, and one class may inherit the other's.
        is_shared = same and ours.name not in {failure.test_name, known.test_name}
        return is_shared or same_test_name(failure.test, known.test)

    @property
    def case(self) -> bool:
        """True if both are failures of the same test with the same parameters, where known."""
        unknown = not (self.failure.names_its_test and self.known.names_its_test)
        return self.test and (unknown or self.failure.case == self.known.case)

    @property
    def file(self) -> bool:
        """True if both are failures in the same test file."""
        return bool(self.failure.test_file) and self.failure.test_file == self.known.test_file

    @property
    def message(self) -> bool:
        """True if the messages are the same, including their numbers."""
        return self.failure.message == self.known.message

    @property
    def alike(self) -> bool:
        """True if the messages are the same apart from their numbers."""
        return self.message or masked(self.failure.message) == masked(self.known.message)

    @property
    def statement(self) -> bool:
        """True if both were raised at the same statement."""
        return bool(self.failure.statement) and self.failure.statement == self.known.statement

    @property
    def by_place(self) -> bool:
        """True if the same product function raised both, with enough in common to be one defect.

        A statement that checks and raises may report many defects, as may one that got None. For
        these, the path must also be the same: the function's caller, or the test. The numbers in
        the message of a check must be equal, because they may be codes of errors.
        """
        if not (self.exception and self.raiser):
            return False
        way = self.caller or self.test
        if self.failure.raises_on_purpose or self.known.raises_on_purpose:
            return way and self.message
        got_none = _NONE in self.failure.message
        return (way and (self.alike or self.statement)) or (
            self.alike and self.statement and not got_none
        )

    @property
    def by_test(self) -> bool:
        """True if both are of the same test, and its own code failed in the same way.

        Numbers in the messages must be equal, because often only a number tells two defects apart.
        A test may contain several assertions that fail with one message. Its cases may differ.
        """
        in_test = not (self.failure.raiser and self.known.raiser)
        return self.exception and in_test and self.test and self.message and not self._elsewhere

    @property
    def _elsewhere(self) -> bool:
        """True if both texts show the statements, and they differ."""
        shown = self.failure.statement and self.known.statement
        return bool(shown) and not self.statement

    @property
    def is_proof(self) -> bool:
        """True if the evidence shows that both failures are of one defect.

        Many defects may make one test fail in the same way, such as "assert 1 == 0". But if most
        tests of a defect fail again together, another defect is unlikely.
        """
        again, learnt = self.tests_again
        return self.by_place or (self.by_test and again >= _AGAIN * max(learnt, 1))

    @property
    def is_similar(self) -> bool:
        """True if both failures may be of one defect."""
        if not self.exception:
            return False
        in_tests = self.file and not (self.failure.raiser or self.known.raiser)
        return self.raiser or self.test or in_tests or (self.score or 0) >= _SIMILAR

    @property
    def strength(self) -> tuple[bool, ...]:
        """Flags for common parts, the strongest evidence first. They order comparisons."""
        return (self.is_proof, self.raiser, self.test, self.message, self.caller, self.file)

    @property
    def components(self) -> dict[str, float]:
        """The comparison as numbers, as in `DefectMatch`."""
        found = {
            "exception": float(self.exception),
            "frame": float(self.raiser),
            "test": float(self.test),
            "message": float(self.message),
        }
        return found if self.score is None else found | {"text": self.score}

    @property
    def evidence_for(self) -> tuple[str, ...]:
        """Phrases for the common parts."""
        where = "the same test" if self.test else "the same test file" if self.file else ""
        likeness = "the same message but for its numbers" if self.alike else ""
        likeness = "the same message" if self.message else likeness
        similar = self.score is not None and self.score >= _SIMILAR
        again, learnt = self.tests_again
        found = [
            f"the same {self.failure.exception}" if self.exception else "",
            f"raised by the same function, {self.failure.raiser}" if self.raiser else "",
            f"called by the same function, {self.failure.caller}" if self.caller else "",
            f"at the same statement ({self.failure.quoted_statement})" if self.statement else "",
            where,
            likeness,
            f"a similar text ({self.score:.2f})" if similar and not likeness else "",
            f"{again} of {learnt} tests failed again in the same way" if again > 1 else "",
        ]
        return tuple(part for part in found if part)

    @property
    def evidence_against(self) -> tuple[str, ...]:
        """Phrases for the differences."""
        failure, known = self.failure, self.known
        found = [] if self.exception else [f"another exception, {known.exception or 'not named'}"]
        if not self.test:
            named = (known.test or known.test_function) and (failure.test or failure.test_function)
            found.append("another test" if named else "the test of one failure is not known")
        if failure.raiser and known.raiser and not self.raiser:
            found.append(f"raised by another function, {known.raiser}")
        elif not self.raiser:
            found.append("no frame of the product in common")
        elif not (self.caller or self.test):
            named = failure.caller and known.caller
            found.append(f"called by {'another' if named else 'an unknown'} function")
        if self.test and not self.case:
            found.append("another case of the test")
        if self.test and not self.raiser and self._elsewhere:
            found.append(f"at another statement ({known.quoted_statement})")
        if not self.message:
            found.append("other numbers in the message" if self.alike else "another message")
        again, learnt = self.tests_again
        if again < _AGAIN * learnt:
            tests = counted(learnt, "tests")
            found.append(f"only {again} of {tests} failed again in the same way")
        return tuple(found)
