"""The problems of the settings or the policy file, each with its place."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """One problem of the settings or the policy; `where` is a variable, or a file with line and key."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class SettingsInvalid(Exception):
    """The settings or the policy cannot be used."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
