"""Which project is meant where something is typed, and where the card stands of what is asked there.

Pure. It knows nothing of who may ask.
"""

from bot import answers, policy


def home(project: policy.Project) -> str:
    """Name the channel where cards stand that have no better place."""
    return project.channels[0]


def project_of_channel(in_force: policy.Policy, channel: str) -> policy.Project | None:
    """Find the project that a channel belongs to."""
    return next((project for project in in_force.projects.values() if channel in project.channels), None)


def card_channel(project: policy.Project, channel: str) -> str:
    """Return where the card of a request stands that is asked for in a channel."""
    return channel if channel in project.channels else home(project)


def project_for(in_force: policy.Policy, named: str | None, channel: str) -> policy.Project | answers.WhichProject:
    """Return the project that is meant: the one named, that of the channel, or the only one."""
    names = tuple(in_force.projects)
    if named is not None:
        return in_force.projects.get(named) or answers.WhichProject(typed=named, projects=names)
    here = project_of_channel(in_force, channel)
    if here is not None:
        return here
    return in_force.projects[names[0]] if len(names) == 1 else answers.WhichProject(typed=None, projects=names)
