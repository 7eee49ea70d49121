"""Which project is meant where something is typed, and where the card stands of what is asked there.

Pure. It knows nothing of who may ask.
"""

import dataclasses

from bot.policy import model


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnclearProject:
    """Why no project is meant: none is called what was `typed`, or nothing was typed and there are several."""

    typed: str | None
    projects: tuple[str, ...]


def home(project: model.Project) -> str:
    """Return the default channel for cards."""
    return project.channels[0]


def project_of_channel(policy: model.Policy, channel: str) -> model.Project | None:
    """Return the project that a channel belongs to."""
    return next((project for project in policy.projects.values() if channel in project.channels), None)


def card_channel(project: model.Project, channel: str) -> str:
    """Return the channel for the card of a request made in a channel."""
    return channel if channel in project.channels else home(project)


def project_for(policy: model.Policy, named: str | None, channel: str) -> model.Project | UnclearProject:
    """Return the project that is meant: the one named, that of the channel, or the only one."""
    names = tuple(policy.projects)
    if named is not None:
        return policy.projects.get(named) or UnclearProject(typed=named, projects=names)
    here = project_of_channel(policy, channel)
    if here is not None:
        return here
    return policy.projects[names[0]] if len(names) == 1 else UnclearProject(typed=None, projects=names)
