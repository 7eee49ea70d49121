"""Which project a command in a channel is about, and in which channel its card appears.

Pure. It must not know who may do what.
"""

import dataclasses

from bot.policy import model


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnclearProject:
    """Why the project is unclear: none has the name `typed`, or none was typed and there are several."""

    typed: str | None
    projects: tuple[str, ...]


def home(project: model.Project) -> str:
    """Return the default channel for cards."""
    return project.channels[0]


def project_of_channel(policy: model.Policy, channel: str) -> model.Project | None:
    """Return the project that a channel belongs to."""
    return next((project for project in policy.projects.values() if channel in project.channels), None)


def card_channel(project: model.Project, channel: str) -> str:
    """Return the channel for the card of a request that was made in `channel`."""
    return channel if channel in project.channels else home(project)


def project_for(policy: model.Policy, named: str | None, channel: str) -> model.Project | UnclearProject:
    """Return the project of a command: the one named, that of the channel, or the only one."""
    names = tuple(policy.projects)
    if named is not None:
        return policy.projects.get(named) or UnclearProject(typed=named, projects=names)
    here = project_of_channel(policy, channel)
    if here is not None:
        return here
    return policy.projects[names[0]] if len(names) == 1 else UnclearProject(typed=None, projects=names)
