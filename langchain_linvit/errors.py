"""The errors of the library: one hierarchy, whose messages name the value, the limit and the remedy."""


class LinvitError(Exception):
    """Base of every error that this library raises on purpose."""


class InvalidTaskError(LinvitError, ValueError):
    """A task that can't be set up: unreadable, inconsistent, or with a goal that no plan reaches."""


class InvalidSettingError(LinvitError, ValueError):
    """A setting outside of its range, or settings that contradict each other."""


class EnvironmentStateError(LinvitError, RuntimeError):
    """An environment used out of order: before `reset`, after `close`, or with a foreign snapshot."""


class MissingDependencyError(LinvitError, ImportError):
    """An optional dependency is absent; the message names the extra that installs it."""


class ModelCallError(LinvitError, RuntimeError):
    """A chat model failed on every attempt; the cause is chained."""


class BudgetExhaustedError(LinvitError, RuntimeError):
    """A call was refused since a budget has run out. The planner turns it into a best-so-far result.

    `what` names the field of `Budget`.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"the budget of {what} has run out; raise Budget({what}=...) to go on")
        self.what = what


class EnvironmentContractError(LinvitError, AssertionError):
    """An environment breaks the contract; `clause` names which part, the message also how to mend it."""

    def __init__(self, clause: str, found: str, remedy: str) -> None:
        super().__init__(f"{clause}: {found}. To mend it: {remedy}")
        self.clause = clause
